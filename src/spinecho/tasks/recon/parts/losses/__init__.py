"""What learned methods are trained to make small: files of this folder by name, with `spinecho train --loss NAME`.

A file there is a loss. Its docstring says what it compares, and it offers what `Rule` says; nothing is registered. All
but `supervised` want no truth: a scan's own samples take its place.

SSDU and the zero-shot learning built on it (ZS-SSL; here the losses `ssdu` and `equivariant`, and the method
`zero_shot`) are named in US patent application 17/075,411; `noise2inverse`, `noise2noise` and `dropout` divide samples
in the same way. The code here is spinecho's own, which changes nothing about a patent: find out whether it concerns you
before you use them in a product.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

from spinecho.core.errors import DataError, setting

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from spinecho.core.kspace import KSpace
    from spinecho.tasks.recon.base import Recon

SUPERVISED = "supervised"


@dataclass(frozen=True, kw_only=True)
class How:
    """What a person decides about losses without a truth.

    Parameters
    ----------
    share
        Of a scan's outer lines (`dropout`: points) that the method does not see, over 0 and below 1.
    masks
        Divisions of each scan in each step.
    weighted
        Whether sparsely measured regions of k-space count more (`parts.division`).
    equivariance
        Weight of the equivariance term.
    """

    share: float = 0.4
    masks: int = 1
    weighted: bool = True
    equivariance: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise DataError(f"{setting('loss_share')} is {self.share:g}", do="give a share over 0 and below 1")
        if self.masks < 1:
            raise DataError(f"{setting('loss_masks')} is {self.masks}", do="give 1 or more")
        if self.equivariance < 0:
            raise DataError(f"{setting('equivariance')} is {self.equivariance:g}", do="give 0 or more")


@runtime_checkable
class Rule(Protocol):
    """`losses/NAME.py`."""

    def refusal(self, kspace: KSpace) -> str | None:
        """Why the loss cannot be made of a prepared scan, as one sentence; None if it can."""
        ...

    def drawn(self, kspace: KSpace, rng: torch.Generator, how: How) -> Any:
        """An example of a prepared scan: all that is drawn for it, from a generator of its own."""
        ...

    def loss(self, method: Recon, example: Any) -> Tensor:
        """A scalar; of examples that were joined the mean of what each has alone."""
        ...


def names() -> Sequence[str]:
    """The files of the folder, sorted."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__))


def rule(name: str) -> Rule:
    """The module of a loss.

    Raises
    ------
    DataError
        If there is none of that name.
    """
    if name not in names():
        raise DataError(f"there is no loss {name!r}", do=f"known are {', '.join(names())}")
    return cast(Rule, import_module(f"{__name__}.{name}"))
