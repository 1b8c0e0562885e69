"""Locally low rank: shrink the singular values of every block of pixels over the frames of a series."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor


def shrink_blocks(x: Tensor, threshold: float, block: int, shift: Sequence[int] = (0, 0, 0)) -> Tensor:
    """argmin_u 1/2 |u - x|^2 + threshold * sum_b |U_b|_* for blocks b of block^3 pixels, at most the grid's size.

    U = X V f V^H with f = max(1 - threshold / s, 0), where V and s^2 are eigenvectors and -values of X^H X, frames x
    frames: a block has more pixels than frames, and batched SVD is many times slower.

    Parameters
    ----------
    x
        (*batch, z, y, x, frame), complex.
    threshold
        What is taken off each singular value.
    block
        Side of a block in pixels.
    shift
        Where the blocks begin along z, y, x; pixels beyond the edge are taken for zero.

    Source: Cai, Candes, Shen, SIAM J Optim 2010, doi:10.1137/080738970, theorem 2.1.
    """
    matrices, sizes = to_blocks(x, block, shift)
    gram = matrices.mH @ matrices
    with _one_thread(gram):
        values, vectors = torch.linalg.eigh(gram)
    s = values.clamp_min(0).sqrt()
    keep = torch.where(s > threshold, 1 - threshold / s, 0).to(x.dtype)
    return from_blocks(matrices @ ((vectors * keep.unsqueeze(-2)) @ vectors.mH), x.shape, sizes, shift)


def largest_singular_value(x: Tensor, block: int) -> Tensor:
    """Of any block of (*batch, z, y, x, frame)."""
    matrices, _ = to_blocks(x, block, (0, 0, 0))
    with _one_thread(matrices):
        return torch.linalg.eigvalsh(matrices.mH @ matrices).amax().clamp_min(0).sqrt()


def noise_edge(grid: Sequence[int], block: int, n_frames: int) -> float:
    """Largest singular value of a block of independent noise with E|n|^2 = 1: sqrt(pixels) + sqrt(frames).

    Source: Marchenko and Pastur 1967, doi:10.1070/SM1967v001n04ABEH001994; Veraart et al. 2016,
    doi:10.1016/j.neuroimage.2016.08.016, for its use on series of images.
    """
    return math.sqrt(math.prod(min(block, n) for n in grid)) + math.sqrt(n_frames)


def to_blocks(x: Tensor, block: int, shift: Sequence[int]) -> tuple[Tensor, tuple[int, int, int]]:
    """(*batch, z, y, x, frame) as (block, pixel, frame), and the blocks' size."""
    grid = x.shape[-4:-1]
    size = tuple(min(block, n) for n in grid)
    low = [s % b for s, b in zip(shift, size, strict=True)]
    high = [-(n + a) % b for n, a, b in zip(grid, low, size, strict=True)]
    padding = [0, 0] + [p for a, b in zip(reversed(low), reversed(high), strict=True) for p in (a, b)]
    x = torch.nn.functional.pad(x.flatten(0, -5) if x.ndim > 4 else x.unsqueeze(0), padding)
    for axis, b in zip((1, 3, 5), size, strict=True):
        x = x.unflatten(axis, (-1, b))
    return x.permute(0, 1, 3, 5, 2, 4, 6, 7).flatten(4, 6).flatten(0, 3), (size[0], size[1], size[2])


def from_blocks(matrices: Tensor, shape: Sequence[int], size: tuple[int, int, int], shift: Sequence[int]) -> Tensor:
    """The inverse of `to_blocks`."""
    grid, n_frames = shape[-4:-1], shape[-1]
    low = [s % b for s, b in zip(shift, size, strict=True)]
    counts = [-(-(n + a) // b) for n, a, b in zip(grid, low, size, strict=True)]
    x = matrices.view(-1, *counts, *size, n_frames).permute(0, 1, 4, 2, 5, 3, 6, 7)
    x = x.flatten(5, 6).flatten(3, 4).flatten(1, 2)
    for axis, (a, n) in enumerate(zip(low, grid, strict=True), start=1):
        x = x.narrow(axis, a, n)
    return x.reshape(shape)


@contextmanager
def _one_thread(like: Tensor) -> Iterator[None]:
    """LAPACK starts threads anew for every matrix above 25 x 25, at up to a hundred times the price of the work."""
    n = torch.get_num_threads()
    if like.is_cuda or n == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n)
