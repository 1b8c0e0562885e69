"""Degradations: matrices with the equations they stand for, rows that keep a constant, adjoints, known spectra."""

from __future__ import annotations

import math

import pytest
import torch
from fine_heads import head
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter1d

from spinecho.core.errors import DataError
from spinecho.ops.fourier import fft, ifft
from spinecho.tasks.superres.parts.degrade import NAMES, Degradation, along, degradation, maps_of, places, transposed

KINDS = [Degradation("kspace"), Degradation("blur", 0.8), Degradation("slices", 0.8), Degradation("slices", 1.1)]
KINDS += [Degradation("slices", 0.7, "gaussian")]
every = pytest.mark.parametrize("kind", KINDS, ids=str)


@every
@pytest.mark.parametrize(("n_low", "n_high"), [(8, 16), (7, 20), (10, 31), (5, 5), (1, 6), (13, 17)])
def test_a_constant_stays(kind, n_low, n_high):
    matrix = kind.matrix(n_low, n_high)
    assert matrix.shape == (n_low, n_high) and matrix.dtype == torch.float64
    torch.testing.assert_close(matrix.sum(1), torch.ones(n_low, dtype=torch.float64))


@every
@given(z=st.integers(2, 9), y=st.integers(3, 12), x=st.integers(2, 9), seed=st.integers(0, 99))
@settings(max_examples=15, deadline=None)
def test_the_adjoint_is_exact(kind, z, y, x, seed):
    rng = torch.Generator().manual_seed(seed)
    low = (max(1, z // 2), y, max(1, x // 3))
    maps = maps_of((kind, None, kind), low, (z, y, x))
    a = torch.randn(2, z, y, x, dtype=torch.float64, generator=rng)
    b = torch.randn(2, *low, dtype=torch.float64, generator=rng)
    forward, back = (along(a, maps) * b).sum(), (a * along(b, transposed(maps))).sum()
    assert float(forward) == pytest.approx(float(back), rel=1e-10, abs=1e-10)


@every
def test_it_is_linear_and_knows_no_scale(kind):
    maps = maps_of((kind,) * 3, (4, 5, 6), (8, 10, 12))
    one, other = head((8, 10, 12)).double(), head((8, 10, 12), 9.0).double()
    both = along(3 * one - 2 * other, maps)
    torch.testing.assert_close(both, 3 * along(one, maps) - 2 * along(other, maps))
    torch.testing.assert_close(along(1e-9 * one, maps) * 1e9, along(one, maps))


@every
def test_mirrored_in_mirrored_out(kind):
    """The fields share their edges, so that both grids mirror about one middle."""
    matrix = kind.matrix(9, 22)
    torch.testing.assert_close(matrix.flip(0, 1), matrix, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("n_low", "n_high"), [(9, 27), (8, 24), (11, 30), (10, 16)])
def test_truncation_keeps_low_waves_and_drops_high_ones(n_low, n_high):
    matrix = Degradation("kspace").matrix(n_low, n_high)
    at_low, at_high = places(n_low, n_high), torch.arange(n_high, dtype=torch.float64)
    for k in range(n_high // 2):
        wave = lambda r, k=k: torch.cos(2 * math.pi * k * r / n_high + 0.4)  # noqa: E731
        if 2 * k < n_low:
            torch.testing.assert_close(matrix @ wave(at_high), wave(at_low), rtol=1e-9, atol=1e-9)
        elif 2 * k > n_low:
            assert float((matrix @ wave(at_high)).abs().max()) < 1e-9


def test_truncation_is_a_crop_of_kspace_where_the_middles_meet():
    """With odd numbers of voxels index n // 2 lies in the middle of both fields: no phase is left."""
    x = head((1, 1, 45))[0, 0].double()
    spectrum = fft(x.to(torch.complex128), (0,))
    cropped = ifft(spectrum[15:30], (0,)).real * (15 / 45) ** 0.5
    torch.testing.assert_close(Degradation("kspace").matrix(15, 45) @ x, cropped)


def test_truncation_twice_is_truncation_once():
    """Of odd sizes, which have no unpaired highest frequency."""
    kind = Degradation("kspace")
    torch.testing.assert_close(kind.matrix(7, 21) @ kind.matrix(21, 63), kind.matrix(7, 63), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_thick_slices_without_a_gap_are_means(factor):
    x = torch.rand(5 * factor, dtype=torch.float64)
    matrix = Degradation("slices", 1.0).matrix(5, 5 * factor)
    torch.testing.assert_close(matrix @ x, x.reshape(5, factor).mean(1))


def test_a_gap_is_not_seen():
    """4 mm slices at 5 mm distance on a grid of 0.5 mm: 8 of 10 voxels, the outer two of each ten never."""
    matrix = Degradation("slices", 0.8).matrix(6, 60)
    expected = torch.tensor([0] + [1 / 8] * 8 + [0], dtype=torch.float64)
    for m in range(6):
        torch.testing.assert_close(matrix[m, 10 * m : 10 * m + 10], expected)
        assert float(matrix[m].sum()) == pytest.approx(1)


def test_slices_may_overlap():
    matrix = Degradation("slices", 1.5).matrix(6, 24)
    assert ((matrix > 0).sum(0) > 1).any() and int((matrix[3] > 0).sum()) == 6


def test_blur_is_a_gaussian_sampled():
    x = head((1, 1, 120))[0, 0].double()
    sigma = 4 / (2 * math.sqrt(2 * math.log(2)))
    fine = torch.from_numpy(gaussian_filter1d(x.numpy(), sigma, mode="nearest"))
    expected = (fine[1::4] + fine[2::4]) / 2  # p_m lies between two voxels
    inner = slice(3, -3)
    made = Degradation("blur", 1.0).matrix(30, 120) @ x
    torch.testing.assert_close(made[inner], expected[inner], rtol=2e-2, atol=2e-3)


def test_a_gaussian_slice_is_a_blur_of_its_width():
    a, b = Degradation("slices", 0.9, "gaussian").matrix(6, 20), Degradation("blur", 0.9).matrix(6, 20)
    torch.testing.assert_close(a, b)


def test_the_places_are_those_of_one_field():
    torch.testing.assert_close(places(2, 4), torch.tensor([0.5, 2.5], dtype=torch.float64))
    torch.testing.assert_close(places(3, 3), torch.arange(3, dtype=torch.float64))
    at = places(7, 23)
    torch.testing.assert_close(at + at.flip(0), torch.full((7,), 22.0, dtype=torch.float64))


def test_axes_that_stay_have_no_matrix():
    kind = Degradation("kspace")
    maps = maps_of((kind, kind, None), (4, 6, 8), (8, 6, 8))
    assert maps[0] is not None and maps[1] is None and maps[2] is None
    x = head((8, 6, 8))
    assert along(x, maps).shape == (4, 6, 8) and along(x, [None] * 3) is x


@pytest.mark.parametrize("name", NAMES)
def test_it_says_what_it_is(name):
    assert len(str(Degradation(name))) > 8
    assert degradation(name, None) == Degradation(name) and degradation(name, 0.5).width == 0.5


def test_what_makes_no_sense_is_told():
    with pytest.raises(DataError, match="degradation='rust' is not known -> known are kspace, blur, slices"):
        degradation("rust", None)
    for width in (0.0, 3.0, -1.0, float("nan")):
        with pytest.raises(DataError, match="voxels wide"):
            Degradation("blur", width)
    with pytest.raises(DataError, match="4 voxels cannot lose detail to 5"):
        Degradation("kspace").matrix(5, 4)
    with pytest.raises(DataError, match="at least 1"):
        Degradation("slices").matrix(0, 4)
