"""Dropout: points hidden at random and features dropped at random, and the network predicts the points hidden.

Source: Quan et al. 2020, Self2Self with dropout, doi:10.1109/CVPR42600.2020.00196: what is dropped anew in each step
makes many different networks of one, whose errors on a single noisy image do not agree, so that together they do not
learn its noise by heart. The loss is that of `ssdu` on the hidden points. How we differ: points of k-space are hidden
(theirs of the image), in all coils alike; features are dropped before every layer that gives as many as it takes
(theirs in the second half of the network); the images of many drops are not averaged at the end, for the weights are
used as all others are, with nothing dropped.

Points, not lines: of each measured line most is seen. Where lines were skipped, the gaps that the network learns to
fill are narrower than those of the scan; where the mask scatters points they are of one kind.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spinecho.core.kspace import KSpace
from spinecho.tasks.recon.base import Recon
from spinecho.tasks.recon.parts.division import Divided, divide, indivisible
from spinecho.tasks.recon.parts.losses import How, ssdu

FEATURES = 0.1
"""The share dropped; Self2Self drops 0.3, of a network that is used once, not in every step of an unrolled one."""


def refusal(kspace: KSpace) -> str | None:
    """As ssdu."""
    return indivisible(kspace)


def drawn(kspace: KSpace, rng: torch.Generator, how: How) -> Divided:
    """The scan with its divisions by points."""
    return divide(kspace, how.share, how.masks, rng, weighted=how.weighted, points=True)


def loss(method: Recon, example: Divided) -> Tensor:
    """Of ssdu, through a network with gaps; which ones comes from torch's own state, which the training sets."""
    with dropped(method):
        return ssdu.loss(method, example)


@contextmanager
def dropped(method: nn.Module) -> Iterator[None]:
    """Within it, layers of features see only a part of them, as much larger."""
    with ExitStack() as stack:
        for layer in method.modules():
            if _keeps(layer):
                stack.callback(layer.register_forward_pre_hook(_drop).remove)
        yield


def _keeps(layer: nn.Module) -> bool:
    """Whether it gives as many channels as it takes: such layers take features, never an image."""
    match layer:
        case nn.Conv2d() | nn.Conv3d():
            return layer.in_channels == layer.out_channels
        case nn.Linear():
            return layer.in_features == layer.out_features
        case _:
            return False


def _drop(layer: nn.Module, seen: tuple[Any, ...]) -> tuple[Any, ...]:
    return (F.dropout(seen[0], FEATURES), *seen[1:])
