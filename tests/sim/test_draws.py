"""Acquisitions for training: the same from the same generator, with truth, noise and sampling as they say."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from spinecho.calib.centre import missing_calibration
from spinecho.calib.noise import noise_sigma
from spinecho.calib.prepare import prepare
from spinecho.ops.coils import root_sum_of_squares
from spinecho.ops.fourier import ifft
from spinecho.ops.sampling import acceleration
from spinecho.sim.draws import (
    FINENESS,
    Draws,
    acquire_random,
    fine_shape,
    log_uniform,
    sample_coil_images,
    sample_mask,
    sample_noise_cov,
    sample_shape,
)
from spinecho.sim.draws_radial import acquire_radial
from spinecho.sim.noise import object_mean
from spinecho.tasks.recon.methods import nufft_cg

SMALL = Draws(matrix=(32, 56))
CLEAN = replace(SMALL, snr=(1e6, 1e6), accel=(1.0, 1.0), masks=("random",), odd=0.0)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def ring(shape):
    """A bright shell around a grey core."""
    y, x = torch.meshgrid(*(torch.linspace(-1, 1, n) for n in shape), indexing="ij")
    r = (y.square() + x.square()).sqrt()
    return (r < 0.8) * (0.4 + 0.6 * (r > 0.6))


def scan(seed, draws=SMALL, shape=None):
    rng = seeded(seed)
    shape = shape or sample_shape(rng, draws)
    return acquire_random(ring(fine_shape(shape)), shape, rng, draws)


def spokes(seed, draws=SMALL, side=40):
    return acquire_radial(ring(fine_shape((side, side))), side, seeded(seed), draws)


@pytest.mark.parametrize("draw", [scan, spokes])
def test_the_generator_decides_everything(draw):
    torch.manual_seed(1)
    a = draw(5)
    torch.manual_seed(2)
    b, other = draw(5), draw(6)
    assert torch.equal(a.samples, b.samples) and torch.equal(a.target, b.target)
    assert a.samples.shape != other.samples.shape or not torch.equal(a.samples, other.samples)


def test_random_numbers_of_settings_that_are_off_are_not_drawn():
    """The number of spokes changes nothing in a Cartesian scan: runs that were begun go on with the same scans."""
    a, b = scan(3), scan(3, replace(SMALL, spokes=(20, 30)))
    assert torch.equal(a.samples, b.samples)


@example(seed=409)
@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**31))
def test_scans_are_finite_have_their_truth_and_calibrate(seed):
    kspace = scan(seed)
    assert kspace.target is not None and kspace.mask is not None
    assert kspace.target.shape == (1, *kspace.encoding.matrix)
    assert torch.isfinite(kspace.target).all() and float(kspace.target.max()) > 0.01
    assert torch.isfinite(torch.view_as_real(kspace.samples)).all()
    assert not kspace.samples[~kspace.mask.expand(kspace.samples.shape)].any()
    assert "simulated" in kspace.header.flags
    prepared, _ = prepare(kspace)
    assert missing_calibration(prepared) is None


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**31))
def test_radial_scans_are_finite_and_few_spokes(seed):
    side = 24 + seed % 25
    kspace = spokes(seed, replace(SMALL, spokes=(13, 30)), side)
    assert kspace.traj is not None and kspace.target is not None
    _, _, n_spokes, n_samples = kspace.samples.shape
    assert 13 <= n_spokes <= 30 and n_samples in (side, 2 * side)
    assert torch.isfinite(torch.view_as_real(kspace.samples)).all() and torch.isfinite(kspace.target).all()
    assert not kspace.traj[..., n_samples // 2, :].any(), "spokes go through the centre"
    assert float(kspace.traj.norm(dim=-1).max()) == pytest.approx(side / 2, rel=0.05)
    assert kspace.encoding.trajectory == "radial" and "simulated" in kspace.header.flags
    prepare(kspace)


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**31))
def test_matrices_lie_in_the_range_and_are_not_too_long(seed):
    y, x = sample_shape(seeded(seed), SMALL)
    assert all(32 <= n <= 57 for n in (y, x)) and max(y, x) / min(y, x) < 1.5
    assert all(
        n % 2 == 0 and FINENESS * m <= n < FINENESS * m + 2 for m, n in zip((y, x), fine_shape((y, x)), strict=True)
    )


def test_some_matrices_are_odd():
    shapes = [sample_shape(seeded(i), SMALL) for i in range(300)]
    assert 5 < sum(y % 2 or x % 2 for y, x in shapes) < 60


@pytest.mark.parametrize("shape", [(40, 36), (41, 37), (33, 48)])
@pytest.mark.parametrize("n_coils", [1, 5])
def test_truth_is_the_root_sum_of_squares_of_coils_without_noise(shape, n_coils):
    draws = replace(CLEAN, coils=(n_coils,))
    for seed in range(4):
        kspace = scan(seed, draws, shape)
        prepared, scale = prepare(kspace)  # white, as the truth is where the noise is known
        found = root_sum_of_squares(ifft(prepared.samples)) * scale
        assert kspace.mask is not None and acceleration(kspace.mask) < 1.35
        if bool(kspace.mask.all()):
            torch.testing.assert_close(found, kspace.target, rtol=1e-3, atol=1e-4 * float(kspace.target.max()))
        assert float((found - kspace.target).norm() / kspace.target.norm()) < 0.5


@pytest.mark.parametrize("seed", range(4))
def test_radial_samples_are_those_of_the_truth(seed):
    kspace = spokes(seed, replace(CLEAN, coils=(4,), spokes=(80, 80)))
    prepared, scale = prepare(kspace)
    found = nufft_cg.Method(nufft_cg.Config(l2=1e-3))(prepared).values.abs() * scale
    assert kspace.target is not None
    inside = kspace.target > 0.3 * kspace.target.max()  # the coil maps are ESPIRiT's
    assert float((found - kspace.target)[inside].norm() / kspace.target[inside].norm()) < 0.08


def test_object_comes_back_at_the_size_of_its_field_of_view():
    images = sample_coil_images(ring(fine_shape((48, 40))), (48, 40), seeded(1), replace(CLEAN, coils=(4,)))
    seen = root_sum_of_squares(images)[0, 0] > 0.2 * root_sum_of_squares(images).max()
    rows, columns = seen.any(1).nonzero(), seen.any(0).nonzero()
    assert int(rows[-1] - rows[0]) + 1 == pytest.approx(0.8 * 48, abs=3)
    assert int(columns[-1] - columns[0]) + 1 == pytest.approx(0.8 * 40, abs=3)


@pytest.mark.parametrize("snr", [5.0, 40.0])
def test_noise_is_as_strong_as_drawn(snr):
    draws = replace(SMALL, snr=(snr, snr), coils=(6,), accel=(1.0, 1.0), masks=("random",), odd=0.0)
    rng = seeded(7)
    images = sample_coil_images(ring(fine_shape((48, 48))), (48, 48), rng, draws)
    cov = sample_noise_cov(images, rng, draws)
    sigma = math.sqrt(float(cov.diagonal().real.mean()))
    assert object_mean(root_sum_of_squares(images)) / sigma == pytest.approx(snr, rel=1e-3)
    known = [k for k in (scan(seed, draws, (48, 48)) for seed in range(8)) if k.noise_cov is not None]
    assert 0 < len(known) < 8, "half of the scans know their noise"
    for kspace in known:
        assert kspace.target is not None
        assert object_mean(kspace.target) / noise_sigma(kspace) == pytest.approx(snr, rel=0.3)  # the truth is white


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**31), accel=st.floats(2, 6), kind=st.sampled_from(["random", "gaussian", "equispaced"]))
def test_lines_are_as_many_as_the_acceleration_says(seed, accel, kind):
    n = 64
    pattern = sample_mask((n, 50), seeded(seed), Draws(masks=(kind,), accel=(accel, accel)))
    assert pattern.shape == (1, 1, n, 1)
    lines = int(pattern.sum())
    centre = pattern[0, 0, n // 2 - 4 : n // 2 + 4]
    assert centre.all(), "8 calibration lines at least"
    if kind == "equispaced":
        assert n / round(accel) - 1 <= lines <= n / round(accel) + 29
    else:
        assert lines in (round(n / accel), *range(10, 31)) and lines <= max(n / accel + 1, 31)


@pytest.mark.parametrize("kind", ["poisson", "points"])
@pytest.mark.parametrize("shape", [(64, 56), (65, 57)])
def test_points_cover_both_axes_about_as_thinly_as_asked(kind, shape):
    for seed in range(6):
        pattern = sample_mask(shape, seeded(seed), Draws(masks=(kind,), accel=(4.0, 4.0)))
        assert pattern.shape == (1, 1, *shape)
        assert 2 < acceleration(pattern) < 5.5
        y, x = (n // 2 for n in shape)
        assert pattern[0, 0, y - 4 : y + 4, x - 4 : x + 4].all()


def test_kinds_of_masks_come_as_often_as_they_stand_there():
    draws = Draws(masks=("random", "random", "random", "points"))
    n = sum(sample_mask((32, 32), seeded(i), draws).shape[-1] == 32 for i in range(200))
    assert 25 < n < 80


def test_odd_scans_are_as_frequent_as_asked():
    """Partial Fourier and asymmetric echoes leave one side of an axis out."""

    def cut(kspace):
        along = kspace.mask[0, 0].any(0)
        return len(along) > 1 and not bool(along[0])

    assert not any(cut(scan(i, CLEAN, (32, 32))) for i in range(20))
    n = sum(cut(scan(i, replace(CLEAN, odd=1.0), (32, 32))) for i in range(40))
    assert 8 < n < 32


def test_even_in_the_logarithm():
    rng = seeded(0)
    drawn = torch.tensor([log_uniform(rng, 2.0, 32.0) for _ in range(2000)])
    assert float(drawn.min()) >= 2 and float(drawn.max()) <= 32
    assert float(drawn.median()) == pytest.approx(8, rel=0.15)
