"""Magnitudes with noise against closed forms and scipy's distributions; what becomes of faint signals; even noise."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from noisy_heads import head, magnitude
from scipy import stats

from spinecho.tasks.denoise.parts.even import even, masked
from spinecho.tasks.denoise.parts.magnitude import mean_of, restored, signal_of, variance_at
from spinecho.tasks.denoise.parts.noise import Noise

ONE = torch.tensor(1.0, dtype=torch.float64)
CHANNELS = (1, 2, 4, 16)


def at(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_one_channel_without_signal_is_rayleigh():
    assert mean_of(np.zeros(1))[0] == pytest.approx(stats.rayleigh.mean(), rel=1e-9)
    assert variance_at(np.array([stats.rayleigh.mean()]))[0] == pytest.approx(stats.rayleigh.var(), rel=1e-9)


@pytest.mark.parametrize("n", CHANNELS)
def test_channels_without_signal_are_chi_of_twice_as_many(n):
    mean = float(mean_of(np.zeros(1), n)[0])
    assert mean == pytest.approx(stats.chi.mean(2 * n), rel=1e-9)
    assert variance_at(np.array([mean]), n)[0] == pytest.approx(stats.chi.var(2 * n), rel=1e-6)


@pytest.mark.parametrize("a", [0.25, 1.0, 3.3, 9.7, 30.0])
def test_one_channel_with_signal_is_rice(a):
    mean, variance = (float(m) for m in stats.rice.stats(a, moments="mv"))
    assert mean_of(np.array([a]))[0] == pytest.approx(mean, rel=1e-4)
    assert variance_at(np.array([mean]))[0] == pytest.approx(variance, rel=1e-3)


@pytest.mark.parametrize("n", CHANNELS)
@pytest.mark.parametrize("a", [0.5, 2.0, 8.0])
def test_the_mean_square_is_that_of_noncentral_chi_square(n, a):
    mean = float(mean_of(np.array([a]), n)[0])
    square = mean**2 + float(variance_at(np.array([mean]), n)[0])
    assert square == pytest.approx(stats.ncx2.mean(2 * n, a**2), rel=1e-3)


@pytest.mark.parametrize("n", CHANNELS)
def test_moments_go_over_into_the_form_of_bright_signals_without_a_step(n):
    a = np.linspace(38, 42, 401)
    mean = mean_of(a, n)
    steps = np.diff(mean)
    assert steps.min() > 0 and steps.max() / steps.min() < 1.2
    back = signal_of(torch.from_numpy(mean), ONE, n).numpy()
    np.testing.assert_allclose(back, a, rtol=1e-4)
    assert variance_at(np.array([1e3]), n)[0] == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("n", CHANNELS)
def test_more_signal_is_a_larger_mean_and_a_variance_between_that_of_noise_and_1(n):
    a = np.linspace(0, 39, 300)
    mean = mean_of(a, n)
    variance = variance_at(mean, n)
    assert (np.diff(mean) > 0).all() and (np.diff(variance) > -1e-6).all()
    assert variance[0] == pytest.approx(2 * n - mean[0] ** 2) and variance.max() < 1.01
    assert (mean >= a).all(), "noise only makes magnitudes brighter"


@given(st.floats(0, 1e3), st.floats(1e-6, 1e6))
@settings(max_examples=30, deadline=None)
def test_signal_and_restored_know_no_scale(mean, sigma):
    x, s = at(mean), torch.tensor(sigma, dtype=torch.float64)
    for correct in (signal_of, restored):
        torch.testing.assert_close(correct(x * s, s), correct(x, ONE) * s, rtol=1e-6, atol=1e-9 * sigma)


def test_no_noise_changes_nothing():
    mean = torch.tensor([0.0, 1e-3, 0.5, 7.0])
    for correct in (signal_of, restored):
        assert torch.equal(correct(mean, torch.tensor(0.0)), mean)


def test_values_below_zero_are_no_signal():
    mean = at(-3.0, -0.1, 0.0, 1.0, 1.25)
    assert not signal_of(mean, ONE).any() and not restored(mean, ONE).any()


@given(st.lists(st.floats(0, 60), min_size=2, max_size=20, unique=True), st.sampled_from([0.5, 1.0, 2.0]))
@settings(max_examples=60, deadline=None)
def test_restored_keeps_the_order_and_stays_below_what_it_shrinks(means, doubt):
    mean = at(*sorted(means))
    shrunk = restored(mean, ONE, doubt)
    assert bool((shrunk.diff() >= 0).all())
    assert bool((shrunk <= signal_of(mean, ONE)).all() and (shrunk >= 0).all() and (shrunk <= mean).all())


def test_restored_is_what_its_docstring_says():
    mean = torch.from_numpy(mean_of(np.array([1.0, 2.0, 3.0, 20.0])))
    assert restored(mean, ONE).tolist() == pytest.approx([0.393, 1.729, 2.967, 20.0], abs=2e-3)
    assert restored(mean, ONE, 0.5)[0] == pytest.approx(1 - math.exp(-2), abs=2e-3)


@pytest.mark.parametrize(("doubt", "most", "around"), [(1.0, 2.0, 0.03), (0.5, 3.5, 0.003)])
def test_small_changes_of_the_mean_stay_small(doubt, most, around):
    mean = torch.linspace(0, 50, 200_001, dtype=torch.float64)
    steep = restored(mean, ONE, doubt).diff() / mean.diff()
    assert float(steep.max()) < most
    near = (mean[1:] - (math.pi / 2) ** 0.5).abs() < around
    assert float(steep[near].max()) < 1, "what is left in air becomes less, not more"
    assert float((signal_of(mean, ONE).diff() / mean.diff()).max()) > 10, "as without the doubt it would"


def test_smoothed_air_becomes_darker_and_more_even():
    rng = np.random.default_rng(0)
    left = torch.from_numpy(stats.rayleigh.mean() + 0.15 * rng.normal(size=20_000))
    assert float(restored(left, ONE).std()) < float(left.std()) < float(signal_of(left, ONE).std())
    assert float(restored(left, ONE).mean()) < 0.1


def test_single_precision_is_kept():
    for correct in (signal_of, restored):
        assert correct(torch.rand(2, 3), torch.tensor(0.1)).dtype == torch.float32


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_even_knows_no_scale(factor):
    values = magnitude(head((2, 24, 20)), 0.1, 3)
    relative = torch.linspace(0.5, 2, 20).expand(1, 2, 24, 20)
    noise = Noise(torch.tensor(0.1), "chi", 3, relative)
    one, _ = even(values, noise)
    other, told = even(values * factor, noise.scaled(factor))
    torch.testing.assert_close(other / factor, one)
    assert float(told.sigma) == pytest.approx(0.1 * factor)


def test_even_noise_of_one_kind_passes_as_it_is():
    values = magnitude(head((2, 24, 20)), 0.1)
    for noise in (Noise(torch.tensor(0.1)), Noise(torch.tensor(0.1), "rician")):
        same, told = even(values, noise)
        assert torch.equal(same, values) and told is noise


@pytest.mark.parametrize("n", [2, 4, 8])
@pytest.mark.parametrize("a", [3.0, 6.0])
def test_several_channels_become_one_with_the_same_mean_square(n, a):
    drawn = magnitude(torch.full((1, 1, 200, 200), a), 1.0, n)
    plain, noise = even(drawn, Noise(torch.tensor(1.0), "chi", n))
    assert noise.kind == "rician" and noise.n_channels == 1
    assert float(plain.square().mean()) == pytest.approx(a**2 + 2, rel=0.03)
    assert float(plain.mean()) == pytest.approx(stats.rice.mean(a), rel=0.05)


def test_a_map_of_complex_noise_divides_phase_and_all():
    values = torch.polar(torch.ones(1, 1, 4, 6), torch.rand(1, 1, 4, 6))
    relative = torch.linspace(0.5, 3, 6).expand(1, 1, 4, 6)
    plain, noise = even(values, Noise(torch.tensor(0.1), relative=relative))
    torch.testing.assert_close(plain * relative, values)
    assert noise.relative is None and noise.kind == "gaussian"


@pytest.mark.parametrize("flip", [(-1,), (-2,), (-1, -2), (-3,)])
def test_masks_do_not_depend_on_the_direction(flip):
    values = magnitude(head((3, 25, 22)), 0.1) * (head((3, 25, 22)) > 0)
    values[..., 12, 11] = 0
    assert torch.equal(masked(values.flip(flip)), masked(values).flip(flip))
    assert torch.equal(masked(values.transpose(-1, -2)), masked(values).transpose(-1, -2))


@pytest.mark.parametrize("size", [(1, 9), (9, 1), (2, 9), (1, 1)])
def test_thin_slices_are_masked_where_they_are_zero_over_their_width(size):
    values = torch.ones(1, 1, *size)
    assert not masked(values).any() and masked(values * 0).all()
    values[..., :3] = 0
    expected = torch.zeros_like(values, dtype=torch.bool)
    expected[..., :3] = True
    assert torch.equal(masked(values), expected)


@given(st.integers(0, 20), st.integers(0, 20), st.integers(1, 4), st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_only_rectangles_of_three_and_more_are_masks(top, left, height, width):
    values = torch.ones(1, 1, 24, 24)
    values[..., top : top + height, left : left + width] = 0
    is_mask = min(height, width) >= 3
    assert torch.equal(masked(values), (values == 0) & is_mask)


@pytest.mark.parametrize(("kind", "n", "word"), [("gaussian", 1, "Gaussian"), ("rician", 1, "Rician")])
def test_kinds_have_names(kind, n, word):
    assert Noise(torch.tensor(1.0), kind, n).named == word
    assert Noise(torch.tensor(1.0), kind, n).is_magnitude == (kind != "gaussian")


def test_noise_says_how_many_channels_and_scaling_keeps_the_rest():
    noise = Noise(torch.tensor(2.0), "chi", 6, torch.ones(1, 1, 2, 2), "air")
    scaled = noise.scaled(1e-6)
    assert noise.named == "chi of 6 channels" and noise.is_magnitude
    assert (scaled.kind, scaled.n_channels, scaled.source) == ("chi", 6, "air")
    assert scaled.relative is noise.relative and float(scaled.sigma) == pytest.approx(2e-6)
    assert float(noise.scaled(0).sigma) == 0


def test_tables_of_many_channels_are_finite_and_grow():
    means = [float(mean_of(np.zeros(1), n)[0]) for n in range(1, 65)]
    assert all(a < b for a, b in pairwise(means)) and means[-1] == pytest.approx(128**0.5, rel=0.01)
