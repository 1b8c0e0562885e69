"""Orthogonal wavelets on images and volumes of any size: a filter bank along each axis, level by level."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor

from spinecho.ops.filter_bank import analyse, synthesise
from spinecho.ops.linop import LinearOperator

_SMALLEST = 16
"""An axis shorter than this is left as it is."""


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

    Source: Daubechies 1992; Mallat 1989, doi:10.1109/34.192463. Odd sizes: see `ops.filter_bank.dense`, ours.
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
        """W of x rolled by -shift, without rolling x: the shift goes into the first level."""
        return _apply(x, self, shift, False)

    def unshifted(self, y: Tensor, shift: Sequence[int]) -> Tensor:
        """The inverse of `shifted`."""
        return _apply(y, self, shift, True)


class _Transform(torch.autograd.Function):
    """W or its inverse; the gradient of one is the other, and neither keeps anything for it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, W: Wavelet, shift: tuple[int, ...], inverse: bool) -> Tensor:
        ctx.plan = W, shift, inverse
        parts = torch.view_as_real(x.resolve_conj()).movedim(-1, 0) if x.is_complex() else x
        out = _up(parts, W, shift) if inverse else _down(parts, W, shift)
        return torch.complex(out[0], out[1]) if x.is_complex() else out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        W, shift, inverse = ctx.plan
        return _apply(grads[0], W, shift, not inverse), None, None, None


def _apply(x: Tensor, W: Wavelet, shift: Sequence[int], inverse: bool) -> Tensor:
    return cast(Tensor, _Transform.apply(x, W, tuple(shift), inverse))  # pyright: ignore[reportUnknownMemberType]


def _down(x: Tensor, W: Wavelet, shift: tuple[int, ...]) -> Tensor:
    out = x if W.levels else x.clone()
    for i, size in enumerate(W.levels):
        corner = _corner(size)
        block = out[corner]
        for dim in _axes(size):
            block = analyse(block, dim, W.name, 0 if i else shift[dim])
        if i == 0:
            out = block
        else:
            out[corner] = block
    return out


def _up(y: Tensor, W: Wavelet, shift: tuple[int, ...]) -> Tensor:
    out = y.clone(memory_format=torch.contiguous_format)
    for i, size in reversed(list(enumerate(W.levels))):
        corner = _corner(size)
        block = out[corner]
        for dim in _axes(size):
            block = synthesise(block, dim, W.name, 0 if i else shift[dim])
        if i == 0:
            out = block
        else:
            out[corner] = block
    return out


def _axes(size: tuple[int, ...]) -> list[int]:
    return [i - len(size) for i, n in enumerate(size) if n >= _SMALLEST]


def _corner(size: tuple[int, ...]) -> tuple[Any, ...]:
    return (..., *(slice(n) for n in size))
