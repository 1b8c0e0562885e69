"""The one centred, unitary Fourier transform; nothing else in the package calls torch.fft."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from spinecho.ops.linop import LinearOperator

SPATIAL = (-3, -2, -1)
_fft: Any = torch.fft  # torch ships no types for it


def fft(x: Tensor, dims: Sequence[int] = SPATIAL) -> Tensor:
    """Image to k-space: y_k = n^(-1/2) sum_r x_r exp(-2 pi i k r / n), with k = 0 and r = 0 at index n // 2."""
    dims = tuple(dims)
    y = _fft.fftn(_fft.ifftshift(x, dims), dim=dims, norm="ortho")
    return _fft.fftshift(y, dims)


def ifft(y: Tensor, dims: Sequence[int] = SPATIAL) -> Tensor:
    """k-space to image: the inverse and the adjoint of `fft`."""
    dims = tuple(dims)
    x = _fft.ifftn(_fft.ifftshift(y, dims), dim=dims, norm="ortho")
    return _fft.fftshift(x, dims)


def plain_fft(x: Tensor, dims: Sequence[int]) -> Tensor:
    """Unitary, from index 0 to index 0: for those who bring the phases of `centring` themselves."""
    return _fft.fftn(x, dim=tuple(dims), norm="ortho") if dims else x


def plain_ifft(y: Tensor, dims: Sequence[int]) -> Tensor:
    """The inverse and the adjoint of `plain_fft`."""
    return _fft.ifftn(y, dim=tuple(dims), norm="ortho") if dims else y


def centring(n: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Phases (a, b) along k and r with ifft(y) = b plain_ifft(a y) and fft(x) = conj(a) plain_fft(conj(b) x).

    A centred transform without copies that shift: with c = n // 2, a_k = exp(-2 pi i c (k - c) / n) and
    b_r = exp(-2 pi i c r / n), which are real signs where n is even. In the precision and on the device of `like`.
    """
    r = torch.arange(n, device=like.device)
    dtype = like.real.dtype

    def phase(steps: Tensor) -> Tensor:
        if n % 2 == 0:
            return (1 - 2 * (steps % 2)).to(dtype)
        angle = (-2 * math.pi / n) * ((n // 2) * steps % n).double()
        return torch.polar(torch.ones_like(angle), angle).to(
            torch.complex128 if dtype == torch.float64 else torch.complex64
        )

    return phase(r - n // 2), phase(r)


def spectrum_order(response: Tensor, dims: Sequence[int] = SPATIAL) -> Tensor:
    """A centred array along k with k = 0 moved to index 0, as `convolve` wants it."""
    return _fft.ifftshift(response, tuple(dims)) if dims else response


def convolve(x: Tensor, response: Tensor, dims: Sequence[int]) -> Tensor:
    """F^-1 (response . F x) along dims, response in spectrum order.

    A circular convolution commutes with shifts, so that x may be centred or not and nothing is copied to shift it.
    """
    dims = tuple(dims)
    if not dims:
        return x * response
    return _fft.ifftn(_fft.fftn(x, dim=dims).mul_(response), dim=dims)


def spectrum(kernel: Tensor) -> Tensor:
    """The spectrum of a centred convolution kernel (*, z, y, x), in spectrum order and unscaled."""
    return _fft.fftn(_fft.ifftshift(kernel, SPATIAL), dim=SPATIAL)


def padded_convolve(x: Tensor, response: Tensor) -> Tensor:
    """F^-1 (response . F x) with x zero-padded to the size of response, cut back to x's own size.

    With a response twice as long as x this is a linear convolution. Each axis is padded just before its transform and
    cut just after, so that rows of zeros are never transformed.
    """
    dims = [d for d in (-1, -2, -3) if response.shape[d] > 1]
    y = x
    for d in dims:
        y = _fft.fft(y, n=response.shape[d], dim=d)
    y = y * response
    for d in reversed(dims):
        y = _fft.ifft(y, dim=d).narrow(d, 0, x.shape[d])
    return y


class Fourier(LinearOperator):
    """Centred unitary FFT over the given axes (by default z, y, x): F^H F = 1."""

    def __init__(self, dims: Sequence[int] = SPATIAL) -> None:
        super().__init__()
        self.dims = tuple(dims)

    def forward(self, x: Tensor) -> Tensor:
        return fft(x, self.dims)

    def adjoint(self, y: Tensor) -> Tensor:
        return ifft(y, self.dims)

    def normal(self, x: Tensor) -> Tensor:
        """The identity."""
        return x
