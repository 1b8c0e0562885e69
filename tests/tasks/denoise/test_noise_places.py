"""Where noise is measured: air, finest details, maps; flips, turns, scales, thin volumes, and other packages."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from noisy_heads import gaussian, head, magnitude
from scipy import stats
from skimage.restoration import estimate_sigma

from spinecho.tasks.denoise.parts import air as air_of
from spinecho.tasks.denoise.parts.air import air
from spinecho.tasks.denoise.parts.level import details, gaussian_level, magnitude_level, noise_level
from spinecho.tasks.denoise.parts.measure import DETAILS, has_negatives, measured, step_of
from spinecho.tasks.denoise.parts.varying import _terms, relative_map

TRUTH = head((12, 64, 56))
NOISY = magnitude(TRUTH, 0.06)
TURNS = [(0, 2, 1), (2, 1, 0), (1, 0, 2)]


def rayleigh(shape: tuple[int, ...], sigma: float = 1.0, seed: int = 0) -> np.ndarray:
    return stats.rayleigh.rvs(scale=sigma, size=shape, random_state=seed)


@pytest.mark.parametrize("shape", [(8, 32, 32), (1, 96, 96), (3, 64, 64), (40, 32, 4)])
@pytest.mark.parametrize("sigma", [1e-6, 1.0, 1e6])
def test_rayleigh_noise_alone_is_all_air(shape, sigma):
    told = air(rayleigh(shape, sigma), 0.0)
    assert told is not None and told.n_channels == 1
    assert told.sigma == pytest.approx(sigma, rel=0.02) and told.share > 0.95


@pytest.mark.parametrize("n", [2, 3, 6, 16, 32])
def test_channels_are_counted_by_the_fourth_moment(n):
    told = air(stats.chi.rvs(2 * n, size=(12, 48, 48), random_state=1), 0.0)
    assert told is not None and abs(told.n_channels - n) <= max(0, round(n / 12))
    assert told.sigma == pytest.approx((n / told.n_channels) ** 0.5, rel=0.02)


@pytest.mark.parametrize(
    "values", [np.ones((8, 32, 32)), np.zeros((8, 32, 32)), rayleigh((4, 8, 8)), np.ones((1, 2, 2))]
)
def test_what_is_flat_or_tiny_holds_no_air(values):
    assert air(values, 0.0) is None


def test_smooth_shading_is_no_air():
    z, y, x = np.meshgrid(*[np.linspace(0.1, 1, n) for n in (8, 48, 48)], indexing="ij")
    assert air(x * y + z, 0.0) is None


@pytest.mark.parametrize("axes", [(0,), (1,), (2,), (1, 2)])
def test_air_is_the_same_from_the_other_side(axes):
    values = NOISY[0, :, :, :].numpy()
    one, other = air(values, 0.0), air(np.flip(values, axes), 0.0)
    assert one is not None and other is not None
    assert other.sigma == pytest.approx(one.sigma, rel=1e-6) and other.share == one.share


def test_bright_voxels_beside_air_change_nothing_and_masks_say_nothing():
    values = rayleigh((16, 48, 48))
    values[:, :24] += 8
    half = air(values, 0.0)
    values[:, 40:] = 0
    masked = air(values, 0.0)
    assert half is not None and masked is not None
    assert half.sigma == pytest.approx(1, rel=0.02) and masked.sigma == pytest.approx(1, rel=0.03)
    assert half.share == pytest.approx(0.5, abs=0.02) and masked.share == pytest.approx(1 / 3, abs=0.02)


@pytest.mark.parametrize("sigma", [1.0, 2.0, 7.0, 200.0])
def test_rounding_adds_a_twelfth_of_a_step_squared(sigma):
    told = air(np.rint(rayleigh((12, 48, 48), sigma)), 1.0)
    assert told is not None and told.sigma == pytest.approx(sigma, rel=0.03)


def test_noise_finer_than_steps_is_not_told():
    assert air(np.rint(rayleigh((12, 48, 48), 0.3)), 1.0) is None


def test_blocks_are_neighbours_and_each_voxel_is_in_one():
    values = np.arange(4 * 8 * 12, dtype=float).reshape(4, 8, 12)
    blocks = air_of._blocks(values)
    assert blocks.shape == (6, 64) and len(np.unique(blocks)) == values.size
    np.testing.assert_array_equal(np.sort(blocks[0]), np.sort(values[:4, :4, :4].ravel()))
    assert air_of._blocks(values[:2]).shape == (2, 64) and air_of._blocks(values[:, :3]).shape == (0, 64)


@pytest.mark.parametrize("shape", [(1, 64, 64), (7, 33, 31), (24, 24, 8)])
@pytest.mark.parametrize("is_complex", [False, True])
def test_details_of_white_noise_have_its_variance(shape, is_complex):
    rng = np.random.default_rng(0)
    values = rng.normal(size=shape) + (1j * rng.normal(size=shape) if is_complex else 0)
    fine = details(values)
    assert fine.size.shape == tuple(n // 2 if n > 1 else 1 for n in shape) and fine.is_measured.all()
    assert (fine.size**2).mean() == pytest.approx(1 + is_complex, rel=0.15)
    assert gaussian_level(fine, is_complex) == pytest.approx((1 + is_complex) ** 0.5, rel=0.15)


def test_details_are_blind_to_slopes_and_constants():
    z, y, x = np.meshgrid(*[np.arange(float(n)) for n in (4, 16, 16)], indexing="ij")
    np.testing.assert_allclose(details(3 + 2 * x - 5 * y + z).size, 0, atol=1e-12)
    np.testing.assert_allclose(details(np.full((4, 6, 8), 2.5)).mean, 2.5)
    assert not details(np.zeros((2, 4, 4))).is_measured.any()


@pytest.mark.parametrize("order", TURNS)
def test_level_does_not_depend_on_the_order_of_axes(order):
    values = gaussian(TRUTH, 0.05)[0]
    one = noise_level(values[None])
    assert float(noise_level(values.permute(order)[None])) == pytest.approx(float(one), rel=1e-4)
    size = details(values.numpy()).size
    np.testing.assert_allclose(details(values.permute(order).numpy()).size, size.transpose(order), atol=1e-5)


@given(st.floats(1e-6, 1e6), st.floats(-5, 5))
@settings(max_examples=15, deadline=None)
def test_level_scales_and_ignores_what_is_added(factor, offset):
    noise = gaussian(torch.zeros(1, 4, 32, 32), 1.0)
    one = float(noise_level(noise + 10))
    assert float(noise_level((noise + 10 + offset) * factor)) == pytest.approx(one * factor, rel=1e-3)


@pytest.mark.parametrize("sigma", [0.02, 0.1])
def test_level_is_that_of_scikit_image_where_there_is_nothing_else(sigma):
    noise = gaussian(torch.zeros(1, 1, 128, 128), sigma)
    assert float(noise_level(noise)) == pytest.approx(estimate_sigma(noise[0, 0].numpy()), rel=0.05)


@pytest.mark.parametrize("n", [1, 4])
def test_air_tells_what_dipys_piesno_tells_of_a_series(n):
    piesno = pytest.importorskip("dipy.denoise.noise_estimate").piesno
    series = np.stack([magnitude(0 * TRUTH[:, 4:8], 0.06, n, seed)[0].double().numpy() for seed in range(6)], -1)
    theirs = float(np.median(piesno(series, N=n, return_mask=False)))
    ours = air(series[..., 0], 0.0)
    assert ours is not None and ours.n_channels == n
    assert ours.sigma == pytest.approx(theirs, rel=0.04)


@pytest.mark.parametrize("a", [1.5, 2.5, 4.0])
def test_dark_magnitudes_vary_less_and_are_corrected(a):
    drawn = [details(stats.rice.rvs(a, size=(8, 64, 64), random_state=seed)) for seed in range(8)]
    assert np.mean([gaussian_level(d, False) for d in drawn]) == pytest.approx(stats.rice.std(a), rel=0.05)
    assert np.mean([magnitude_level(d) for d in drawn]) == pytest.approx(1, rel=0.08)


def test_rounding_is_taken_from_the_level():
    rounded = np.rint(np.random.default_rng(0).normal(100, 1.0, (8, 48, 48)))
    fine = details(rounded)
    assert gaussian_level(fine, False, 1 / 12**0.5) ** 2 == pytest.approx(gaussian_level(fine, False) ** 2 - 1 / 12)
    assert gaussian_level(fine, False, 50.0) == 0 and magnitude_level(fine, 1, 50.0) == 0


def test_air_of_a_tenth_of_the_details_is_not_believed():
    values = head((12, 64, 56)) * 10 + 20
    values = magnitude(values, 1.0)
    values[..., :28, :] = 0.05 * torch.from_numpy(rayleigh((12, 28, 56))).float()
    noise = measured(values)
    assert "do not agree" in noise.source and float(noise.sigma) == pytest.approx(1.0, rel=0.15)


@pytest.mark.parametrize("share", [0.5, 0.55])
def test_air_is_believed_where_fine_anatomy_doubles_the_details(share):
    anatomy = 0.06 * (1 / share**2 - 1) ** 0.5 * gaussian(torch.zeros(TRUTH.shape), 1.0, seed=3)
    truth = torch.where(TRUTH > 0, TRUTH + anatomy, TRUTH).clamp_min(0)
    noise = measured(magnitude(truth, 0.06))
    assert float(noise.sigma) == pytest.approx(0.06, rel=0.04) and "air (" in noise.source


@pytest.mark.parametrize("flip", [(-1,), (-2,), (-3,), (-1, -2, -3)])
@pytest.mark.parametrize("noisy", [NOISY, gaussian(TRUTH, 0.06)])
def test_noise_is_the_same_from_the_other_side(noisy, flip):
    one, other = measured(noisy), measured(noisy.flip(flip).contiguous())
    assert other.kind == one.kind and float(other.sigma) == pytest.approx(float(one.sigma), rel=0.03)


def test_a_phase_for_all_changes_no_level():
    values = gaussian(TRUTH * torch.polar(torch.ones(()), 2 * TRUTH), 0.05)
    turned = values * torch.polar(torch.ones(()), torch.tensor(1.3))
    assert float(measured(turned).sigma) == pytest.approx(float(measured(values).sigma), rel=1e-4)


@pytest.mark.parametrize("shape", [(1, 1, 40), (40, 1, 1), (1, 40, 1), (1, 1, 1)])
def test_lines_and_points_can_be_measured_without_an_error(shape):
    for values in (magnitude(torch.ones(1, *shape), 0.1), gaussian(torch.ones(1, *shape), 0.1)):
        assert math.isfinite(float(measured(values).sigma))


def test_a_little_below_zero_is_rounding():
    values = torch.tensor([[0.0, 1.0, 100.0]])
    assert not has_negatives(values) and not has_negatives(values - 1e-3) and has_negatives(values - 0.1)
    assert not has_negatives(-values.to(torch.complex64)) and not has_negatives(torch.zeros(3))
    assert measured(NOISY - 1e-5).kind == "rician" and measured(NOISY - 0.01).kind == "gaussian"
    assert measured(gaussian(TRUTH, 0.1)).source == DETAILS


@given(st.floats(1e-6, 1e6), st.floats(-100, 100), st.integers(3, 300))
@settings(max_examples=30, deadline=None)
def test_steps_are_known_at_any_scale(step, shift, levels):
    whole = torch.randint(0, levels, (4, 24, 24), generator=torch.Generator().manual_seed(levels))
    assert step_of((whole.double() + round(shift)) * step) == pytest.approx(step, rel=1e-6)


def test_integers_have_the_step_one_and_too_few_or_too_many_levels_none():
    assert step_of(torch.zeros(2, 2, dtype=torch.int16)) == 1
    assert step_of(torch.tensor([0.0, 1.0]).repeat(100)) == 0
    assert step_of(torch.arange(5000).float().repeat(8)) == 0
    assert step_of(torch.rand(3)) == 0


def slope(shape: tuple[int, int, int], by: float) -> torch.Tensor:
    return torch.exp(by * torch.linspace(-1, 1, shape[-1])).expand(1, *shape)


@pytest.mark.parametrize("turned", [False, True])
def test_a_map_of_gaussian_noise_follows_it_along_any_axis(turned):
    shape = (8, 128, 128)
    gain = slope(shape, 0.9)
    gain = gain.transpose(-1, -2) if turned else gain
    values = 5 + 0.1 * gain * torch.randn(1, *shape, generator=torch.Generator().manual_seed(0))
    field = relative_map(details(values[0].numpy()), 0.1, 0, shape)
    assert field is not None and field.shape == shape
    error = np.abs(np.log(field / gain[0].numpy()))
    assert np.median(error) < 0.06 and error.max() < 0.35 and field.min() >= 1 / 3 and field.max() <= 3


def test_even_noise_and_few_blocks_have_no_map():
    values = 5 + 0.1 * torch.randn(1, 8, 128, 128, generator=torch.Generator().manual_seed(0))
    assert relative_map(details(values[0].numpy()), 0.1, 0, (8, 128, 128)) is None
    small = values[:, :2, :24, :24] * slope((2, 24, 24), 1.0)
    assert relative_map(details(small[0].numpy()), 0.1, 0, (2, 24, 24)) is None


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_maps_are_relative(factor):
    shape = (8, 128, 128)
    values = magnitude(torch.full((1, *shape), 5.0), 0.2 * slope(shape, 0.9))
    one, other = measured(values), measured(values * factor)
    assert one.relative is not None and other.relative is not None
    torch.testing.assert_close(other.relative, one.relative, rtol=1e-3, atol=1e-4)
    assert float(other.sigma) / factor == pytest.approx(float(one.sigma), rel=1e-3)
    assert float(one.relative.median()) == pytest.approx(1, abs=0.01)


def test_terms_are_all_of_second_order():
    places = np.random.default_rng(0).uniform(-1, 1, (50, 3))
    assert [_terms(places, used).shape[1] for used in ([], [1], [1, 2], [0, 1, 2])] == [1, 3, 6, 10]
    wanted = 2 - places[:, 0] + 3 * places[:, 1] * places[:, 2]
    fit, *_ = np.linalg.lstsq(_terms(places, [0, 1, 2]), wanted, rcond=None)
    np.testing.assert_allclose(_terms(places, [0, 1, 2]) @ fit, wanted, atol=1e-10)
