"""Named ways in which an image lost its detail: along each axis a linear map, as a matrix, so with an exact adjoint.

Low and high resolution cover one field: voxel m of n_low lies at p_m = (m + 1/2) r - 1/2 of n_high, r = n_high / n_low.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from spinecho.core.errors import DataError, setting
from spinecho.ops.fourier import fft, ifft

Name = Literal["kspace", "blur", "slices"]
NAMES: tuple[Name, ...] = ("kspace", "blur", "slices")
Profile = Literal["box", "gaussian"]
WIDTHS = (0.2, 2.0)
Maps = Sequence[Tensor | None]
"""A matrix for each of z, y, x; None: the axis stays as it is."""

_FWHM = 2 * math.sqrt(2 * math.log(2))
_PRODUCTS = ("ni,...iyx->...nyx", "ni,...zix->...znx", "ni,...zyi->...zyn")


@dataclass(frozen=True)
class Degradation:
    """What was lost along one axis.

    Parameters
    ----------
    name
        `kspace`: the outer k-space was not measured; `blur`: a Gaussian and every r-th place; `slices`: thick slices.
    width
        In voxels of the low resolution: full width of the Gaussian at half maximum; the thickness of a slice over the
        distance between slices, so that 0.8 is a gap of a fifth. It says nothing for `kspace`.
    profile
        Of `slices`.
    """

    name: Name
    width: float = 1.0
    profile: Profile = "box"

    def __post_init__(self) -> None:
        if not WIDTHS[0] <= self.width <= WIDTHS[1]:
            told = f"the degradation is {self.width:g} voxels wide"
            raise DataError(told, do=f"give {WIDTHS[0]:g} to {WIDTHS[1]:g} of the coarse voxel")

    def __str__(self) -> str:
        if self.name == "kspace":
            return "k-space truncation"
        if self.name == "blur":
            return f"Gaussian blur of {self.width:.3g} coarse voxels and decimation"
        return f"thick slices ({self.profile}, {self.width:.3g} of their distance)"

    def matrix(self, n_low: int, n_high: int) -> Float[Tensor, "n_low n_high"]:
        """Low resolution from high, float64; rows sum to 1."""
        if not 0 < n_low <= n_high:
            raise DataError(f"{n_high} voxels cannot lose detail to {n_low}", do="give fewer voxels, at least 1")
        if self.name == "kspace":
            return _truncation(n_low, n_high)
        gaussian = self.name == "blur" or self.profile == "gaussian"
        return _profiles(n_low, n_high, self.width, _normal if gaussian else _box)


def along(values: Shaped[Tensor, "*n z y x"], maps: Maps) -> Shaped[Tensor, "*n z2 y2 x2"]:
    """Each axis times its matrix; what shrinks most goes first."""
    chosen = [(m.shape[0] / m.shape[1], axis, m) for axis, m in enumerate(maps) if m is not None]
    for _, axis, matrix in sorted(chosen, key=lambda row: row[:2]):
        values = torch.einsum(_PRODUCTS[axis], matrix.to(values), values)
    return values


def transposed(maps: Maps) -> list[Tensor | None]:
    """The adjoint map."""
    return [None if m is None else m.T for m in maps]


def maps_of(degradations: Sequence[Degradation | None], low: Sequence[int], high: Sequence[int]) -> list[Tensor | None]:
    """The matrices of a volume's axes; None where nothing is lost."""
    rows = zip(degradations, low, high, strict=True)
    return [None if d is None or a == b else d.matrix(a, b) for d, a, b in rows]


def degradation(name: str, width: float | None, profile: Profile = "box") -> Degradation:
    """From what a person gives.

    Raises
    ------
    DataError
        If there is no such degradation; it lists the known ones.
    """
    if name not in NAMES:
        raise DataError(f"{setting('degradation', name)} is not known", do=f"known are {', '.join(NAMES)}")
    return Degradation(NAMES[NAMES.index(name)], 1.0 if width is None else width, profile)


def places(n_low: int, n_high: int) -> Float[Tensor, " n_low"]:
    """p_m, float64."""
    ratio = n_high / n_low
    return (torch.arange(n_low, dtype=torch.float64) + 0.5) * ratio - 0.5


def _truncation(n_low: int, n_high: int) -> Tensor:
    """y = F_low^-1 S C F_high x: the middle of k-space, and a phase that puts voxel m at p_m."""
    spectrum = fft(torch.eye(n_high, dtype=torch.complex128), (0,))
    first = n_high // 2 - n_low // 2
    kept = spectrum[first : first + n_low]
    k = torch.arange(n_low, dtype=torch.float64) - n_low // 2
    shift = (n_low // 2) / n_low + (n_high / n_low / 2 - 0.5 - n_high // 2) / n_high
    phase = torch.polar(torch.full_like(k, (n_low / n_high) ** 0.5), 2 * math.pi * k * shift)
    return ifft(phase[:, None] * kept, (0,)).real.contiguous()


def _profiles(n_low: int, n_high: int, width: float, cumulated: Callable[[Tensor], Tensor]) -> Tensor:
    """The share of each fine voxel in a profile of that width about each p_m; rows sum to 1 at the edges, too."""
    edges = torch.arange(n_high + 1, dtype=torch.float64) - 0.5
    reached = (edges - places(n_low, n_high)[:, None]) / (width * n_high / n_low)
    weights = cumulated(reached).diff(dim=1)
    return weights / weights.sum(1, keepdim=True)


def _box(x: Tensor) -> Tensor:
    return (x + 0.5).clamp(0, 1)


def _normal(x: Tensor) -> Tensor:
    return 0.5 * (1 + torch.erf(x * (_FWHM / math.sqrt(2))))
