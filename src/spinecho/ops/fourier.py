"""The one centred, unitary Fourier transform; nothing else in the package calls torch.fft."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from spinecho.ops.linop import LinearOperator

SPATIAL = (-3, -2, -1)


def fft(x: Tensor, dims: Sequence[int] = SPATIAL) -> Tensor:
    """Image to k-space: y_k = n^(-1/2) sum_r x_r exp(-2 pi i k r / n), with k = 0 and r = 0 at index n // 2."""
    dims = tuple(dims)
    y = torch.fft.fftn(torch.fft.ifftshift(x, dims), dim=dims, norm="ortho")
    return torch.fft.fftshift(y, dims)


def ifft(y: Tensor, dims: Sequence[int] = SPATIAL) -> Tensor:
    """k-space to image: the inverse and the adjoint of `fft`."""
    dims = tuple(dims)
    x = torch.fft.ifftn(torch.fft.ifftshift(y, dims), dim=dims, norm="ortho")
    return torch.fft.fftshift(x, dims)


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
