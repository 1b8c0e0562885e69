"""An exponential moving average of the weights: a <- d a + (1 - d) w; it is what a run hands out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Average:
    """The moving average of a module's trainable parameters, on their device.

    Source: Polyak and Juditsky 1992, doi:10.1137/0330046, for averaging; exponential here, so that the start is
    forgotten.
    """

    def __init__(self, module: nn.Module) -> None:
        self.values = {name: p.detach().clone() for name, p in module.named_parameters() if p.requires_grad}

    @torch.no_grad()
    def update(self, module: nn.Module, decay: float) -> None:
        """One step: `decay` of the average stays."""
        parameters = dict(module.named_parameters())
        for name, value in self.values.items():
            value.lerp_(parameters[name], 1 - decay)

    @torch.no_grad()
    def load(self, values: Mapping[str, Tensor]) -> None:
        """Take over an average that was saved."""
        for name, value in self.values.items():
            value.copy_(values[name])

    @contextmanager
    def within(self, module: nn.Module) -> Iterator[None]:
        """The module has the average as its parameters, and its own again afterwards."""
        own = {name: p.detach().clone() for name, p in module.named_parameters() if name in self.values}
        _put(module, self.values)
        try:
            yield
        finally:
            _put(module, own)


@torch.no_grad()
def _put(module: nn.Module, values: Mapping[str, Tensor]) -> None:
    for name, p in module.named_parameters():
        if name in values:
            p.copy_(values[name])
