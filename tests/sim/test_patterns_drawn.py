"""Masks that are not asked for every day: odd sizes, CAIPIRINHA grids, corner cases of the spec, and refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spinecho.core.errors import DataError
from spinecho.ops.lattice import find_lattice
from spinecho.ops.sampling import acceleration
from spinecho.sim import mask
from spinecho.sim.mask_spec import GRAMMAR, parse
from spinecho.sim.poisson import poisson_disc
from spinecho.sim.scan import Scan, sample_scan


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@settings(deadline=None)
@given(n=st.integers(1, 65), data=st.data())
def test_the_central_block_is_central(n, data):
    size = data.draw(st.integers(1, n))
    block = range(n)[mask.central_block(n, size)]
    assert len(block) == size and n // 2 in block
    before, after = n // 2 - block[0], block[-1] - n // 2
    assert 0 <= before - after <= 1


@pytest.mark.parametrize(("n", "centre", "wanted"), [(100, 0.08, 8), (100, 8, 8), (7, 0.999, 7), (9, 0, 0), (9, 9, 9)])
def test_central_lines_as_share_or_count(n, centre, wanted):
    assert mask.centre_lines(n, centre) == wanted


@pytest.mark.parametrize("centre", [-0.1, -3, 17])
def test_impossible_central_lines_are_refused_with_both_numbers(centre):
    with pytest.raises(DataError, match=rf"{centre:g} central lines were asked for, the grid has 16"):
        mask.centre_lines(16, centre)


@settings(deadline=None)
@given(n=st.integers(8, 80), accel=st.integers(1, 6), offset=st.integers(0, 20))
def test_equispaced_lines_are_a_lattice(n, accel, offset):
    lines = mask.equispaced_lines(n, accel, 0, offset).flatten()
    found = lines.nonzero().flatten().tolist()
    assert found == [k for k in range(n) if k % accel == offset % accel]


def test_equispaced_lines_begin_where_the_generator_says():
    first = {int(mask.equispaced_lines(64, 4, 0, generator=seeded(s)).flatten().nonzero()[0]) for s in range(40)}
    assert first == {0, 1, 2, 3}


@settings(max_examples=40, deadline=None)
@given(r2=st.integers(1, 3), r1=st.integers(1, 4), shift=st.integers(0, 3), n2=st.integers(10, 13))
def test_caipirinha_is_the_lattice_that_the_finder_sees(r2, r1, shift, n2):
    points = mask.equispaced_grid((n2, 24), (r2, r1), (0, 0), shift)
    lattice = find_lattice(points[0, ..., 0].numpy())
    assert lattice is not None and lattice.acceleration == r2 * r1
    assert (lattice.on_grid((n2, 24)) == points[0, ..., 0].numpy()).all()
    assert points[0, n2 // 2].any(), "the central row is measured"


def test_a_shift_spreads_the_aliases():
    """The point spread functions of 2 x 2 with and without shift have as many peaks, elsewhere."""
    peaks = {}
    for shift in (0, 1):
        points = mask.equispaced_grid((16, 16), (2, 2), (0, 0), shift)[0, ..., 0].numpy()
        psf = np.abs(np.fft.fft2(points)) / points.sum()
        peaks[shift] = {(int(a), int(b)) for a, b in np.argwhere(psf > 0.5)}
    assert peaks[0] == {(0, 0), (0, 8), (8, 0), (8, 8)}
    assert len(peaks[1]) == 4 and peaks[1] != peaks[0]


@pytest.mark.parametrize(("n", "fraction", "wanted"), [(10, 0.7, 7), (9, 0.6, 5), (1, 1.0, 1), (256, 1.0, 256)])
def test_partial_fourier_counts(n, fraction, wanted):
    lines = mask.partial_fourier(n, fraction).flatten()
    assert int(lines.sum()) == wanted and bool(lines[-1]) and bool(lines[n // 2])


@pytest.mark.parametrize("fraction", [0.5, 1.01, 0.0, float("nan")])
def test_half_or_more_than_all_is_refused(fraction):
    with pytest.raises(DataError, match="partial Fourier fraction"):
        mask.partial_fourier(64, fraction)


@settings(deadline=None)
@given(accel=st.integers(1, 7), n_frames=st.integers(1, 9), seed=st.integers(0, 20))
def test_kt_frames_repeat_after_a_cycle(accel, n_frames, seed):
    frames = mask.kt_lines(n_frames + accel, 40, accel, 4, seeded(seed))
    assert torch.equal(frames[:n_frames], frames[accel:]) and bool(frames[..., 18:22, :].all())
    assert bool(frames[:accel].any(0).all()), "a cycle measures every line"


def test_kt_random_frames_have_equal_counts():
    frames = mask.kt_random_lines(5, 51, 3, 0.1, seeded())
    assert frames.sum((1, 2, 3, 4)).tolist() == [17] * 5


@settings(max_examples=12, deadline=None)
@given(
    n2=st.integers(9, 30),
    n1=st.integers(9, 30),
    accel=st.floats(1.2, 5),
    calib=st.integers(0, 3),
    seed=st.integers(0, 9),
)
def test_poisson_counts_are_exact_on_any_grid(n2, n1, accel, calib, seed):
    points = poisson_disc((n2, n1), accel, calib, seeded(seed))
    assert int(points.sum()) == round(n2 * n1 / accel)
    assert bool(points[0, mask.central_block(n2, calib), mask.central_block(n1, calib)].all())
    assert torch.equal(points, poisson_disc((n2, n1), accel, calib, seeded(seed)))


def test_a_block_wider_than_the_grid_fills_it_along_that_axis():
    points = poisson_disc((4, 40), 2, 12, seeded())
    assert bool(points[0, :, 14:26].all()) and int(points.sum()) == 80


@pytest.mark.parametrize("matrix", [(1, 33, 20), (6, 33, 20), (1, 64, 1)])
@pytest.mark.parametrize("spec", ["random:3:4", "gaussian:3:0.1:5", "equispaced:3:4:2", "partial:0.7", "kt:3:2"])
def test_masks_broadcast_against_the_samples(matrix, spec):
    n_frames = 3 if spec.startswith("kt") else 1
    drawn = parse(spec).draw(matrix, n_frames)
    samples = torch.zeros(n_frames, 2, *matrix, dtype=torch.bool)
    assert (samples | drawn).shape == samples.shape
    assert 1 < acceleration(drawn) <= 3.2
    assert torch.equal(drawn, parse(str(parse(spec))).draw(matrix, n_frames))


@pytest.mark.parametrize(
    "spec",
    (
        "kt:0.5:0 kt:nan:0 kt:inf:0 kt:-1 kt:2.5 kt-random:0.2 equispaced:inf random:4:nan random:4:inf random:4:-inf "
        f"random:9999:0 poisson:inf:0 poisson:9999:0 gaussian:inf:0 partial:nan random:4:0.1:{10**30}"
    ).split(),
)
def test_numbers_without_a_mask_are_refused_as_data_errors(spec):
    with pytest.raises(DataError):
        parse(spec).draw((1, 32, 32), 2)


def test_the_grammar_names_every_kind():
    for kind in ("random", "equispaced", "gaussian", "poisson", "partial", "kt", "kt-random"):
        assert kind in GRAMMAR and parse(f" {kind}:2 ").kind == kind


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(40, 120))
def test_every_scan_that_is_drawn_can_be_measured(seed, n):
    scan = sample_scan(seeded(seed), Scan(matrix=(1, n, n)))
    drawn = parse(scan.sampling).draw(scan.matrix)
    nominal = parse(scan.sampling).accel
    assert bool(drawn[..., n // 2, :].all()) and 1 < acceleration(drawn) < 1.2 * nominal
    assert 10 <= scan.snr <= 60 and scan.field_t in (1.5, 3.0) and -20 <= scan.offset_mm <= 50
