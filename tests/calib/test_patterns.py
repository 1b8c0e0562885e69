"""What is read off a mask or a trajectory: centre, calibration block, lattice, ends, kernels, areas."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import cartesian

from spinecho.calib.centre import calibration_region, find_centre
from spinecho.calib.dcf import density_weights, pipe_menon, radial_weights
from spinecho.calib.grappa import Stencil, calibration_points, calibration_samples, fit_kernel, positions
from spinecho.calib.gridded import gridded_calibration
from spinecho.calib.noise import noise_sigma, outermost
from spinecho.calib.pattern import patterns
from spinecho.core.encoding import Encoding
from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.kspace import KSpace
from spinecho.ops.lattice import Lattice
from spinecho.sim.mask import equispaced_grid, equispaced_lines, partial_fourier, random_lines
from spinecho.sim.phantom import Ellipsoid, phantom_kspace
from spinecho.sim.trajectory import radial, spiral


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(seed))


def peaked(shape: tuple[int, int, int], at: tuple[int, int, int]) -> torch.Tensor:
    y = 0.1 * drawn(2, *shape)
    y[(slice(None), *at)] = 9
    return y


def along(traj: torch.Tensor, matrix: tuple[int, int, int], shape: str = "other") -> KSpace:
    ball = (Ellipsoid(1.0, (0.05, -0.1, 0.02), (0.3, 0.2, 0.25), 30),)
    y = phantom_kspace(traj, ball, math.prod(matrix)).to(torch.complex64)
    encoding = replace(Encoding.cartesian(matrix), trajectory=shape)
    both = torch.stack([y, 1j * y], -4)
    return KSpace(samples=both, traj=traj, encoding=encoding, geometries=(Geometry.unknown(matrix),))


@settings(max_examples=25, deadline=None)
@given(shape=st.tuples(st.integers(1, 6), st.integers(5, 17), st.integers(5, 17)), data=st.data())
def test_an_echo_in_the_inner_half_is_found_on_any_grid(shape, data):
    at = tuple(data.draw(st.integers(n // 2 - n // 4, n // 2 + n // 4 - (n % 4 == 0))) for n in shape)
    assert find_centre(cartesian(peaked(shape, at))) == at


def test_a_peak_at_the_rim_is_no_echo():
    y = peaked((1, 16, 16), (0, 9, 8))
    y[:, 0, 0, 0] = 1000
    assert find_centre(cartesian(y)) == (0, 9, 8)


@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_the_block_is_cut_from_the_samples_as_they_are(scale):
    y = peaked((30, 28, 20), (15, 14, 10)) * scale
    block = calibration_region(cartesian(y))
    assert block.shape == (2, 24, 24, 20)
    assert torch.equal(block, y[:, 3:27, 2:26]), "24 wide in 3-D, the centre at n // 2"


@pytest.mark.parametrize(("other", "lines"), [(1.1, slice(4, 14)), (3.0, slice(6, 12))])
def test_averages_with_other_masks_give_the_block_in_which_they_agree(other, lines):
    """Each line is the mean of those that have it, as long as that is nearly the mean of all."""
    y = peaked((1, 16, 16), (0, 8, 8))
    mask = torch.zeros(2, 1, 1, 16, 1, dtype=torch.bool)
    mask[0, ..., 4:12, :] = True
    mask[1, ..., 6:14, :] = True
    block = calibration_region(cartesian(torch.stack([y, other * y]), mask, axes=("repetition",)))
    assert block.shape == (1, 2, 1, lines.stop - lines.start, 16)
    factor = torch.tensor([1.0] * 6 + [(1 + other) / 2] * 6 + [other] * 4)[lines, None]
    torch.testing.assert_close(block[0], y[..., lines, :] * factor)


def test_a_slice_without_lines_spoils_no_other_silently():
    y, mask = torch.stack([peaked((1, 16, 16), (0, 8, 8))] * 2), torch.ones(2, 1, 1, 16, 1, dtype=torch.bool)
    mask[1, ..., 9:, :] = False
    assert calibration_region(cartesian(y, mask, axes=("slice",))).shape == (2, 2, 1, 8, 16)


def test_trajectories_have_no_block_of_their_own():
    with pytest.raises(DataError, match="samples along a trajectory hold no calibration block -> grid them first"):
        calibration_region(along(radial(8, 16, 8), (1, 8, 8)))


@pytest.mark.parametrize(("axis", "name"), [(0, "k2"), (1, "k1"), (2, "k0")])
def test_the_axis_that_lacks_lines_is_named(axis, name):
    shape, mask = (12, 12, 12), torch.ones(1, 12, 12, 12, dtype=torch.bool)
    mask[(slice(None),) * (axis + 1) + (slice(1, None, 2),)] = False
    encoding = replace(Encoding.cartesian(shape), centre=(6, 6, 6))
    with pytest.raises(DataError, match=f"4 are needed along {name}"):
        calibration_region(cartesian(peaked(shape, (6, 6, 6)), mask, encoding=encoding))


def test_the_pattern_of_a_caipirinha_grid():
    y = peaked((12, 16, 10), (6, 8, 5))
    (found,) = patterns(cartesian(y, equispaced_grid((12, 16), (2, 2), (6, 6), shift=1)))
    assert found.lattice is not None and found.lattice.steps == (2, 2) and found.lattice.shift == 1
    assert min(found.calibration_size) >= 6 and found.separable and not found.is_box
    assert found.one_sided == () and found.origin == (6, 8, 5)


@pytest.mark.parametrize("n", [31, 32])
def test_partial_fourier_is_seen_by_its_shorter_side(n):
    (found,) = patterns(cartesian(peaked((1, n, 16), (0, n // 2, 8)), partial_fourier(n, 0.625)))
    first = n - round(0.625 * n)
    assert found.extent == ((0, 1), (first, n), (0, 16)) and found.is_box
    assert found.one_sided == (1,) and found.half_width(1) == n // 2 - first


def test_an_asymmetric_echo_is_one_sided_along_the_readout():
    mask = torch.ones(1, 1, 1, 32, dtype=torch.bool)
    mask[..., :10] = False
    (found,) = patterns(cartesian(peaked((1, 16, 32), (0, 8, 16)), mask))
    assert found.one_sided == (2,) and found.half_width(2) == 6 and found.readout.sum() == 22


def test_points_that_differ_along_the_readout_are_no_lattice():
    mask = torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(0)) < 0.5
    mask[..., 6:11, 6:11] = True
    (found,) = patterns(cartesian(peaked((1, 16, 16), (0, 8, 8)), mask))
    assert not found.separable and found.lattice is None and not found.is_box


def test_entries_with_one_mask_share_their_pattern():
    y = torch.stack([torch.stack([peaked((1, 16, 8), (0, 8, 4))] * 3)] * 2)
    mask = torch.stack([equispaced_lines(16, 2, 0, offset=t % 2)[None] for t in range(3)], 1)
    found = patterns(cartesian(y, mask, axes=("slice", "time")))
    assert len(found) == 6 and len({id(p) for p in found}) == 2
    assert found[0] is found[2] is found[3] is found[5] and found[1] is found[4]
    assert found[1].measured[0].nonzero()[0].tolist() == [1, 3, 5, 7, 9, 11, 13, 15]


@pytest.mark.parametrize(
    ("lattice", "kernel", "flat", "n_sources"),
    [
        (Lattice((1, 4)), (2, 4, 5), True, 4),
        (Lattice((1, 2)), (4, 2, 1), False, 6),
        (Lattice((2, 3), 1), (2, 3, 3), False, 6),
        (Lattice((2, 1)), (4, 3, 3), False, 12),
        (Lattice((1, 2)), (3, 2, 1), False, 6),
    ],
)
def test_sources_are_measured_and_targets_are_not(lattice, kernel, flat, n_sources):
    stencil = Stencil(lattice, kernel, flat)
    points = lattice.on_grid((40, 40))
    base = np.array([20, 20 + int(np.argmax(points[20, 20:]))])
    assert points[tuple(base)]
    assert all(points[tuple(base + o)] for o in stencil.sources) and len(stencil.sources) == n_sources
    assert not any(points[tuple(base + t)] for t in stencil.targets)
    assert len(stencil.targets) == lattice.acceleration - 1 and len(stencil.taps) == kernel[2]


def test_positions_outside_the_grid_fall_past_its_end():
    found = positions(np.array([[0, 0], [1, 2]]), ((0, 0), (1, 0), (0, -1)), (2, 3))
    assert found.tolist() == [[0, 3, 6], [5, 6, 4]]


def test_coils_that_shift_k_space_are_predicted_exactly():
    """Maps exp(2 pi i c x / n) make coil c at k what coil 0 is at k - c: the missing lines are there already."""
    line = drawn(1, 1, 24, 6)
    y = torch.cat([line, line.roll(1, -2), line.roll(2, -2)])
    stencil = Stencil(Lattice((1, 3)), (1, 2, 1), True)
    measured = np.ones((1, 24), bool)
    measured[0, [0, 23]] = False  # the roll wraps around there
    weights = fit_kernel(y, measured, stencil, 1e-6)
    points = calibration_points(stencil, measured)
    assert weights.shape == (1, 2, 3, 2, 3) and abs(int(points[0, 1]) - 12) <= 1
    for k1 in points[3:9, 1]:
        source = torch.stack([y[:, 0, k1 + o] for _, o in stencil.sources])
        target = torch.stack([y[:, 0, k1 + o] for _, o in stencil.targets])
        predicted = torch.einsum("scx,sctd->tdx", source, weights[0])
        torch.testing.assert_close(predicted, target, atol=2e-2, rtol=0)


def test_kernels_larger_than_their_lines_are_refused_with_the_span():
    stencil = Stencil(Lattice((1, 4)), (1, 4, 5), True)
    with pytest.raises(DataError, match="do not hold a kernel that spans 1 x 13 phase encodes"):
        fit_kernel(drawn(2, 1, 10, 16), np.ones((1, 10), bool), stencil, 0.01)


def test_calibration_samples_are_averaged_only_where_lines_are_missing():
    y = torch.stack([peaked((1, 24, 8), (0, 12, 4))] * 3)
    moving = torch.stack([equispaced_lines(24, 3, 0, offset=t) for t in range(3)])
    series = cartesian(y, moving, axes=("time",))
    samples, measured = calibration_samples(series, patterns(series), 1)
    assert measured.all()
    torch.testing.assert_close(samples, y[0])
    own = cartesian(y, torch.stack([equispaced_lines(24, 3, 10, offset=t) for t in range(3)]), axes=("time",))
    samples, measured = calibration_samples(own, patterns(own), 1)
    assert torch.equal(samples, own.samples[1]) and not measured.all()
    apart = replace(series, calib=y[:1, :, :, 8:16])
    samples, measured = calibration_samples(apart, patterns(apart), 2)
    assert torch.equal(samples, y[0, :, :, 8:16]) and measured.shape == (1, 8) and measured.all()


@pytest.mark.parametrize("share", [0.01, 0.25, 1.0])
def test_outermost_of_a_trajectory_are_its_ends(share):
    kspace = along(radial(10, 40, 20), (1, 20, 20))
    outer = outermost(kspace, share)
    radius = torch.linalg.vector_norm(kspace.traj, dim=-1)
    assert int(outer.sum()) >= share * 400 * 0.99
    assert not (~outer).any() or float(radius[outer].min()) > 0.8 * float(radius[~outer].max())


def test_sigma_along_a_trajectory(rng):
    kspace = along(radial(60, 128, 64), (1, 64, 64))
    noise = 0.05 * torch.randn(kspace.samples.shape, dtype=torch.complex64, generator=rng)
    assert noise_sigma(replace(kspace, samples=noise)) == pytest.approx(0.05, rel=0.07)


def test_a_coil_that_is_off_is_left_out_of_sigma(rng):
    y = torch.randn(3, 1, 64, 64, dtype=torch.complex64, generator=rng)
    y[1] = 0
    mask = random_lines(64, 2, 8, rng)
    assert noise_sigma(cartesian(y, mask)) == pytest.approx(1.0, rel=0.1)


@settings(max_examples=15, deadline=None)
@given(n_spokes=st.integers(20, 90), half=st.integers(6, 20), oversampling=st.integers(1, 3))
def test_radial_weights_fill_the_disc(n_spokes, half, oversampling):
    w = radial_weights(radial(n_spokes, 2 * half * oversampling, 2 * half, golden=False))
    step = 1 / oversampling
    rings = math.pi * half**2 + math.pi * step**2 / 4
    assert float(w.sum()) == pytest.approx(rings, rel=1e-4)
    assert bool((w > 0).all())


def test_weights_of_frames_are_those_of_each():
    frames = torch.stack([radial(9, 24, 12, first=9 * t) for t in range(2)])
    both = radial_weights(frames)
    assert both.shape == (2, 1, 1, 9, 24)
    torch.testing.assert_close(both[1], radial_weights(frames[1]))


def test_a_radial_volume_is_weighed_by_iteration():
    """Spokes in space: the weights fill the ball, whose area elements grow as |k|^2."""
    direction = torch.nn.functional.normalize(
        torch.randn(300, 1, 3, generator=torch.Generator().manual_seed(1)), dim=-1
    )
    traj = (direction * (torch.arange(20.0) - 10)[:, None] * 0.5)[None]
    w = density_weights(along(traj, (10, 10, 10), "radial"))
    assert w.shape == (1, 1, 300, 20)
    assert float(w.sum()) == pytest.approx(4 / 3 * math.pi * 5**3, rel=0.25)
    assert float(w[..., 18].mean() / w[..., 14].mean()) == pytest.approx(4, rel=0.3)


def test_twice_the_samples_have_half_the_weight():
    once = spiral(6, 200, 16)
    w = pipe_menon(once, (1, 16, 16))
    twice = pipe_menon(torch.cat([once, once], 1), (1, 16, 16))
    torch.testing.assert_close(twice[:, :, :6], w / 2, rtol=1e-3, atol=1e-5)


def test_the_gridded_block_of_an_ellipse_is_its_transform():
    kspace = along(spiral(12, 500, 32), (1, 32, 32), "spiral")
    block = gridded_calibration(kspace)
    n = block.shape[-1]
    index = torch.arange(n, dtype=torch.float64) - n // 2
    ky, kx = torch.meshgrid(index, index, indexing="ij")
    grid = torch.stack([kx, ky, 0 * kx], -1)[None]
    ball = (Ellipsoid(1.0, (0.05, -0.1, 0.02), (0.3, 0.2, 0.25), 30),)
    wanted = phantom_kspace(grid, ball, 1024).to(torch.complex64)
    inner = torch.linalg.vector_norm(grid, dim=-1) < 6
    assert float((block[0] - wanted)[inner].norm() / wanted[inner].norm()) < 0.05
    torch.testing.assert_close(block[1], 1j * block[0], atol=1e-3, rtol=1e-3)
