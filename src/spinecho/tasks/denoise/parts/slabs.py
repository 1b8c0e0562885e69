"""Networks that see a slice with its neighbours: how magnitudes go through them, and what they learn."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor
from torch.nn import functional as F

from spinecho.nets.tiles import halo_for, in_tiles
from spinecho.tasks.denoise.parts.noise import Noise
from spinecho.tasks.denoise.parts.patches import Patches

Network = Callable[[Tensor], Tensor]
_AT_ONCE = 2**20
"""Pixels that go through the network together"""
_FLOOR = 0.05
"""Errors below this share of the noise count no more: every level is then learned alike"""
N_TOLD = 2
"""Channels beside the slices: the noise level, and the same again where the noise is Rician (0 where Gaussian)"""


def complexity(values: Shaped[Tensor, "n z y x"]) -> str | None:
    """Why a network for real images cannot take this one; None if it can."""
    return "it takes real images, and this one is complex" if values.is_complex() else None


def denoised(
    network: Network, values: Float[Tensor, "n z y x"], noise: Noise, neighbours: int, radius: int, coarsest: int
) -> Float[Tensor, "n z y x"]:
    """Every slice with its neighbours through a network, in tiles without seams where slices are large.

    Parameters
    ----------
    neighbours
        Slices on either side that the network sees; beyond the first and the last these are repeated.
    radius, coarsest
        How far the network sees, and its coarsest pixel.
    """
    done: list[Tensor] = []
    side = max(coarsest, int(_AT_ONCE**0.5) // coarsest * coarsest)
    for volume in values:
        n = len(volume)
        at_once = max(1, _AT_ONCE // volume[0].numel())
        for first in range(0, n, at_once):
            middle = torch.arange(first, min(first + at_once, n), device=volume.device)
            offsets = torch.arange(-neighbours, neighbours + 1, device=volume.device)
            slab = volume[(middle[:, None] + offsets).clamp(0, n - 1)]
            level = noise.sigma.expand(len(slab))
            is_rician = torch.full([len(slab)], noise.is_magnitude, device=volume.device)
            whole = padded(slab, coarsest)
            x = told(whole, level, is_rician)
            out = in_tiles(network, x, side, halo_for(radius, coarsest))
            done.append((whole[:, neighbours] - out[:, 0])[..., : volume.shape[-2], : volume.shape[-1]])
    return torch.cat(done).reshape(values.shape)


def estimate(network: Network, patches: Patches, neighbours: int, coarsest: int) -> Float[Tensor, "n y x"]:
    """The middle slices of patches with less noise; single slices stand for their neighbours."""
    slab, is_rician = patches.slab, patches.is_rician
    if slab is None or is_rician is None:
        slab = patches.noisy.real[:, None].expand(-1, 2 * neighbours + 1, -1, -1)
        is_rician = torch.zeros(len(slab), dtype=torch.bool, device=slab.device)
    spare = slab.shape[1] // 2 - neighbours
    assert spare >= 0, "the network sees more slices than these patches have"
    slab, size = slab[:, spare : slab.shape[1] - spare], slab.shape[-2:]
    x = told(padded(slab, coarsest), patches.level, is_rician)
    return slab[:, neighbours] - network(x)[:, 0, : size[0], : size[1]]


def loss(network: Network, patches: Patches, neighbours: int, coarsest: int) -> Float[Tensor, ""]:
    """log of the mean squared error, so that strong and weak noise count alike."""
    error = (estimate(network, patches, neighbours, coarsest) - patches.clean.real).square().mean((-2, -1))
    return (error + (_FLOOR * patches.level).square()).log().mean()


def told(
    slab: Float[Tensor, "n s y x"], level: Float[Tensor, " n"], is_rician: Bool[Tensor, " n"]
) -> Float[Tensor, "n c y x"]:
    """The slices with the channels that tell the noise."""
    kinds = torch.stack([level, level * is_rician], 1)
    return torch.cat([slab, kinds[:, :, None, None].expand(-1, -1, *slab.shape[-2:])], 1)


def padded(slab: Tensor, coarsest: int) -> Tensor:
    """Up to whole coarsest pixels, edges repeated."""
    missing = [-n % coarsest for n in slab.shape[-2:]]
    return F.pad(slab, (0, missing[1], 0, missing[0]), mode="replicate") if any(missing) else slab
