"""Distance from the truth: what each method's own `loss` says; the scans must have one (full raw scans, images).

Source: that of the method; for most of them Sriram et al. 2020, doi:10.1007/978-3-030-59713-9_7 (an image against the
root sum of squares of all samples).
"""

from __future__ import annotations

import torch
from torch import Tensor

from spinecho.core.kspace import KSpace
from spinecho.tasks.recon.base import Recon
from spinecho.tasks.recon.parts.losses import How


def refusal(kspace: KSpace) -> str | None:
    """A scan without its truth."""
    return "it has no truth" if kspace.target is None else None


def drawn(kspace: KSpace, rng: torch.Generator, how: How) -> KSpace:
    """The scan as it is."""
    return kspace


def loss(method: Recon, example: KSpace) -> Tensor:
    """The method's own."""
    return method.loss(example)
