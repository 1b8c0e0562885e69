"""What is known of a head before any detail: the regions of its brain, and how bright a T1 shows them."""

from __future__ import annotations

from typing import Protocol, cast

import torch
from jaxtyping import Float
from torch import Tensor

from spinecho.core.image import Image
from spinecho.methods.pretrained import built
from spinecho.sim.anatomy import tissue_signals
from spinecho.sim.contrast import SEQUENCES
from spinecho.sim.tissue import TISSUES
from spinecho.tasks.superres.parts.regressed import regressed
from spinecho.train.label_maps import tissues

_WIDTHS = (2.0, 6.0)
"""Of the windows in voxels: the smaller follows the regions, the larger the image"""
N_KNOWN = len(_WIDTHS) + 2
"""Channels: the image's detail in a T1's brightness, by small windows first; that brightness by regions alone; where
brain and fluid are."""
_BRIGHTEST = 1.2
"""White matter being 1: fat would outweigh the brain"""
_LEAST_ML = 20


class _Names(Protocol):
    """A method that knows regions."""

    def labelled(self, image: Image) -> Tensor: ...


def brightness() -> Float[Tensor, " tissue"]:
    """Of each of `TISSUES` in a T1, by its signal equation; white matter is 1."""
    signals = tissue_signals(SEQUENCES["t1"])
    return torch.tensor([signals[name] for name in TISSUES], dtype=torch.float32).clamp_max(_BRIGHTEST)


def channels(
    image: Float[Tensor, "z y x"], wanted: Float[Tensor, "z y x"], share: Float[Tensor, "z y x"]
) -> tuple[Float[Tensor, "z y x"], Float[Tensor, "k z y x"]]:
    """The image, its mean where something is known being 1, and what is known of it."""
    mean = (image * share).sum() / share.sum().clamp_min(1)
    image = image / (mean if float(mean) > 0 else image.abs().max().clamp_min(1e-6) / 2)
    return image, torch.stack([*(regressed(image, wanted, share, width) for width in _WIDTHS), wanted, share])


def of_regions(image: Image) -> tuple[Float[Tensor, "z y x"], Float[Tensor, "z y x"]]:
    """How bright a T1 would be, and where brain and fluid are (1, elsewhere 0), by the regions of a volume.

    Nothing anywhere if there is hardly any brain.
    """
    device = image.values.device
    labels = cast(_Names, built("segment", "regions", {}, device)).labelled(image)[0].cpu()
    wanted, labels = brightness()[tissues(labels).long()].to(device), labels.to(device)
    known = (labels > 0) & (image.values[0] != 0)
    x, y, z = image.geometry.voxel_mm
    if float(known.sum()) * x * y * z < 1000 * _LEAST_ML:
        known = torch.zeros_like(known)
    return wanted * known, known.float()
