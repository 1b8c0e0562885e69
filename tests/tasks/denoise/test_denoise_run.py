"""Nothing that a person must know is lost: masks, units, whole numbers, thin images, signs, clean images."""

from __future__ import annotations

import pytest
import torch
from noisy_heads import gaussian, head, image, magnitude, psnr

import spinecho
from spinecho.core.errors import DataError
from spinecho.tasks.denoise import run

TRUTH = head((4, 48, 40))


@pytest.mark.parametrize("name", ["wavelet", "unet", "nlmeans"])
def test_masks_stay_zero(name):
    values = magnitude(TRUTH, 0.08) * (TRUTH > 0)
    after = spinecho.denoise(image(values), name).values
    assert not after[:, :, :8, :8].any() and float(after[TRUTH > 0.3].min()) > 0


def test_whole_numbers_are_taken_in_their_units():
    values = (magnitude(TRUTH, 0.1) * 1000).round().to(torch.int32)
    after = spinecho.denoise(image(values))
    assert after.values.is_floating_point() and psnr(after.values / 1000, TRUTH) > psnr(values / 1000, TRUTH) + 3
    assert float(after.extras["noise"].median()) == pytest.approx(100, rel=0.1)


@pytest.mark.parametrize("shape", [(1, 48, 40), (12, 48, 1), (1, 1, 30), (1, 1, 1)])
def test_thin_images_come_back_in_their_shape(shape):
    values = magnitude(torch.ones(1, *shape), 0.1)
    assert spinecho.denoise(image(values)).values.shape == values.shape
    assert spinecho.denoise(image(values), sigma=0.1).values.shape == values.shape


def test_negative_values_are_no_magnitudes():
    values = gaussian(TRUTH, 0.1)
    after = spinecho.denoise(image(values), "wavelet")
    assert "Gaussian" in after.header.history[-1] and float(after.values[TRUTH == 0].mean()) == pytest.approx(
        0, abs=0.02
    )
    with pytest.raises(DataError, match="negative values, so it is not a magnitude"):
        spinecho.denoise(image(values), noise="rician")
    with pytest.raises(DataError, match="noise is 'loud'"):
        run._check(image(values), None, "loud")


def test_what_has_no_noise_is_left_alone_and_told():
    clean = spinecho.denoise(image(gaussian(TRUTH, 1e-3) + 3))
    assert torch.equal(clean.values, gaussian(TRUTH, 1e-3) + 3) and "left as it is" in clean.header.history[-2]
    flat = spinecho.denoise(image(TRUTH))
    assert torch.equal(flat.values, TRUTH) and "no noise was found" in flat.header.history[-2]
    forced = spinecho.denoise(image(gaussian(TRUTH, 1e-3) + 3), "wavelet", sigma=1e-3)
    assert not torch.equal(forced.values, clean.values)


def test_the_history_tells_kind_and_place():
    told = spinecho.denoise(image(magnitude(TRUTH, 0.1)), "wavelet").header.history[-1]
    assert told.startswith("denoised by wavelet, noise found 0.") and "Rician; measured in air" in told
    given = spinecho.denoise(image(magnitude(TRUTH, 0.1)), "wavelet", sigma=0.1, noise="gaussian").header.history[-1]
    assert given == "denoised by wavelet, noise given as 0.1 (Gaussian)"


def test_noise_of_several_channels_loses_its_floor():
    values = magnitude(TRUTH, 0.06, 4)
    after = spinecho.denoise(image(values), "wavelet")
    assert "chi of" in after.header.history[-1]
    assert float(after.values[TRUTH == 0].mean()) < 0.4 * float(values[TRUTH == 0].mean())


def test_varying_noise_is_evened_and_given_back():
    truth = head((24, 96, 88))
    gain = torch.exp(torch.linspace(-1, 1, 88))
    values = magnitude(truth, 0.05 * gain)
    after = spinecho.denoise(image(values), "wavelet")
    level = after.extras["noise"]
    assert level.shape == values.shape and float(level[..., -8:].mean()) > 3 * float(level[..., :8].mean())
    inside = truth > 0.1
    assert psnr(after.values[inside], truth[inside]) > psnr(values[inside], truth[inside]) + 2


def test_series_keep_a_level_for_each_volume():
    values = torch.stack([magnitude(TRUTH, level) for level in (0.04, 0.12)])
    after = spinecho.denoise(image(values, ("time",)), "wavelet")
    assert after.extras["noise"].shape == values.shape
    levels = after.extras["noise"].flatten(1).median(1).values
    assert levels.tolist() == pytest.approx([0.04, 0.12], rel=0.1)
