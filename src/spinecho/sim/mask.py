"""Sampling masks: which lines or points of a Cartesian grid are measured.

Every mask is boolean and broadcasts against samples (*batch, coil, k2, k1, k0): lines along k1 have shape
(1, 1, k1, 1), points of a 3-D scan (1, k2, k1, 1), a series (frame, 1, 1, k1, 1). The readout k0 is always full.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool
from torch import Tensor

from spinecho.core.errors import DataError

Lines = Bool[Tensor, "1 1 k1 1"]


def centre_lines(n: int, centre: float) -> int:
    """Number of central lines: a fraction of n below 1, a count from 1 on (0: none)."""
    if not 0 <= centre <= n:
        raise DataError(
            f"{centre:g} central lines were asked for, the grid has {n}", do="give a fraction below 1 or a count"
        )
    return round(centre * n) if centre < 1 else round(centre)


def central_block(n: int, n_centre: int) -> slice:
    """The n_centre indices around n // 2."""
    start = n // 2 - n_centre // 2
    return slice(start, start + n_centre)


def _check(accel: float) -> None:
    if not 1 <= accel < math.inf:
        raise DataError(f"the acceleration is {accel:g}", do="give 1 or more")


def _drawn(n: int, accel: float, centre: float, weights: Tensor, generator: torch.Generator) -> Lines:
    _check(accel)
    n_centre, n_lines = centre_lines(n, centre), round(n / accel)
    mask = torch.zeros(n, dtype=torch.bool)
    mask[central_block(n, n_centre)] = True
    if n_lines < max(n_centre, 1):
        raise DataError(
            f"{n} lines at acceleration {accel:g} are {n_lines}, fewer than one or the {n_centre} central ones",
            do="lower the acceleration or the number of central lines",
        )
    if n_lines > n_centre:
        mask[torch.multinomial(weights.masked_fill(mask, 0), n_lines - n_centre, generator=generator)] = True
    return mask.view(1, 1, n, 1)


def random_lines(n: int, accel: float, centre: float, generator: torch.Generator) -> Lines:
    """A full centre and uniformly drawn lines outside; exactly round(n / accel) lines together.

    Source: Zbontar et al., fastMRI, arXiv:1811.08839, section 4.1. There each line is drawn by itself, so that the
    number of lines varies; here it does not.

    Parameters
    ----------
    n
        Number of lines (k1).
    accel
        n over the number of measured lines, the central ones included.
    centre
        Central lines: a fraction of n below 1, a count from 1 on.
    """
    return _drawn(n, accel, centre, torch.ones(n), generator)


def gaussian_lines(n: int, accel: float, centre: float, generator: torch.Generator, width: float = 0.2) -> Lines:
    """As `random_lines`, denser towards the centre: Gaussian weights with standard deviation width * n lines."""
    distance = (torch.arange(n) - n // 2) / (width * n)
    return _drawn(n, accel, centre, torch.exp(-0.5 * distance.square()), generator)


def equispaced_lines(
    n: int, accel: float, centre: float, offset: int | None = None, *, generator: torch.Generator | None = None
) -> Lines:
    """Every accel-th line and a full centre (the net acceleration is lower): what GRAPPA wants.

    Parameters
    ----------
    offset
        First line; None: drawn from the generator, or, without one, such that line n // 2 is measured.
    """
    _check(accel)
    if accel != int(accel):
        raise DataError(f"equispaced lines at acceleration {accel:g}", do="give a whole number")
    accel = int(accel)
    if offset is None:
        offset = n // 2 if generator is None else int(torch.randint(accel, (1,), generator=generator))
    mask = torch.zeros(n, dtype=torch.bool)
    mask[offset % accel :: accel] = True
    mask[central_block(n, centre_lines(n, centre))] = True
    return mask.view(1, 1, n, 1)


def equispaced_grid(
    shape: tuple[int, int], accel: tuple[int, int], calib: tuple[int, int], shift: int = 0
) -> Bool[Tensor, "1 k2 k1 1"]:
    """Every accel-th point along both phase encodes of a 3-D scan and a full central block.

    Parameters
    ----------
    shape, accel, calib
        Grid, factor and size of the central block along (k2, k1).
    shift
        Steps along k1 by which each next measured row is moved (CAIPIRINHA; Breuer et al. 2006,
        doi:10.1002/mrm.20787).
    """
    (n2, n1), (r2, r1) = shape, accel
    mask = torch.zeros(n2, n1, dtype=torch.bool)
    for row, k2 in enumerate(range(n2 // 2 % r2, n2, r2)):
        mask[k2, (n1 // 2 + row * shift) % r1 :: r1] = True
    mask[central_block(n2, calib[0]), central_block(n1, calib[1])] = True
    return mask.view(1, n2, n1, 1)


def partial_fourier(n: int, fraction: float) -> Lines:
    """The last round(fraction * n) lines: the scan begins just before the centre."""
    if not 0.5 < fraction <= 1:
        raise DataError(f"a partial Fourier fraction of {fraction:g}", do="give more than 0.5 and at most 1")
    mask = torch.zeros(n, dtype=torch.bool)
    mask[n - round(fraction * n) :] = True
    return mask.view(1, 1, n, 1)


def kt_lines(
    n_frames: int, n: int, accel: float, centre: float, generator: torch.Generator
) -> Bool[Tensor, "frame 1 1 k1 1"]:
    """Equispaced lines whose offset changes from frame to frame: any accel successive frames measure every line.

    Source: Tsao, Boesiger, Pruessmann, k-t BLAST and k-t SENSE, 2003, doi:10.1002/mrm.10611 (sheared grid); here the
    order of the offsets is a random permutation, repeated.
    """
    _check(accel)
    order = torch.randperm(int(accel), generator=generator).tolist()
    return torch.stack([equispaced_lines(n, accel, centre, order[t % len(order)]) for t in range(n_frames)])


def kt_random_lines(
    n_frames: int, n: int, accel: float, centre: float, generator: torch.Generator
) -> Bool[Tensor, "frame 1 1 k1 1"]:
    """`random_lines` drawn again for each frame."""
    return torch.stack([random_lines(n, accel, centre, generator) for _ in range(n_frames)])
