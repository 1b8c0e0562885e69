"""A piece of a label map in contrasts that share their anatomy, their texture and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from spinecho.core.chance import chance, integer, uniform
from spinecho.sim.anatomy import texture, tissue_signals
from spinecho.sim.contrast import SEQUENCES
from spinecho.sim.tissue import TISSUES
from spinecho.tasks.translate.examples.planted import places_of_tissues, planted
from spinecho.train.label_maps import around_brain

_UNLIKE = 0.08
"""The logarithm of how far a tissue's brightness is from the textbook's, standard deviation"""
_TEXTURE = 0.04
_BRIGHTEST = 2.5
"""In units of the brain's median twice over: fat would outweigh the brain"""
_LEAST_LIGHT, _LOOKS = 0.3, 6


def rendered(
    tissues: np.ndarray,
    contrasts: Sequence[str],
    shape: tuple[int, int, int],
    rng: torch.Generator,
    lesions: float = 0.0,
) -> tuple[list[Tensor], Tensor]:
    """Blocks (z, y, x) of a map of tissues, in units of `parts.level`; lesions in a share of them, which comes along.

    The level is that of the whole head, by its tissues' shares; blocks of slices lie across the first axis.
    """
    box = tuple(slice(None) for _ in shape)
    for _ in range(_LOOKS):
        starts = [integer(rng, max(1, n - m + 1)) for n, m in zip(tissues.shape, shape, strict=True)]
        box = tuple(slice(a, a + m) for a, m in zip(starts, shape, strict=True))
        if (tissues[box] > 0).mean() > _LEAST_LIGHT:
            break
    piece = tissues[box]
    missing = [(0, m - n) for n, m in zip(piece.shape, shape, strict=True)]
    places = torch.from_numpy(np.pad(piece, missing)).long()
    uneven = 1 + _TEXTURE * uniform(rng) * (texture(shape, rng, 1.0) - 1)
    here = around_brain(places, rng) if chance(rng, 0.5) else places > 0
    soft = uniform(rng, 0, 0.7)
    made = [_softer(_brightness(name, rng)[places] * uneven, soft) * here for name in contrasts]
    if not chance(rng, lesions):
        return made, torch.zeros(shape)
    return planted(made, contrasts, places_of_tissues(places), rng)


def _brightness(contrast: str, rng: torch.Generator) -> Tensor:
    """Of each place in `TISSUES`: the signal equation's, a little off, a grey and white brain being 0.5."""
    signals = tissue_signals(SEQUENCES[contrast])
    off = torch.exp(_UNLIKE * torch.randn(len(TISSUES), generator=rng))
    values = torch.tensor([signals[name] for name in TISSUES], dtype=torch.float32) * off
    names = list(TISSUES)
    white, grey = (values[names.index(f"{name} matter")] for name in ("white", "grey"))
    values = values / (white + grey)
    return values.clamp_max(_BRIGHTEST)


def _softer(values: Tensor, share: float) -> Tensor:
    """Edges as voxels that hold two tissues have them."""
    blurred = F.avg_pool2d(values[:, None], 3, 1, 1, count_include_pad=False)[:, 0]
    return torch.lerp(values, blurred, share)
