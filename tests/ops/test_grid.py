"""From the encoded grid to the one wanted: interpolation by formula, crops, geometry."""

from __future__ import annotations

import math

import pytest
import torch

from spinecho.core.encoding import Encoding
from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.ops.grid import resample, to_recon_grid

FREQUENCIES = ((0, 0, 1.5), (1, -1, 0.4 + 0.2j), (-1, 2, 0.3j), (2, 1, -0.2))


def band_limited(ny: int, nx: int) -> torch.Tensor:
    """A sum of a few waves over one field of view, on any grid whose index n // 2 is the origin."""
    y, x = ((torch.arange(n, dtype=torch.float64) - n // 2) / n for n in (ny, nx))
    parts = (a * torch.exp(2j * math.pi * (ky * y[:, None] + kx * x)) for ky, kx, a in FREQUENCIES)
    return sum(parts, torch.zeros(ny, nx, dtype=torch.complex128))[None]


def image(values: torch.Tensor, **extras: torch.Tensor) -> Image:
    shape = tuple(values.shape[-3:])
    g = Geometry.from_frame((1.0, 2.0, 3.0), torch.eye(3).numpy(), (2.0, 1.0, 5.0), shape)
    return Image(values=values, geometries=(g,), extras=extras)


@pytest.mark.parametrize("old", [(6, 7), (8, 8), (9, 6)])
@pytest.mark.parametrize("new", [(6, 6), (7, 12), (16, 9), (8, 8)])
def test_band_limited_functions_are_evaluated_exactly(old, new):
    torch.testing.assert_close(resample(band_limited(*old), (1, *new)), band_limited(*new))


def test_there_and_back_again(rng):
    x = torch.randn((2, 1, 5, 7), dtype=torch.complex128, generator=rng)
    torch.testing.assert_close(resample(resample(x, (1, 8, 11)), (1, 5, 7)), x)
    assert resample(x, (1, 5, 7)) is x


def test_along_z_too():
    x = band_limited(7, 9).movedim(-3, -2)
    torch.testing.assert_close(resample(x, (14, 1, 12)), band_limited(14, 12).movedim(-3, -2))


def test_magnitudes_stay_real_and_keep_their_mean():
    x = band_limited(7, 9).real + 2
    y = resample(x, (1, 14, 10))
    assert y.dtype == x.dtype
    torch.testing.assert_close(y.mean(), x.mean())


def test_crops_first_and_interpolates_after():
    """20 columns over 40 mm, of which the inner 20 mm are wanted with 20 columns again."""
    encoding = Encoding(
        matrix=(1, 8, 20), recon_matrix=(1, 8, 20), fov_mm=(5.0, 8.0, 40.0), recon_fov_mm=(5.0, 8.0, 20.0)
    )
    assert encoding.cropped_matrix == (1, 8, 10)
    inner = band_limited(8, 10)
    values = torch.nn.functional.pad(inner, (5, 5))[None].to(torch.complex64)
    gfactor = values.abs() + 1
    out = to_recon_grid(image(values, gfactor=gfactor), encoding)
    torch.testing.assert_close(out.values[0], band_limited(8, 20).to(torch.complex64))
    assert out.extras["gfactor"].shape == (1, 1, 8, 20) and not out.extras["gfactor"].is_complex()
    assert out.geometry.voxel_mm == pytest.approx((1.0, 1.0, 5.0))
    assert out.geometry.to_world((10, 4, 0)) == pytest.approx((1.0, 2.0, 3.0)), "the middle stays where it was"


def test_a_readout_without_oversampling_is_a_plain_crop(rng):
    values = torch.randn((1, 1, 6, 12), dtype=torch.complex64, generator=rng)
    encoding = Encoding(matrix=(1, 6, 12), recon_matrix=(1, 6, 6))
    out = to_recon_grid(image(values), encoding)
    assert torch.equal(out.values, values[..., 3:9])
    assert out.geometry.to_voxel(image(values).geometry.to_world((3, 0, 0))) == pytest.approx((0, 0, 0))


def test_what_fits_already_or_lies_on_another_grid_is_left_alone(rng):
    fits = image(torch.randn((1, 1, 6, 12), dtype=torch.complex64, generator=rng))
    assert to_recon_grid(fits, Encoding.cartesian((1, 6, 12))) is fits
    assert to_recon_grid(fits, Encoding(matrix=(1, 6, 20), recon_matrix=(1, 6, 10))) is fits


@pytest.mark.parametrize(
    ("fov", "recon_fov", "cropped"),
    [
        ((1.0, 10.0, 20.0), (1.0, 10.0, 10.0), (1, 8, 10)),
        ((1.0, 10.0, 20.0), (1.0, 15.0, 20.0), (1, 12, 20)),
        ((1.0, 10.0, 0.0), (1.0, 10.0, 10.0), (1, 8, 32)),
        ((1000.0, 10.0, 20.0), (1.0, 10.0, 20.0), (1, 8, 20)),
        (None, (1.0, 10.0, 20.0), (2, 16, 32)),
        ((1.0, 10.0, 20.0), None, (2, 16, 32)),
    ],
)
def test_sizes_of_the_crop(fov, recon_fov, cropped):
    encoding = Encoding(matrix=(1, 8, 20), recon_matrix=(2, 16, 32), fov_mm=fov, recon_fov_mm=recon_fov)
    assert encoding.cropped_matrix == cropped
