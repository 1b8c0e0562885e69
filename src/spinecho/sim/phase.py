"""Smooth image phase: what B0, eddy currents and the transmit field leave in a real scan."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from spinecho.sim.phantom import coordinates


@dataclass(frozen=True)
class Phase:
    """phi(u) = sum_j amplitude_j cos(2 pi f_j . u + offset_j), in radians, with u in fields of view.

    Parameters
    ----------
    amplitudes, offsets
        rad, one per wave.
    frequencies
        (fx, fy, fz) of each wave, cycles per field of view.
    """

    amplitudes: tuple[float, ...]
    offsets: tuple[float, ...]
    frequencies: tuple[tuple[float, float, float], ...]

    def on(self, shape: tuple[int, int, int]) -> Float[Tensor, "1 z y x"]:
        """phi on a grid (z, y, x), rad, float32; one slice lies at z = 0."""
        z, y, x = coordinates(shape)
        total = torch.zeros(shape, dtype=torch.float64)
        for a, o, (fx, fy, fz) in zip(self.amplitudes, self.offsets, self.frequencies, strict=True):
            total += a * torch.cos(2 * math.pi * (fx * x + fy * y + fz * z) + o)
        return total.float()[None]


def sample_phase(generator: torch.Generator, *, strength: float = 1.0, n_waves: int = 5, highest: float = 1.0) -> Phase:
    """Draw a smooth phase.

    Parameters
    ----------
    strength
        Root mean square of phi about its mean, rad, roughly.
    n_waves
        Number of waves; one more of frequency 0 makes a random constant.
    highest
        Largest frequency along each axis, cycles per field of view.
    """
    draw = torch.rand(n_waves, 5, generator=generator, dtype=torch.float64)
    amplitudes = (draw[:, 0] + 0.5) * strength * (2 / n_waves) ** 0.5
    frequencies = (2 * draw[:, 2:] - 1) * highest
    constant = float(torch.rand(1, generator=generator)) * 2 * math.pi
    return Phase(
        (*amplitudes.tolist(), constant),
        (*(2 * math.pi * draw[:, 1]).tolist(), 0.0),
        (*((fx, fy, fz) for fx, fy, fz in frequencies.tolist()), (0.0, 0.0, 0.0)),
    )
