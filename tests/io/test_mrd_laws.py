"""Laws of MRD's tables: every line has one role and one place; fields of view and units do not depend on spelling."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import h5py
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from ismrmrd.hdf5 import acquisition_header_dtype
from mrd_files import CALIBRATION, NOISE, REVERSED

from spinecho.core.errors import DataError
from spinecho.core.header import WARNING
from spinecho.io.mrd.fov import mended, slice_spacing
from spinecho.io.mrd.geometry import frame
from spinecho.io.mrd.grid import _occurrence, extents, find_grid
from spinecho.io.mrd.lines import FLAG, Lines
from spinecho.io.mrd.path import _scale, _share
from spinecho.io.mrd.roles import encoding_of, roles
from spinecho.io.mrd.xml import EncodingSpace, ScanHeader, Space

few = settings(max_examples=30, deadline=None)


@pytest.fixture(scope="module")
def table() -> Iterator[h5py.Dataset]:
    """Lines know the table they came from; nothing here reads it."""
    with h5py.File("lines", "w", driver="core", backing_store=False) as file:
        yield file.create_dataset("data", data=np.zeros(1))


def lines_of(table: h5py.Dataset, n: int, flags: list[list[int]] | None = None, **fields: object) -> Lines:
    heads = np.zeros(n, acquisition_header_dtype)
    heads["active_channels"] = 2
    heads["number_of_samples"] = 16
    heads["center_sample"] = 8
    for i, some in enumerate(flags or []):
        heads["flags"][i] = sum(1 << (bit - 1) for bit in some)
    for name, value in fields.items():
        (heads["idx"] if name in heads["idx"].dtype.names else heads)[name] = value
    return Lines(table, heads, np.arange(n))


SPACE = EncodingSpace(encoded=Space(matrix=(1, 16, 16), fov_mm=(5.0, 200.0, 200.0)))
HEADER = ScanHeader(encodings=(SPACE,))


@few
@given(st.lists(st.lists(st.sampled_from(sorted(FLAG.values())), max_size=3), min_size=1, max_size=12), st.data())
def test_every_line_with_samples_has_exactly_one_role(table, flags, data):
    n = len(flags)
    empty = np.array([data.draw(st.booleans()) for _ in flags])
    steps = [data.draw(st.integers(0, 15)) for _ in flags]
    lines = lines_of(table, n, flags, number_of_samples=np.where(empty, 0, 16), kspace_encode_step_1=steps)
    of = roles(lines, HEADER)
    times = sum(m.astype(int) for m in (of.imaging, of.calibration, of.noise, of.skipped))
    assert (times[~empty] == 1).all() and (times[empty] <= 1).all()
    told = of.counts()
    assert all(f"{int(mask.sum())} {name}" in told for name, mask in vars(of).items() if name != "notes" and mask.any())
    order = np.array(data.draw(st.permutations(range(n))))
    moved = {"number_of_samples": np.where(empty, 0, 16)[order], "kspace_encode_step_1": np.array(steps)[order]}
    other = roles(lines_of(table, n, [flags[i] for i in order], **moved), HEADER)
    np.testing.assert_array_equal(other.imaging, of.imaging[order])
    np.testing.assert_array_equal(other.calibration, of.calibration[order])


def test_lines_of_noise_and_calibration_are_no_image(table):
    of = roles(lines_of(table, 3, [[], [NOISE], [CALIBRATION]], kspace_encode_step_1=[0, 0, 0]), HEADER)
    assert of.counts() == "1 imaging, 1 calibration, 1 noise"


def test_encodings_that_differ_in_limits_only_are_one(table):
    a = replace(SPACE, limits={"kspace_encoding_step_1": (0, 15, 8)})
    b = replace(SPACE, limits={"kspace_encoding_step_1": (0, 7, 4)}, calibration="separate")
    c = replace(SPACE, encoded=Space(matrix=(1, 8, 16), fov_mm=(5.0, 200.0, 200.0)))
    lines = lines_of(table, 4, encoding_space_ref=[0, 1, 2, 9])  # one past the end is the last encoding
    first, like = encoding_of(lines, ScanHeader(encodings=(a, b, c)))
    assert first == a and like.tolist() == [0, 1]


@few
@given(st.lists(st.integers(-3, 3), min_size=1, max_size=30))
def test_a_line_is_counted_by_the_equal_ones_before_it(key):
    assert _occurrence(np.array(key)).tolist() == [key[:i].count(k) for i, k in enumerate(key)]


@few
@given(
    n=st.integers(4, 40),
    size=st.integers(4, 40),
    centre=st.integers(0, 40),
    pre=st.integers(0, 3),
    post=st.integers(0, 3),
)
def test_samples_stand_with_their_centre_in_the_middle_of_the_axis(table, n, size, centre, pre, post):
    assume(pre + post < size)
    heads = {"number_of_samples": size, "center_sample": centre, "discard_pre": pre, "discard_post": post}
    extent = extents(lines_of(table, 1, **heads), n)
    low, high, start, stop = (int(v[0]) for v in (extent.low, extent.high, extent.start, extent.stop))
    assert (low, high, stop - start) == (pre, size - post, high - low)
    fits = centre - low <= n // 2 and high - centre <= n - n // 2
    if fits:
        assert start + centre - low == n // 2 and start >= 0 and stop <= n
    turned = {**heads, "discard_pre": post, "discard_post": pre}  # a reversed line discards in time, is counted turned
    other = extents(lines_of(table, 1, [[REVERSED]], **turned), n)
    assert (other.low, other.high, other.start) == (extent.low, extent.high, extent.start)


def test_lines_that_discard_all_they_have_are_refused(table):
    with pytest.raises(DataError, match="discard more samples than they have"):
        extents(lines_of(table, 2, discard_pre=[0, 9], discard_post=[0, 7]), 16)


@few
@given(n=st.integers(2, 24), centre=st.integers(0, 23), low=st.integers(0, 12), count=st.integers(1, 24))
def test_phase_encodes_stand_about_the_centre_of_their_limits(table, n, centre, low, count):
    steps = np.arange(low, low + count)
    limits = {"kspace_encoding_step_1": (0, n - 1, centre)}
    space = replace(SPACE, encoded=Space(matrix=(1, n, 16), fov_mm=(5.0, 200.0, 200.0)), limits=limits)
    lines = lines_of(table, count, kspace_encode_step_1=steps)
    try:
        grid = find_grid(lines, space)
    except DataError as error:
        assert "damaged" in error.do and max(steps.max() - centre, centre - low) > n
        return
    places = steps + grid.shift[1]
    assert places.min() >= 0 and places.max() < grid.matrix[1]  # nothing falls off the grid
    if grid.matrix[1] == n and low - centre + n // 2 >= 0 and steps[-1] - centre + n // 2 < n:
        assert centre + grid.shift[1] == n // 2
    assert (grid.matrix[1] > n) is any("widened" in note for note in grid.notes)


MM = st.floats(20, 600).map(lambda v: round(v, 3))
GOOD = st.tuples(st.floats(1, 10), MM, MM)
ANY = st.floats(allow_nan=False, allow_infinity=False, width=32) | st.just(0.0)


def space_of(encoded: tuple[float, ...], recon: tuple[float, ...], nz: int = 1) -> EncodingSpace:
    return EncodingSpace(
        encoded=Space(matrix=(nz, 128, 256), fov_mm=(encoded[0], encoded[1], encoded[2])),
        recon=Space(matrix=(nz, 128, 128), fov_mm=(recon[0], recon[1], recon[2])),
    )


@few
@given(GOOD)
def test_good_fields_of_view_are_left_alone_in_millimetres_and_known_in_metres(fov):
    wide = (fov[0], fov[1], 2 * fov[2])
    same, notes = mended(space_of(wide, fov))
    assert (same.encoded.fov_mm, same.recon.fov_mm, notes) == (wide, fov, ())
    in_metres = space_of(tuple(v / 1e3 for v in wide), tuple(v / 1e3 for v in fov))
    again, notes = mended(in_metres)
    np.testing.assert_allclose(again.encoded.fov_mm, wide, rtol=1e-9)
    np.testing.assert_allclose(again.recon.fov_mm, fov, rtol=1e-9)
    assert len(notes) == 6 and all("taken as metres" in note for note in notes)


@few
@given(st.tuples(ANY, ANY, ANY), st.tuples(ANY, ANY, ANY), st.sampled_from([1, 16]), st.sampled_from([0.0, 3.5]))
def test_whatever_the_header_says_what_comes_out_is_positive_and_told(encoded, recon, nz, spacing):
    whole, notes = mended(space_of(encoded, recon, nz), spacing)
    fov = (*(whole.encoded.fov_mm or ()), *(whole.recon.fov_mm or ()))
    assert len(fov) == 6 and all(math.isfinite(v) and v > 0 for v in fov)
    changed = sum(a != b for a, b in zip(fov, (*encoded, *recon), strict=True))
    assert len(notes) >= changed
    assert all(note.startswith(WARNING) for note in notes if "assumed" in note)


def test_slices_lie_as_far_apart_as_the_nearest_two(table):
    heads = lines_of(table, 4).heads.copy()
    heads["read_dir"], heads["phase_dir"], heads["slice_dir"] = (0, 1, 0), (0, 0, 1), (1, 0, 0)
    heads["position"] = [(12, 5, 5), (0, 5, 5), (4.5, 5, 5), (-9, 5, 5)]
    assert slice_spacing(heads) == pytest.approx(4.5)
    assert slice_spacing(heads[:1]) == 0.0
    heads["read_dir"][2] = 0
    assert frame(heads[2]) is None and slice_spacing(heads) == 0.0


UNITS = {
    "cycles per field of view": lambda n, fov: 1.0,
    "cycles per voxel": lambda n, fov: n,
    "radians per voxel": lambda n, fov: n / (2 * math.pi),
    "1/m": lambda n, fov: fov / 1e3,
    "rad/m": lambda n, fov: fov / (2e3 * math.pi),
}


@few
@given(unit=st.sampled_from(sorted(UNITS)), n=st.sampled_from([64, 128, 256]), fov=st.floats(180, 420))
def test_a_disc_that_fills_the_grid_tells_its_unit(unit, n, fov):
    factor = UNITS[unit](n, fov)
    rivals = [f(n, fov) for u, f in UNITS.items() if u != unit]
    assume(all(abs(math.log(r / factor)) > 0.25 for r in rivals))
    k = np.linspace(-n / 2, n / 2, 65) / factor
    traj = np.stack([k, np.roll(k, 7), 0 * k], -1)[None, None, None]
    notes: list[str] = []
    assert _scale(traj, (1, n, n), (5.0, fov, fov), 1.0, notes)[:2] == pytest.approx((factor, factor))
    assert notes == [f"trajectory taken as {unit}: its largest k is 100% of half the matrix"]


@pytest.mark.parametrize("odd", [0.0, np.nan, np.inf])
def test_a_trajectory_without_extent_has_no_unit(odd):
    with pytest.raises(DataError, match="zero or not finite"):
        _scale(np.full((1, 1, 1, 4, 3), odd), (1, 64, 64), None, 1.0, [])


@few
@given(st.lists(st.integers(3, 6), min_size=1, max_size=4), st.randoms())
def test_frames_get_as_many_lines_as_the_poorest_has_in_their_order(counts, shuffle):
    index = [frame_ for frame_, n in enumerate(counts) for _ in range(n)]
    shuffle.shuffle(index)
    notes: list[str] = []
    rows, n = _share(np.array(index), len(counts), notes)
    assert n == min(counts) and rows.shape == (len(counts), n)
    for frame_, row in enumerate(rows):
        assert row.tolist() == [i for i, f in enumerate(index) if f == frame_][:n]
    assert bool(notes) is (len(set(counts)) > 1)
