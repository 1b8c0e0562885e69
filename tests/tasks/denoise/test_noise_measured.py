"""The noise of an image from the image alone: kind, level, map; in air, in the object, at any scale."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from noisy_heads import gaussian, head, magnitude

from spinecho.tasks.denoise.parts.air import air
from spinecho.tasks.denoise.parts.even import even, masked
from spinecho.tasks.denoise.parts.level import details, magnitude_level
from spinecho.tasks.denoise.parts.magnitude import mean_of, signal_of, variance_at
from spinecho.tasks.denoise.parts.measure import measured, step_of
from spinecho.tasks.denoise.parts.noise import Noise

TRUTH = head()
LEVELS = (0.03, 0.05, 0.09, 0.15)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("factor", [1e-6, 1.0, 1e6])
def test_rician_noise_is_told_by_air(level, factor):
    noise = measured(magnitude(TRUTH, level) * factor)
    assert float(noise.sigma) / factor == pytest.approx(level, rel=0.03)
    assert (noise.kind, noise.relative) == ("rician", None) and "air" in noise.source and noise.named == "Rician"


@pytest.mark.parametrize("level", LEVELS)
def test_where_air_is_masked_the_objects_details_tell(level):
    noise = measured(magnitude(TRUTH, level) * (TRUTH > 0))
    assert float(noise.sigma) == pytest.approx(level, rel=0.1)
    assert noise.kind == "rician" and "finest details" in noise.source


@pytest.mark.parametrize("level", LEVELS)
def test_whole_numbers_change_little(level):
    values = (magnitude(TRUTH, level) * 180).round().clamp(0, 255).to(torch.uint8)
    assert step_of(values) == 1
    assert float(measured(values.float(), 1.0).sigma) == pytest.approx(180 * level, rel=0.05)


@pytest.mark.parametrize("n_channels", [2, 4, 8])
def test_several_channels_are_counted(n_channels):
    noise = measured(magnitude(TRUTH, 0.04, n_channels))
    assert noise.kind == "chi" and abs(noise.n_channels - n_channels) <= n_channels / 8
    assert float(noise.sigma) == pytest.approx(0.04, rel=0.1) and "channels" in noise.named


@pytest.mark.parametrize("level", [0.01, 0.05, 0.2])
def test_values_of_both_signs_and_complex_ones_are_gaussian(level):
    real = measured(gaussian(TRUTH, level))
    assert real.kind == "gaussian" and float(real.sigma) == pytest.approx(level, rel=0.08)
    values = gaussian(TRUTH * torch.polar(torch.ones(()), 3 * TRUTH), level * 2**0.5)
    complex_ = measured(values)
    assert complex_.kind == "gaussian" and float(complex_.sigma) == pytest.approx(level * 2**0.5, rel=0.08)
    assert not complex_.is_magnitude and complex_.named == "Gaussian"


@pytest.mark.parametrize("shape", [(1, 96, 80), (2, 96, 80)])
def test_few_slices_are_enough(shape):
    assert float(measured(magnitude(head(shape), 0.06)).sigma) == pytest.approx(0.06, rel=0.08)


def test_noise_that_varies_in_space_is_mapped():
    truth = head((24, 96, 88))
    y, x = torch.meshgrid(torch.linspace(-1, 1, 96), torch.linspace(-1, 1, 88), indexing="ij")
    gain = torch.exp(0.8 * x + 0.4 * y)
    noise = measured(magnitude(truth, 0.05 * gain))
    assert noise.relative is not None and "varies" in noise.source
    inside = truth[0] > 0.1
    ratio = (noise.sigma * noise.relative[0] / (0.05 * gain))[inside]
    assert float(ratio.log().abs().median()) < 0.12
    assert measured(magnitude(truth, 0.05)).relative is None


def test_an_object_is_not_taken_for_air():
    values = magnitude(TRUTH, 0.15) * (TRUTH > 0)
    assert air(values[0].numpy(), 0.0) is None or "no air" in measured(values).source
    assert float(measured(TRUTH).sigma) == 0


@pytest.mark.parametrize("values", [torch.zeros(1, 4, 16, 16), torch.ones(1, 1, 3, 3), torch.full((1, 2, 1, 9), 5.0)])
def test_nothing_to_measure_is_no_noise(values):
    assert float(measured(values).sigma) == 0


def test_steps_of_numbers():
    rng = torch.Generator().manual_seed(0)
    whole = torch.randint(0, 200, (4, 30, 30), generator=rng)
    assert step_of(whole) == 1 and step_of(whole.float()) == pytest.approx(1)
    assert step_of(whole.float() * 0.37 - 3) == pytest.approx(0.37, rel=1e-4)
    assert step_of(torch.rand(4, 30, 30, generator=rng)) == 0
    assert step_of(torch.zeros(2, 2, dtype=torch.complex64)) == 0


def test_moments_of_magnitudes_are_those_of_rayleigh_and_chi():
    assert mean_of(np.zeros(1))[0] == pytest.approx((math.pi / 2) ** 0.5, rel=1e-9)
    assert variance_at(np.array([(math.pi / 2) ** 0.5]))[0] == pytest.approx(2 - math.pi / 2, rel=1e-6)
    assert variance_at(np.array([39.0]))[0] == pytest.approx(1, abs=1e-3)
    for n in (1, 4):
        drawn = magnitude(torch.full((200_000,), 1.7), 1.0, n)
        mean = float(mean_of(np.array([1.7]), n)[0])
        assert mean == pytest.approx(float(drawn.mean()), rel=0.01)
        assert float(variance_at(np.array([mean]), n)[0]) == pytest.approx(float(drawn.var()), rel=0.02)


@given(st.floats(0.3, 100), st.floats(1e-6, 1e6), st.sampled_from([1, 2, 8]))
@settings(max_examples=40, deadline=None)
def test_the_signal_behind_a_mean_is_found(signal, sigma, n):
    mean = torch.tensor(float(mean_of(np.array([signal]), n)[0]) * sigma, dtype=torch.float64)
    found = float(signal_of(mean[None], torch.tensor(sigma, dtype=torch.float64), n)[0])
    assert found == pytest.approx(signal * sigma, rel=0.02)


def test_a_mean_below_that_of_noise_is_no_signal():
    assert not signal_of(torch.tensor([0.0, 0.5, 1.2]), torch.tensor(1.0)).any()


def test_few_details_give_no_level():
    assert magnitude_level(details(np.ones((1, 4, 4)))) == 0


def test_even_noise_has_no_map_and_one_channel():
    truth = head()
    values = magnitude(truth, 0.03, 4)
    relative = torch.linspace(0.5, 2, 64).expand(truth.shape).contiguous()
    plain, noise = even(values * relative, Noise(torch.tensor(0.03), "chi", 4, relative))
    assert (noise.kind, noise.n_channels, noise.relative) == ("rician", 1, None)
    wanted = (values.square() - 6 * 0.03**2).clamp_min(0).sqrt()
    torch.testing.assert_close(plain, wanted, rtol=1e-4, atol=1e-4)
    air_ = plain[truth == 0]
    assert float(air_.square().mean()) == pytest.approx(2 * 0.03**2, rel=0.35)


def test_masks_are_squares_of_zeros():
    values = torch.ones(1, 1, 12, 12)
    values[..., :4, :] = 0
    values[..., 8, 8] = 0
    found = masked(values)
    assert bool(found[..., :4, :].all()) and not bool(found[..., 4:, :].any())
    assert not masked(torch.ones(1, 2, 2, 2)).any() and masked(torch.zeros(1, 2, 2, 2)).all()


def test_noise_moves_and_scales():
    noise = Noise(torch.tensor(2.0), "rician", relative=torch.ones(1, 2, 2, 2))
    assert float(noise.scaled(0.5).to("cpu").sigma) == 1 and noise.to("cpu").relative is not None
