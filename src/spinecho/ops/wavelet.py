"""Orthogonal wavelets on images and volumes of any size, as one small matrix product per axis and level."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import cast

import torch
from torch import Tensor

from spinecho.ops.linop import LinearOperator

FILTERS: dict[str, tuple[float, ...]] = {
    "haar": (0.7071067811865476, 0.7071067811865476),
    "db2": (0.48296291314453414, 0.8365163037378079, 0.22414386804201339, -0.12940952255126037),
    "db4": (
        0.23037781330885523,
        0.71484657055254153,
        0.63088076792959036,
        -0.02798376941698385,
        -0.18703481171888114,
        0.03084138183598697,
        0.03288301166698295,
        -0.01059740178499728,
    ),
}
"""Low-pass filters, sum sqrt(2), with one, two and four vanishing moments (Daubechies 1992, table 6.1)."""

_SMALLEST = 16
"""An axis shorter than this is left as it is."""


@lru_cache(maxsize=64)
def _step(name: str, n: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """One level along an axis of length n, (n, n) orthogonal: first ceil(n / 2) rows low-pass, the rest high-pass.

    Rows are the periodic filters. For odd n they meet with a step of one at the seam, where they are not quite
    orthogonal; the polar factor is the nearest orthogonal matrix, and for even n the same matrix.
    """
    with torch.inference_mode(False):
        low = torch.tensor(FILTERS[name], dtype=torch.float64)
        high = low.flip(0) * torch.tensor([1.0, -1.0], dtype=torch.float64).repeat(len(low) // 2)
        matrix = torch.zeros((n, n), dtype=torch.float64)
        for row in range(n):
            even = row < (n + 1) // 2
            start = 2 * (row if even else row - (n + 1) // 2)
            columns = (torch.arange(len(low)) + start - len(low) // 2 + 1) % n
            matrix[row].index_add_(0, columns, low if even else high)
        if n % 2:
            matrix = _polar(matrix)
        return matrix.to(dtype=dtype, device=device)


def _polar(matrix: Tensor) -> Tensor:
    """The orthogonal matrix nearest to a square one."""
    u, _, vh = cast("tuple[Tensor, Tensor, Tensor]", torch.linalg.svd(matrix))  # pyright: ignore[reportUnknownMemberType]
    return u @ vh


def _along(matrix: Tensor, x: Tensor, dim: int) -> Tensor:
    """Matrix times real x along dim (-1, -2 or -3)."""
    if dim == -1:
        return x @ matrix.mT
    if dim == -2:
        return matrix @ x
    return (matrix @ x.flatten(-2)).reshape(x.shape)


class Wavelet(LinearOperator):
    """W x: Daubechies coefficients of an image, in the image's shape, W^H W = W W^H = 1.

    The coarse part lies at the start of each axis (Mallat's pyramid), with periodic edges. Axes shorter than 16
    points are not transformed. A complex x is transformed as two real ones.

    Parameters
    ----------
    shape
        Of the last axes of x.
    name
        One of FILTERS.
    n_levels
        How often the coarse part is halved; fewer where an axis becomes too short. Default: as often as possible.

    Source: Daubechies 1992; Mallat 1989, doi:10.1109/34.192463. Odd sizes: see `_step`, ours.
    """

    def __init__(self, shape: Sequence[int], name: str = "db4", n_levels: int | None = None) -> None:
        super().__init__()
        self.shape, self.name = tuple(shape), name
        self.levels: list[tuple[int, ...]] = []
        size = self.shape
        while any(n >= _SMALLEST for n in size) and (n_levels is None or len(self.levels) < n_levels):
            self.levels.append(size)
            size = tuple((n + 1) // 2 if n >= _SMALLEST else n for n in size)
        self.coarse = size

    def forward(self, x: Tensor) -> Tensor:
        return self.shifted(x, (0,) * len(self.shape))

    def adjoint(self, y: Tensor) -> Tensor:
        return self.unshifted(y, (0,) * len(self.shape))

    def normal(self, x: Tensor) -> Tensor:
        """The identity."""
        return x

    def shifted(self, x: Tensor, shift: Sequence[int]) -> Tensor:
        """W of x rolled by -shift, without rolling x: the shift goes into the first level's matrices."""
        if x.is_complex():
            return torch.complex(self.shifted(x.real, shift), self.shifted(x.imag, shift))
        out = x
        for i, size in enumerate(self.levels):
            block = out[(..., *(slice(n) for n in size))]
            for dim, n in _axes(size):
                matrix = _step(self.name, n, x.dtype, x.device)
                block = _along(matrix.roll(shift[dim], 1) if i == 0 and shift[dim] else matrix, block, dim)
            out = block if i == 0 else _put(out, block, size)
        return out

    def unshifted(self, y: Tensor, shift: Sequence[int]) -> Tensor:
        """The inverse of `shifted`."""
        if y.is_complex():
            return torch.complex(self.unshifted(y.real, shift), self.unshifted(y.imag, shift))
        out = y
        for i, size in reversed(list(enumerate(self.levels))):
            block = out[(..., *(slice(n) for n in size))]
            for dim, n in _axes(size):
                matrix = _step(self.name, n, y.dtype, y.device)
                block = _along((matrix.roll(shift[dim], 1) if i == 0 and shift[dim] else matrix).mT, block, dim)
            out = block if i == 0 else _put(out, block, size)
        return out


def _axes(size: tuple[int, ...]) -> list[tuple[int, int]]:
    return [(i - len(size), n) for i, n in enumerate(size) if n >= _SMALLEST]


def _put(x: Tensor, block: Tensor, size: tuple[int, ...]) -> Tensor:
    x = x.clone()
    x[(..., *(slice(n) for n in size))] = block
    return x
