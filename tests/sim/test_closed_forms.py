"""Signals, fields, phantoms and trajectories against formulas that were worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.sim import anatomy
from spinecho.sim.coils import Loop, sample_loops, sensitivities
from spinecho.sim.contrast import SEQUENCES, Sequence, gradient_echo, inversion_recovery, nulling_ti_ms, spin_echo
from spinecho.sim.noise import noise, noise_scan, object_mean, sample_covariance
from spinecho.sim.phantom import HEAD, Ellipsoid, coordinates, frames, phantom, phantom_kspace, section
from spinecho.sim.phase import Phase, sample_phase
from spinecho.sim.tissue import TISSUES
from spinecho.sim.trajectory import GOLDEN_DEG, radial, spiral

times = st.floats(5.0, 4000.0)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def tensor(*values):
    return torch.tensor(values, dtype=torch.float64)


@settings(deadline=None)
@given(t1=times, t2=times, te=st.floats(1, 100), tr=st.floats(200, 9000))
def test_spin_echo_by_hand(t1, t2, te, tr):
    """Mz before the pulse of a 90-180 train: inverted at TE/2, it recovers until TR."""
    before_180 = 1 - math.exp(-(te / 2) / t1)
    mz = 1 - (1 + before_180) * math.exp(-(tr - te / 2) / t1)
    found = float(spin_echo(tensor(0.7), tensor(t1), tensor(t2), te_ms=te, tr_ms=tr))
    assert found == pytest.approx(0.7 * mz * math.exp(-te / t2), rel=1e-9, abs=1e-12)


@settings(deadline=None)
@given(t1=times, flip=st.floats(1, 90), tr=st.floats(5, 500))
def test_spoiled_gradient_echo_is_its_own_steady_state(t1, flip, tr):
    e1, cos, sin = math.exp(-tr / t1), math.cos(math.radians(flip)), math.sin(math.radians(flip))
    mz = float(gradient_echo(tensor(1.0), tensor(t1), tensor(1e12), te_ms=0, tr_ms=tr, flip_deg=flip)) / sin
    assert 1 - (1 - mz * cos) * e1 == pytest.approx(mz, rel=1e-9)


@settings(deadline=None)
@given(t1=times, ti=st.floats(1, 2000), rest=st.floats(50, 5000), te=st.floats(1, 40))
def test_inversion_recovery_by_hand(t1, ti, rest, te):
    """Inverted from its steady state; 90 at TI; 180 at TI + TE/2; then recovery to the end of TR."""
    tr = ti + te / 2 + rest
    at_180 = 1 - math.exp(-(te / 2) / t1)
    end = 1 - (1 + at_180) * math.exp(-rest / t1)
    mz = 1 - (1 + end) * math.exp(-ti / t1)
    found = float(inversion_recovery(tensor(1.0), tensor(t1), tensor(1e12), te_ms=te, tr_ms=tr, ti_ms=ti))
    assert found == pytest.approx(mz, rel=1e-9, abs=1e-9)


def test_a_long_tr_nulls_at_ln_2():
    assert nulling_ti_ms(1000.0, tr_ms=1e6) == pytest.approx(1000 * math.log(2))


def test_tissue_without_protons_gives_no_signal_in_any_sequence():
    for name, sequence in SEQUENCES.items():
        signal = sequence.signal(tensor(0.0, 1.0), tensor(0.0, 800.0), tensor(0.0, 80.0), tensor(0.0, 50.0))
        assert bool(torch.isfinite(signal).all()) and float(signal[0]) == 0 and float(signal[1]) != 0, name


def test_sequences_pick_their_own_transverse_decay():
    t = tensor(1000.0)
    echo = Sequence(kind="gradient-echo", te_ms=20, tr_ms=500, flip_deg=30)
    ratio = float(
        echo.signal(tensor(1.0), t, tensor(80.0), tensor(40.0)) / echo.signal(tensor(1.0), t, t, tensor(1e12))
    )
    assert ratio == pytest.approx(math.exp(-20 / 40))
    spin = Sequence(kind="spin-echo", te_ms=20, tr_ms=500)
    assert float(spin.signal(tensor(1.0), t, t, tensor(1.0))) == float(spin.signal(tensor(1.0), t, t, tensor(99.0)))


@pytest.mark.parametrize("sequence", SEQUENCES.values())
def test_signals_are_relative_to_the_brightest_of_the_brain(sequence):
    signals = anatomy.tissue_signals(sequence)
    assert set(signals) == set(TISSUES) and min(signals.values()) >= 0
    assert max(signals[n] for n in ("white matter", "grey matter", "csf")) == pytest.approx(1)
    contrast = anatomy.of_sequence(sequence)
    assert contrast.values[2] == contrast.values[41] == signals["white matter"]
    assert f"TE {sequence.te_ms:g} ms" in contrast.name and contrast.name.endswith("3 T")


def test_field_on_the_axis_of_a_loop():
    """|B| = a^2 / (a^2 + d^2)^(3/2) at a distance d from the centre, up to the scale (1 at the isocentre)."""
    a, away = 40.0, 100.0
    loop = Loop((away, 0.0, 0.0), (-1.0, 0.0, 0.0), a, 0.0)
    line = Geometry.from_frame([0, 0, 0], np.eye(3), (10, 1, 1), (1, 1, 15))
    found = sensitivities((loop,), line)[0, 0, 0, 0]
    d = away - (np.arange(15) - 7) * 10.0
    wanted = ((a**2 + away**2) / (a**2 + d**2)) ** 1.5
    np.testing.assert_allclose(found.abs().numpy(), wanted, rtol=1e-4)
    assert float(found.imag.abs().max()) < 1e-4, "the field points along x"


def test_a_field_along_b0_is_not_received():
    above = Loop((0.0, 0.0, 90.0), (0.0, 0.0, 1.0), 40.0, 0.0)
    beside = Loop((0.0, 90.0, 0.0), (0.0, -1.0, 0.0), 40.0, 0.0)
    line = Geometry.from_frame([0, 0, 0], np.eye(3), (1, 1, 10), (7, 1, 1))
    along_z = sensitivities((above, beside), line)[0].abs().squeeze()
    assert float(along_z[0].max()) < 2e-3 * float(along_z[1].max())


def test_far_away_a_loop_is_a_dipole():
    loop = Loop((0.0, 600.0, 0.0), (0.0, 1.0, 0.0), 20.0, 0.0)
    line = Geometry.from_frame([0, 0, 0], np.eye(3), (1, 100, 1), (1, 5, 1))
    found = sensitivities((loop,), line).abs().squeeze()
    wanted = 600.0**3 / (600.0 - 100 * (torch.arange(5.0) - 2)) ** 3
    torch.testing.assert_close(found, wanted, rtol=0.01, atol=0)


def test_sensitivities_know_the_grid_only_through_its_geometry():
    """A grid turned by 90 degrees, cropped or finer sees the same field at the same places."""
    loops = sample_loops(3, seeded(2))
    grid = Geometry.from_frame([5, -8, 12], np.eye(3), (6, 7, 8), (5, 6, 7))
    whole = sensitivities(loops, grid)
    turned = sensitivities(loops, grid.permuted((2, 0, 1)))
    torch.testing.assert_close(turned, whole.permute(0, 1, 4, 2, 3))
    torch.testing.assert_close(sensitivities(loops, grid.cropped((1, 2, 3), (2, 3, 4))), whole[..., 1:3, 2:5, 3:7])
    torch.testing.assert_close(sensitivities(loops, grid.resized((5, 12, 7)))[..., ::2, :], whole)


def test_on_its_wire_a_loop_is_finite():
    loop = Loop((0.0, 0.0, 0.0), (1.0, 0.0, 0.0), 30.0, 1.0)
    through = Geometry.from_frame([0, 0, 0], np.eye(3), (1, 30, 30), (3, 3, 3))
    csm = sensitivities((loop,), through)
    assert bool(torch.isfinite(torch.view_as_real(csm)).all())
    assert float(csm.abs().max()) < 50


@pytest.mark.parametrize(("n_coils", "sizes"), [(10, [10]), (11, [6, 5]), (25, [9, 8, 8])])
def test_rings_hold_at_most_ten_loops_on_the_ellipsoid(n_coils, sizes):
    half = (130.0, 155.0, 140.0)
    loops = sample_loops(n_coils, seeded(3), half_axes_mm=half)
    on = [math.sqrt(sum((c / h) ** 2 for c, h in zip(loop.centre_mm, half, strict=True))) for loop in loops]
    assert max(on) - min(on) < 1e-9 and 0.95 <= on[0] <= 1.05
    assert all(np.linalg.norm(loop.normal) == pytest.approx(1) for loop in loops)
    assert all(np.dot(loop.normal, loop.centre_mm) > 0 for loop in loops), "normals point outwards"
    start = 0
    for size in sizes:
        heights = [loop.centre_mm[2] for loop in loops[start : start + size]]
        assert max(heights) - min(heights) < 0.12 * 140
        start += size


def test_a_covariance_without_coupling_is_diagonal():
    cov = sample_covariance(5, seeded(), correlation=0.0)
    torch.testing.assert_close(cov, torch.diag(cov.diagonal()))
    equal = sample_covariance(5, seeded(), correlation=0.0, spread=0.0)
    torch.testing.assert_close(equal, torch.eye(5, dtype=torch.complex64))


def test_neighbours_couple_more_than_opposite_coils():
    mean = torch.stack([sample_covariance(12, seeded(s), spread=0.0).abs() for s in range(30)]).mean(0)
    assert float(mean[0, 1]) > 3 * float(mean[0, 6])
    assert float(mean[0, 11]) > 3 * float(mean[0, 6]), "the last coil is the first one's neighbour"


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_noise_power_follows_the_scale_and_batches_are_independent(scale):
    cov = sample_covariance(2, seeded()) * scale**2
    n = noise((2, 2, 1, 100, 100), cov, seeded(1)) / scale
    a, b = n[0].flatten(1), n[1].flatten(1)
    torch.testing.assert_close(a @ a.mH / 1e4, cov / scale**2, atol=0.05, rtol=0)
    assert float((a @ b.mH / 1e4).abs().max()) < 0.05
    assert noise_scan(cov, seeded(), 7).shape == (2, 1, 1, 7)


@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_the_object_does_not_depend_on_the_scale(scale):
    x = phantom((1, 32, 32)).clamp_min(0)
    assert object_mean(x * scale) == pytest.approx(scale * object_mean(x), rel=1e-5)


def test_phase_of_one_wave_is_that_wave():
    phase = Phase((2.0,), (0.3,), ((1.0, -2.0, 0.5),))
    shape = (5, 7, 6)
    z, y, x = coordinates(shape)
    wanted = 2 * torch.cos(2 * math.pi * (x - 2 * y + 0.5 * z) + 0.3)
    torch.testing.assert_close(phase.on(shape)[0], wanted.float())
    assert sample_phase(seeded(), strength=0.0).on((1, 4, 4)).std() == 0


@pytest.mark.parametrize("shape", [(1, 7, 8), (4, 5, 1)])
def test_coordinates_are_zero_in_the_middle(shape):
    for c, n in zip(coordinates(shape), shape, strict=True):
        flat = c.flatten()
        assert len(flat) == n and float(flat[n // 2]) == 0 and float(flat.min()) == -(n // 2) / n


@settings(deadline=None)
@given(a=st.floats(0.05, 0.4), b=st.floats(0.05, 0.4), c=st.floats(0.05, 0.4), angle=st.floats(-180, 180))
def test_the_centre_of_k_space_is_the_volume(a, b, c, angle):
    ball = Ellipsoid(2.0, (0.1, -0.1, 0.05), (a, b, c), angle)
    origin = torch.zeros(1, 3, dtype=torch.float64)
    volume = 2 * 4 / 3 * math.pi * a * b * c
    assert phantom_kspace(origin, (ball,), 64)[0].real == pytest.approx(8 * volume, rel=1e-5)
    area = 2 * math.pi * a * b * (1 - (0.05 / c) ** 2) if c > 0.05 else 0.0
    assert phantom_kspace(origin, section((ball,)), 64)[0].real == pytest.approx(8 * area, rel=1e-5, abs=1e-12)


@settings(max_examples=20, deadline=None)
@given(shift=st.tuples(*[st.floats(-0.3, 0.3)] * 3), seed=st.integers(0, 99))
def test_shifts_are_ramps_and_real_objects_are_hermitian(shift, seed):
    k = 20 * torch.rand(30, 3, generator=seeded(seed), dtype=torch.float64) - 10
    ball = Ellipsoid(1.0, (0.0, 0.0, 0.0), (0.2, 0.3, 0.1), 20)
    moved = phantom_kspace(k, (replace(ball, centre=shift),), 1)
    ramp = torch.exp(-2j * math.pi * (k @ tensor(*shift)))
    torch.testing.assert_close(moved, phantom_kspace(k, (ball,), 1) * ramp)
    torch.testing.assert_close(phantom_kspace(-k, (replace(ball, centre=shift),), 1), moved.conj())


def test_turning_the_object_turns_its_k_space():
    k = tensor(3.0, -4.0, 1.0, -2.0, 0.5, 5.0).view(2, 3)
    angle = math.radians(35)
    turn = tensor(math.cos(angle), -math.sin(angle), 0, math.sin(angle), math.cos(angle), 0, 0, 0, 1).view(3, 3)
    straight = Ellipsoid(1.0, (0.0, 0.0, 0.0), (0.1, 0.3, 0.2))
    torch.testing.assert_close(
        phantom_kspace(k @ turn.T, (replace(straight, angle_deg=35.0),), 1), phantom_kspace(k, (straight,), 1)
    )


def test_sections_shrink_and_end():
    ball = Ellipsoid(1.0, (0.0, 0.0, 0.1), (0.2, 0.3, 0.1))
    assert section((ball,), 0.2) == section((ball,), 0.25) == ()
    (widest,) = section((ball,), 0.1)
    assert widest.half_axes == (0.2, 0.3, math.inf) and widest.centre[2] == 0
    (half,) = section((ball,), 0.1 + 0.1 * math.sqrt(0.75))
    assert half.half_axes[:2] == pytest.approx((0.1, 0.15))


def test_a_picture_holds_the_area_of_its_ellipses():
    discs = (Ellipsoid(3.0, (0.05, -0.02, 0.0), (0.3, 0.15, 0.2), 40),)
    area = 3 * math.pi * 0.3 * 0.15
    for shape in ((1, 101, 101), (1, 64, 64)):
        assert float(phantom(shape, discs).sum()) / (shape[1] * shape[2]) == pytest.approx(area, rel=0.01)


def test_the_series_changes_only_what_moves():
    start, grown, half, _ = frames(4)
    changed = [i for i, (a, b) in enumerate(zip(HEAD, grown, strict=True)) if a != b]
    assert changed == [2, 3, 7]
    assert start[7].value == pytest.approx(0.25 * HEAD[7].value) and half[7].value == pytest.approx(HEAD[7].value)


@pytest.mark.parametrize("n_samples", [15, 16, 33])
def test_even_spokes_divide_the_half_turn(n_samples):
    spokes = radial(6, n_samples, 12, golden=False)[0].double()
    unit = spokes[:, -1] - spokes[:, 0]
    angle = torch.rad2deg(torch.atan2(unit[:, 1], unit[:, 0])) % 180
    torch.testing.assert_close(angle.sort().values, 30.0 * torch.arange(6, dtype=torch.float64), atol=1e-4, rtol=0)
    step = torch.linalg.vector_norm(spokes.diff(dim=1), dim=-1)
    torch.testing.assert_close(step, torch.full_like(step, 12 / n_samples), atol=1e-5, rtol=0)
    assert float(spokes[:, n_samples // 2].abs().max()) == 0 and float(spokes[..., 2].abs().max()) == 0


def test_golden_spokes_leave_few_different_gaps():
    """The three-gap theorem: points at multiples of one angle have at most three distances between neighbours."""
    assert pytest.approx(111.2461, abs=1e-4) == GOLDEN_DEG
    angle = torch.sort(torch.arange(34, dtype=torch.float64) * GOLDEN_DEG % 180).values
    gaps = torch.cat([angle.diff(), angle[:1] + 180 - angle[-1:]])
    assert len(torch.unique(gaps.round(decimals=6))) <= 3


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_spirals_run_at_constant_speed_to_the_edge(power):
    arms = spiral(3, 600, 24, density_power=power)[0].double()
    radius = torch.linalg.vector_norm(arms, dim=-1)
    assert float(radius[:, -1].min()) == pytest.approx(12, rel=1e-3) and bool((radius.diff(dim=1) >= 0).all())
    step = torch.linalg.vector_norm(arms.diff(dim=1), dim=-1)
    assert float(step[:, 50:].std() / step[:, 50:].mean()) < 0.1
    third = math.radians(120)
    turned = arms[0, :, 0] * math.cos(third) - arms[0, :, 1] * math.sin(third)
    torch.testing.assert_close(arms[1, :, 0], turned, atol=1e-4, rtol=0)


def test_turns_of_all_interleaves_lie_one_cycle_apart_at_the_edge():
    arm = torch.view_as_complex(spiral(2, 4000, 32)[0, 0, :, :2].double().contiguous())
    turned = torch.angle(arm[1:] / arm[:-1]).cumsum(0)
    last_turn = turned > turned[-1] - 2 * math.pi
    inner = float(arm[1:][last_turn].abs().min())
    assert 16 - inner == pytest.approx(2.0, abs=0.05), "two interleaves share the two cycles"


def test_a_spiral_thinner_than_its_centre_is_refused():
    with pytest.raises(DataError, match=r"density power 0\.9 -> give 1 or more"):
        spiral(3, 60, 24, density_power=0.9)
