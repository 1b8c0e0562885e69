"""From the encoded grid to the image wanted: crop to the field of view, interpolate to the matrix."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from spinecho.core.encoding import Encoding
from spinecho.core.image import Image
from spinecho.ops.fourier import fft, ifft
from spinecho.ops.sampling import centre_crop


def resample(x: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Fourier-interpolate (*, z, y, x) to another matrix over the same field of view; values keep their scale."""
    old = x.shape[-3:]
    if tuple(old) == tuple(shape):
        return x
    factor = (shape[0] * shape[1] * shape[2] / (old[0] * old[1] * old[2])) ** 0.5
    y = ifft(centre_crop(fft(x.to(x.dtype.to_complex())), shape)) * factor
    return y if x.is_complex() else y.abs()


def to_recon_grid(image: Image, encoding: Encoding) -> Image:
    """Crop to the field of view wanted, then interpolate to the matrix wanted; the geometry follows."""
    cropped, wanted = encoding.cropped_matrix, encoding.recon_matrix
    if tuple(image.values.shape[-3:]) == cropped == wanted:
        return image
    if tuple(image.values.shape[-3:]) != encoding.matrix:
        return image

    def fit(x: Tensor) -> Tensor:
        return resample(centre_crop(x, cropped), wanted)

    geometries = tuple(g.centre_cropped(cropped).resized(wanted) for g in image.geometries)
    extras = {k: fit(v) for k, v in image.extras.items()}
    return replace(image, values=fit(image.values), geometries=geometries, extras=extras)
