"""One step's gradient: the mean loss of a batch, one bucket after another, summed over all processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from spinecho.core.errors import DataError, setting
from spinecho.core.method import Method
from spinecho.train.buckets import Group
from spinecho.train.draw import Example, generator
from spinecho.train.settings import Settings
from spinecho.train.team import Team

Rule = Callable[[Any, Any], Tensor]
"""(method, example) to a scalar: what a task trains on in place of the method's own loss."""


@runtime_checkable
class Recomputes(Protocol):
    """A module that can compute its activations again in the backward pass instead of keeping them."""

    checkpointing: bool


class Loss(nn.Module):
    """A method's loss (or a rule's) as `forward`: gradients are exchanged only for what goes through the wrapped
    module's forward.

    Parameters that an example does not use (maps, for a single coil) get a gradient of zero instead of none: processes
    whose examples differ then exchange the same set, and Adam treats a parameter alike however a batch is split.
    """

    def __init__(self, method: Method, rule: Rule | None = None) -> None:
        super().__init__()
        self.method, self.rule = method, rule

    def forward(self, item: Example) -> Tensor:
        """A scalar."""
        unused = torch.stack([p.sum() for p in self.method.parameters() if p.requires_grad]).sum() * 0
        loss = self.method.loss(item) if self.rule is None else self.rule(self.method, item)
        return loss + unused


@dataclass(frozen=True, eq=False)
class Gradient:
    """Computes `.grad` of all parameters for a batch.

    Parameters
    ----------
    loss
        `Loss`, wrapped where there are several processes.
    """

    loss: nn.Module
    settings: Settings
    team: Team
    device: torch.device

    def __call__(self, step: int, groups: Sequence[Group]) -> float:
        """The mean loss over the batches of all processes; adds its gradient to `.grad`.

        `groups` are this process's share. Processes average their gradients, so that each counts size / batch.
        """
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        for group in groups:
            n = len(group.places)
            with self._exchanged(group is groups[-1]), self._seeded(step, group.places[0]):
                with torch.autocast(self.device.type, torch.bfloat16, self.settings.precision == "bfloat16"):
                    loss = self.loss(group.example.to(self.device))
                (loss * (n * self.team.size / self.settings.batch)).backward()
            total += loss.detach().double() * n
        return float(self.team.total(total)) / self.settings.batch

    def _exchanged(self, last: bool) -> AbstractContextManager[None]:
        """Gradients travel between processes once a step, with the last example."""
        if isinstance(self.loss, DistributedDataParallel) and not last:
            return self.loss.no_sync()
        return nullcontext()

    @contextmanager
    def _seeded(self, step: int, index: int) -> Iterator[None]:
        """What a loss draws from torch's global state (dropout, splits) depends on the first example's number."""
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(generator(self.settings.seed, "loss", step, index).initial_seed())
            yield


def wrapped(method: Method, settings: Settings, team: Team, rule: Rule | None = None) -> Gradient:
    """The method's gradient as the settings want it.

    Raises
    ------
    DataError
        If the batch cannot be dealt out evenly, or the method has no activation checkpointing.
    """
    if settings.batch % team.size:
        do = f"give {setting('batch')} a multiple of {team.size}"
        raise DataError(f"a batch of {settings.batch} cannot be dealt out to {team.size} processes", do=do)
    if settings.checkpointing:
        networks = [m for m in method.modules() if isinstance(m, Recomputes)]
        if not networks:
            raise DataError("this method has no activation checkpointing", do=f"leave out {setting('checkpointing')}")
        for network in networks:
            network.checkpointing = True
    if settings.compiled:
        compile_networks(method)
    loss: nn.Module = Loss(method, rule)
    if team.size > 1:
        loss = DistributedDataParallel(loss)
    return Gradient(loss, settings, team, next(method.parameters()).device)


def compile_networks(module: nn.Module) -> int:
    """Compile the outermost modules that come from `nets`; physics stays as it is. Returns their number."""
    compiled = 0
    for child in module.children():
        if type(child).__module__.startswith("spinecho.nets."):
            child.compile(dynamic=True)
            compiled += 1
        else:
            compiled += compile_networks(child)
    return compiled
