"""Non-Cartesian trajectories (k2, k1, k0, 3): (kx, ky, kz) in cycles per field of view, k1 the spoke or interleave."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from spinecho.core.errors import DataError

GOLDEN_DEG = 180 / ((1 + 5**0.5) / 2)
"""111.246 degrees (Winkelmann et al. 2007, doi:10.1109/TMI.2006.885337)."""


def radial(
    n_spokes: int, n_samples: int, matrix: int, *, golden: bool = True, first: int = 0
) -> Float[Tensor, "1 spoke sample 3"]:
    """Spokes through the centre in the x-y plane; sample n_samples // 2 of each lies at k = 0.

    Parameters
    ----------
    n_spokes, n_samples
        Spokes, and samples along each (2 x matrix for twofold readout oversampling).
    matrix
        Image size N: the spokes reach +-N/2 cycles per field of view.
    golden
        Angles advance by the golden angle, else they divide 180 degrees evenly.
    first
        Number of the first spoke, for golden-angle series.
    """
    step = GOLDEN_DEG if golden else 180 / n_spokes
    angle = torch.deg2rad((torch.arange(n_spokes, dtype=torch.float64) + first) * step)[:, None]
    radius = (torch.arange(n_samples, dtype=torch.float64) - n_samples // 2) * (matrix / n_samples)
    return _plane(radius * torch.cos(angle), radius * torch.sin(angle))


def spiral(
    n_interleaves: int, n_samples: int, matrix: int, *, density_power: float = 1.0
) -> Float[Tensor, "1 interleave sample 3"]:
    """Spirals outwards, |k| = (N/2) s^p, each turned against the last by 360 degrees over their number.

    Source: Ahn, Kim, Cho 1986, doi:10.1109/TMI.1986.4307732; time runs at constant speed along the path instead of by
    gradient limits.

    Parameters
    ----------
    n_interleaves, n_samples
        Interleaves, and samples along each.
    matrix
        Image size N; all interleaves together have turns one cycle per field of view apart at the edge.
    density_power
        p: above 1 the centre is denser than the edge.
    """
    if density_power < 1:
        raise DataError(f"a spiral with density power {density_power:g}", do="give 1 or more")
    turns = density_power * matrix / (2 * n_interleaves)
    fine = torch.linspace(0, 1, 16 * n_samples, dtype=torch.float64)
    k = matrix / 2 * torch.polar(fine**density_power, 2 * math.pi * turns * fine)
    length = torch.cat([fine[:1], k.diff().abs().cumsum(0)])
    wanted = torch.linspace(0, float(length[-1]), n_samples, dtype=torch.float64)
    s = fine[torch.searchsorted(length, wanted).clamp_max(len(fine) - 1)]
    arm = matrix / 2 * torch.polar(s**density_power, 2 * math.pi * turns * s)
    turn = 2 * math.pi * torch.arange(n_interleaves, dtype=torch.float64) / n_interleaves
    k = torch.polar(torch.ones_like(turn), turn)[:, None] * arm
    return _plane(k.real, k.imag)


def _plane(kx: Tensor, ky: Tensor) -> Tensor:
    return torch.stack([kx, ky, torch.zeros_like(kx)], -1).float()[None]
