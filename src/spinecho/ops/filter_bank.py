"""One level of an orthogonal two-channel filter bank along one axis: low-pass half, high-pass half, and back."""

from __future__ import annotations

from functools import lru_cache
from typing import cast

import torch
from torch import Tensor

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

_BLOCK = 8
"""Coefficients of each channel that one small matrix makes."""

_SHORT = 64
"""Below this length one matrix for the whole axis is as fast."""


def analyse(x: Tensor, dim: int, name: str, shift: int = 0) -> Tensor:
    """Coefficients of real x along dim (< 0) after a roll by -shift: ceil(n / 2) low-pass, then the high-pass ones.

    The filters have few taps, so that a block of coefficients needs only its own stretch of x: overlapping windows of
    the periodic x, a view without a copy, times one small matrix. Not recorded for gradients (see `ops.wavelet`).
    """
    n = x.shape[dim]
    if not _blockwise(x, n):
        return _product(dense(name, n, x.dtype, x.device).roll(shift, 1), x, dim)
    matrix = _analysis(name, x.dtype)
    n_blocks = -(-n // (2 * _BLOCK))
    length = (n_blocks - 1) * 2 * _BLOCK + matrix.shape[1]
    wrapped = _wrapped(_lines(x, dim), shift + 1 - len(FILTERS[name]) // 2, length)
    blocks = _banded(wrapped, matrix, 2 * _BLOCK, n_blocks)
    channels = blocks.reshape(len(blocks), n_blocks, 2, _BLOCK, -1).transpose(1, 2).flatten(2, 3)
    return channels[:, :, : n // 2].reshape(x.shape)


def synthesise(w: Tensor, dim: int, name: str, shift: int = 0) -> Tensor:
    """The inverse and transpose of `analyse`."""
    n = w.shape[dim]
    if not _blockwise(w, n):
        return _product(dense(name, n, w.dtype, w.device).roll(shift, 1).mT, w, dim)
    first, odd = divmod(-shift % n, 2)
    reach, low, high = _synthesis(name, odd, w.dtype)
    n_blocks = -(-n // (2 * _BLOCK))
    length = (n_blocks - 1) * _BLOCK + low.shape[1]
    lines = _lines(w, dim)
    blocks = _banded(_wrapped(lines[:, : n // 2], first + reach, length), low, _BLOCK, n_blocks)
    _banded(_wrapped(lines[:, n // 2 :], first + reach, length), high, _BLOCK, n_blocks, blocks)
    return blocks.flatten(1, 2)[:, :n].reshape(w.shape)


def _blockwise(x: Tensor, n: int) -> bool:
    """Blocks pay on a CPU; a GPU does one large product in the time of starting it."""
    return n % 2 == 0 and n >= _SHORT and x.device.type == "cpu"


def _lines(x: Tensor, dim: int) -> Tensor:
    """(before, n, after): the axis dim between all others."""
    x = x.flatten(dim + 1) if dim < -1 else x.unsqueeze(-1)
    return x.flatten(0, -3) if x.ndim > 2 else x.unsqueeze(0)


def _wrapped(x: Tensor, start: int, length: int) -> Tensor:
    """x[:, start : start + length], periodic."""
    n = x.shape[1]
    parts: list[Tensor] = []
    while length > 0:
        start %= n
        parts.append(x[:, start : start + length])
        length -= parts[-1].shape[1]
        start = 0
    return torch.cat(parts, 1)


def _banded(x: Tensor, matrix: Tensor, step: int, n_blocks: int, onto: Tensor | None = None) -> Tensor:
    """matrix @ x[:, i step : i step + width] for each block i, (before, n_blocks, rows, after); added onto the last."""
    rows, width = matrix.shape
    before, length, after = x.shape
    if after == 1:
        windows = x.as_strided((n_blocks, before, width), (step, length, 1))
        out = x.new_empty((n_blocks, before, rows)) if onto is None else onto[..., 0].transpose(0, 1)
        torch.baddbmm(out, windows, matrix.mT.expand(n_blocks, -1, -1), beta=int(onto is not None), out=out)
        return out.transpose(0, 1).unsqueeze(-1)
    out = x.new_empty((before, n_blocks, rows, after)) if onto is None else onto
    for lines, blocks in zip(x, out, strict=True):
        windows = lines.as_strided((n_blocks, width, after), (step * after, after, 1), lines.storage_offset())
        torch.baddbmm(blocks, matrix.expand(n_blocks, -1, -1), windows, beta=int(onto is not None), out=blocks)
    return out


@lru_cache(maxsize=16)
def _analysis(name: str, dtype: torch.dtype) -> Tensor:
    """(2 BLOCK, 2 BLOCK + taps - 2): a block of low-pass and one of high-pass coefficients."""
    with torch.inference_mode(False):
        matrix = torch.zeros((2, _BLOCK, 2 * _BLOCK + len(FILTERS[name]) - 2), dtype=torch.float64)
        for channel, taps in enumerate(_taps(name)):
            for row in range(_BLOCK):
                matrix[channel, row, 2 * row : 2 * row + len(taps)] = taps
        return matrix.flatten(0, 1).to(dtype)


@lru_cache(maxsize=32)
def _synthesis(name: str, odd: int, dtype: torch.dtype) -> tuple[int, Tensor, Tensor]:
    """(first, low, high): 2 BLOCK points from index `odd` on, out of each channel's coefficients from `first` on."""
    with torch.inference_mode(False):
        n_taps = len(FILTERS[name])
        points = torch.arange(2 * _BLOCK)[:, None] + odd
        first, last = (odd - n_taps // 2 + 1) // 2, (odd + 2 * _BLOCK + n_taps // 2 - 2) // 2
        tap = points - 2 * torch.arange(first, last + 1) + n_taps // 2 - 1
        within = (tap >= 0) & (tap < n_taps)
        low, high = ((taps[tap.clamp(0, n_taps - 1)] * within).to(dtype) for taps in _taps(name))
        return first, low, high


def _taps(name: str) -> tuple[Tensor, Tensor]:
    low = torch.tensor(FILTERS[name], dtype=torch.float64)
    return low, low.flip(0) * torch.tensor([1.0, -1.0], dtype=torch.float64).repeat(len(low) // 2)


@lru_cache(maxsize=64)
def dense(name: str, n: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """One level along an axis of length n, (n, n) orthogonal: first ceil(n / 2) rows low-pass, the rest high-pass.

    Rows are the periodic filters. For odd n they meet with a step of one at the seam, where they are not quite
    orthogonal; the polar factor is the nearest orthogonal matrix, and for even n the same matrix.
    """
    with torch.inference_mode(False):
        low, high = _taps(name)
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


def _product(matrix: Tensor, x: Tensor, dim: int) -> Tensor:
    """Matrix times real x along dim (-1, -2 or -3)."""
    if dim == -1:
        return x @ matrix.mT
    if dim == -2:
        return matrix @ x
    return (matrix @ x.flatten(-2)).reshape(x.shape)
