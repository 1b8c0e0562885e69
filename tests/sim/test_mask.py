"""Masks measure what they say: counts, centres, distances, coverage, and the same again for the same seed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from spinecho.core.errors import DataError
from spinecho.ops.sampling import acceleration
from spinecho.sim import mask
from spinecho.sim.mask_spec import GRAMMAR, MaskSpec, parse
from spinecho.sim.poisson import poisson_disc


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@given(n=st.integers(16, 400), accel=st.floats(1, 8), seed=st.integers(0, 99))
def test_random_lines_have_the_exact_count_and_a_full_centre(n, accel, seed):
    n_centre = int(n / accel / 2)
    for draw in (mask.random_lines, mask.gaussian_lines):
        lines = draw(n, accel, n_centre or 0, seeded(seed)).flatten()
        assert int(lines.sum()) == round(n / accel)
        assert lines[mask.central_block(n, n_centre)].all()


def test_same_seed_same_mask():
    assert torch.equal(mask.random_lines(64, 4, 0.1, seeded(3)), mask.random_lines(64, 4, 0.1, seeded(3)))
    assert not torch.equal(mask.random_lines(64, 4, 0.1, seeded(3)), mask.random_lines(64, 4, 0.1, seeded(4)))


def test_gaussian_lines_lie_nearer_to_the_centre():
    spread = {}
    for draw in (mask.random_lines, mask.gaussian_lines):
        lines = draw(400, 4, 0, seeded()).flatten()
        spread[draw] = (torch.nonzero(lines).flatten() - 200).float().std()
    assert spread[mask.gaussian_lines] < 0.8 * spread[mask.random_lines]


def test_equispaced_lines_are_regular():
    lines = mask.equispaced_lines(320, 4, 0).flatten().nonzero().flatten()
    assert (lines.diff() == 4).all() and 160 in lines.tolist()
    assert mask.equispaced_lines(320, 4, 0, offset=3).flatten().nonzero()[0] == 3
    assert int(mask.equispaced_lines(320, 4, 24).sum()) == 80 + 18


def test_grid_shifts_rows():
    points = mask.equispaced_grid((8, 12), (2, 3), (0, 0), shift=1)[0, ..., 0]
    assert points.sum() == 16
    assert [int(points[k].nonzero()[0]) for k in (0, 2, 4, 6)] == [0, 1, 2, 0]
    assert mask.equispaced_grid((8, 12), (2, 3), (4, 6))[0, 2:6, 3:9].all()


def test_partial_fourier_passes_the_centre():
    lines = mask.partial_fourier(256, 0.625).flatten()
    assert int(lines.sum()) == 160 and lines[128] and not lines[0]


def test_kt_frames_cover_k_space_together():
    frames = mask.kt_lines(12, 64, 4, 0, seeded())
    assert frames.shape == (12, 1, 1, 64, 1)
    assert all((frames[t : t + 4].sum(0) == 1).all() for t in range(9))
    drawn = mask.kt_random_lines(3, 64, 4, 8, seeded())
    assert not torch.equal(drawn[0], drawn[1])


@pytest.mark.parametrize(
    ("shape", "accel", "calib"), [((128, 96), 4, 12), ((128, 128), 12, 16), ((60, 100), 1.5, 8), ((32, 32), 1, 4)]
)
def test_poisson_hits_the_acceleration(shape, accel, calib):
    points = poisson_disc(shape, accel, calib, seeded())
    assert points.shape == (1, *shape, 1)
    assert abs(acceleration(points) / accel - 1) < 0.02
    block = mask.central_block(shape[0], calib), mask.central_block(shape[1], calib)
    assert points[0, block[0], block[1]].all()


def test_poisson_keeps_a_distance_that_grows_outwards():
    points = poisson_disc((128, 128), 10, 0, seeded()).squeeze().numpy()
    where = np.argwhere(points)
    nearest = cKDTree(where).query(where, k=2)[0][:, 1]
    radius = np.hypot(*(where - 64).T)
    assert nearest[radius > 50].min() >= 2
    assert nearest[radius > 50].mean() > 1.5 * nearest[radius < 20].mean()


def test_poisson_fills_the_grid():
    """No hole: outside, every point of the grid has a sample within twice the typical distance."""
    points = poisson_disc((128, 128), 8, 8, seeded()).squeeze().numpy()
    everywhere = np.argwhere(np.ones_like(points))
    assert cKDTree(np.argwhere(points)).query(everywhere)[0].max() < 2 * 8**0.5


def test_spec_round_trip_and_defaults():
    assert parse("random:4") == MaskSpec("random", 4.0, 0.08, 0)
    assert str(parse("poisson:8:24:7")) == "poisson:8:24:7"
    assert parse("random:4:24:1").draw((1, 320, 320)).shape == (1, 1, 320, 1)
    assert parse("poisson:4:8").draw((1, 64, 48)).shape == (1, 1, 64, 48)
    assert parse("poisson:4:8").draw((64, 48, 32)).shape == (1, 64, 48, 1)
    assert parse("kt:4:0").draw((1, 64, 48), 5).shape == (5, 1, 1, 64, 1)


@pytest.mark.parametrize("spec", ["", "random", "spiral:4", "random:x", "random:4:0.1:0:9", "random:4:0.1:1.5"])
def test_bad_spec_shows_the_grammar(spec):
    with pytest.raises(DataError) as error:
        parse(spec)
    assert error.value.do == GRAMMAR


@pytest.mark.parametrize(
    "spec",
    [
        "random:0.5",
        "random:4:100",
        "random:8:0.5",
        "equispaced:2.5",
        "poisson:0",
        "poisson:8:40",
        "partial:0.3",
        "random:nan",
    ],
)
def test_impossible_masks_are_refused(spec):
    with pytest.raises(DataError):
        parse(spec).draw((1, 64, 64))
