"""Denoising: what it takes away, what it leaves alone, and what it says."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import spinecho
from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.ops.wavelet import Wavelet
from spinecho.tasks.denoise import run
from spinecho.tasks.denoise.methods import unet
from spinecho.tasks.denoise.methods.wavelet import subbands
from spinecho.tasks.denoise.parts.level import noise_level

GEOMETRY = Geometry.from_frame((3.0, -2.0, 7.0), np.eye(3), (0.9, 0.9, 4.0), (3, 64, 56))


def picture() -> torch.Tensor:
    """An ellipse with waves and an edge, (1, 3, 64, 56)."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, 64), torch.linspace(-1, 1, 56), indexing="ij")
    inside = ((x / 0.8).square() + (y / 0.9).square() < 1).float()
    return (inside * (0.6 + 0.2 * torch.sin(6 * x + 4 * y) + 0.2 * (x > 0.2))).expand(1, 3, 64, 56).clone()


def noisy(level: float, seed: int = 0, phase: bool = False) -> Image:
    """With Gaussian noise; complex with a phase where asked."""
    rng = torch.Generator().manual_seed(seed)
    noise = level * torch.randn(1, 3, 64, 56, 2, generator=rng)
    if not phase:
        return Image(values=picture() + noise[..., 0], geometries=(GEOMETRY,))
    y, x = torch.meshgrid(torch.linspace(-1, 1, 64), torch.linspace(-1, 1, 56), indexing="ij")
    values = picture() * torch.polar(torch.ones(()), 2 * x + y * y) + torch.view_as_complex(noise)
    return Image(values=values, geometries=(GEOMETRY,))


def psnr(image: Image) -> float:
    return float(-10 * (image.values.abs() - picture()).square().mean().log10())


@pytest.mark.parametrize(("level", "gain"), [(0.02, 0.5), (0.05, 2.0), (0.15, 5.0)])
@pytest.mark.parametrize("phase", [False, True])
def test_noise_is_taken_away(level, gain, phase):
    before = noisy(level, phase=phase)
    after = spinecho.denoise(before)
    assert psnr(after) > psnr(before) + gain
    assert after.values.dtype == before.values.dtype and after.geometry is before.geometry


@pytest.mark.parametrize("factor", [1e-9, 1e9])
def test_units_change_nothing(factor):
    one = noisy(0.05)
    other = Image(values=one.values * factor, geometries=(GEOMETRY,))
    torch.testing.assert_close(
        spinecho.denoise(other).values / factor, spinecho.denoise(one).values, rtol=1e-4, atol=1e-6
    )


def test_a_clean_image_stays_as_it_is():
    image = Image(values=torch.full((1, 2, 40, 40), 3.0), geometries=(Geometry((2, 40, 40), np.eye(4)),))
    torch.testing.assert_close(spinecho.denoise(image).values, image.values)
    dark = Image(values=torch.zeros(1, 2, 40, 40), geometries=(Geometry((2, 40, 40), np.eye(4)),))
    assert not spinecho.denoise(dark).values.any()


def test_strength_zero_is_the_identity():
    image = noisy(0.1)
    torch.testing.assert_close(spinecho.denoise(image, strength=0.0).values, image.values, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("level", [0.01, 0.1, 1.0])
@pytest.mark.parametrize("complex_", [False, True])
def test_the_level_of_pure_noise_is_found(level, complex_):
    rng = torch.Generator().manual_seed(1)
    noise = torch.randn(1, 4, 64, 64, 2, generator=rng) * level
    values = torch.view_as_complex(noise) if complex_ else noise[..., 0]
    expected = level * 2**0.5 if complex_ else level
    assert float(noise_level(values)) == pytest.approx(expected, rel=0.03)


def test_masked_voxels_say_nothing_about_the_noise():
    image = noisy(0.05).values
    masked = torch.where(torch.arange(64)[:, None] < 30, torch.zeros(()), image)
    assert float(noise_level(masked)) == pytest.approx(float(noise_level(image)), rel=0.15)
    assert float(noise_level(torch.zeros(1, 1, 8, 8))) == 0


def test_frames_are_denoised_one_by_one_and_the_history_tells_the_levels():
    values = torch.stack([noisy(0.02).values, noisy(0.2, seed=1).values])
    series = Image(values=values, geometries=(GEOMETRY,), axes=("time",))
    together = spinecho.denoise(series, "wavelet")
    for i, level in enumerate((0.02, 0.2)):
        alone = spinecho.denoise(Image(values=values[i], geometries=(GEOMETRY,)), "wavelet")
        torch.testing.assert_close(together.values[i], alone.values)
        assert f"{level:g}"[:3] in together.header.history[-1] or "to" in together.header.history[-1]
    assert together.axes == ("time",) and "denoised by wavelet, noise found" in together.header.history[-1]


def test_bad_input_is_told():
    image = noisy(0.1)
    image.values[0, 0, 0, 0] = torch.nan
    with pytest.raises(DataError, match="NaN or infinite"):
        spinecho.denoise(image)
    with pytest.raises(DataError, match="sigma is -1"):
        spinecho.denoise(noisy(0.1), sigma=-1)
    with pytest.raises(DataError, match="there is no denoise method 'magic'"):
        spinecho.denoise(noisy(0.1), "magic")


def test_subbands_are_all_coefficients_but_the_coarsest_and_none_twice():
    W = Wavelet((64, 56), "db2", 3)
    count = torch.zeros(64, 56)
    for box in subbands(W):
        count[box] += 1
    y, x = W.coarse
    assert not count[:y, :x].any()
    count[:y, :x] = 1
    assert bool((count == 1).all())


def test_the_network_knows_no_scale_and_no_phase_reference():
    torch.manual_seed(0)
    method = unet.Method(unet.Config(channels=(6, 8), blocks=(1, 1)))
    torch.nn.init.normal_(method.network.leave.weight, std=0.1)
    image = noisy(0.1, phase=True).values
    sigma = torch.tensor(0.14)
    with torch.no_grad():
        one, other = method(image, sigma), method(7 * image, 7 * sigma)
    torch.testing.assert_close(7 * one, other, rtol=1e-4, atol=1e-5)
    odd = image[..., :37, :41]
    with torch.no_grad():
        assert method(odd, sigma).shape == odd.shape and not method(odd.real.contiguous(), sigma).is_complex()


def test_noise_outside_the_card_is_warned_of(monkeypatch):
    method = unet.Method(unet.Config(channels=(4,), blocks=(1,)))
    method.weights, method.card = "mine", {"noise": [0.1, 0.5]}
    monkeypatch.setattr(run, "built", lambda *_: method)
    assert spinecho.denoise(noisy(0.3), "unet").header.warnings == ()
    (warning,) = spinecho.denoise(noisy(0.02), "unet").header.warnings
    assert warning.startswith("outside the card of mine: noise 0.0") and warning.endswith("(card: 0.1 to 0.5)")


@pytest.mark.parametrize("noise", ["gaussian", "rician"])
def test_strength_zero_leaves_magnitudes_alone_too(noise):
    image = Image(values=noisy(0.1).values.abs(), geometries=(GEOMETRY,))
    after = spinecho.denoise(image, "wavelet", strength=0.0, sigma=0.1, noise=noise)
    torch.testing.assert_close(after.values, image.values, rtol=1e-5, atol=1e-6)
