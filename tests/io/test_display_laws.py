"""Which way up pictures stand, whether images lie as a series does, and what packed files hold: laws of each."""

from __future__ import annotations

import gzip
import io
import itertools
import zlib

import numpy as np
import pytest
import torch
from asymmetric import DIRECTIONS, grid, marked_points, phantom, rotation
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.header import Header
from spinecho.io.display import display_order, edge_letters, upright, upright_geometry
from spinecho.io.header_json import header_from_json, header_to_json
from spinecho.io.likeness import check_likeness
from spinecho.io.packed import exactly, opened, packing, unpacked

few = settings(max_examples=30, deadline=None)
LETTERS = {"R": (0, -1), "L": (0, 1), "A": (1, -1), "P": (1, 1), "I": (2, -1), "S": (2, 1)}


@pytest.mark.parametrize("name", DIRECTIONS)
def test_every_mark_keeps_its_place_in_the_world(name):
    geometry = grid(name)
    image = phantom(geometry)
    shown, where = upright(image.values[0], geometry), upright_geometry(geometry)
    for value, point in marked_points(geometry).items():
        z, y, x = np.argwhere(shown.numpy() == value)[0]
        np.testing.assert_allclose(where.to_world((x, y, z)), point, atol=1e-9)


@few
@given(st.tuples(st.floats(-1, 1), st.floats(-1, 1), st.floats(0.1, 1)), st.floats(-180, 180), st.booleans())
def test_a_picture_that_stands_upright_is_not_turned_again(axis, degrees, mirrored):
    turn = rotation(axis, degrees) @ np.diag([-1.0 if mirrored else 1.0, 1.0, 1.0])
    geometry = upright_geometry(Geometry.from_frame((0.0, 0.0, 0.0), turn, (1.0, 1.0, 1.0), (2, 3, 4)))
    assert display_order(geometry) == ((0, 1, 2), ())


@pytest.mark.parametrize("name", ["axial", "sagittal", "coronal", "oblique", "negative determinant"])
def test_the_letters_at_the_edges_are_where_the_world_says(name):
    geometry = upright_geometry(grid(name))
    centre = geometry.to_world((4, 3, 2))
    ends = {"left": (0, 3, 2), "right": (8, 3, 2), "top": (4, 0, 2), "bottom": (4, 6, 2)}
    for letter, point in zip(edge_letters(geometry), ends.values(), strict=True):
        axis, sign = LETTERS[letter]
        assert sign * (geometry.to_world(point) - centre)[axis] > 0


def test_a_scan_without_orientation_is_shown_as_stored_without_letters():
    geometry, values = Geometry.unknown((2, 3, 4)), torch.rand(5, 2, 3, 4)
    assert torch.equal(upright(values, geometry), values)
    assert edge_letters(geometry) == ("", "", "", "") and upright_geometry(geometry).matches(geometry)


@pytest.fixture(scope="module")
def head() -> np.ndarray:
    """Something without any symmetry."""
    return gaussian_filter(np.random.default_rng(5).random((6, 20, 20)), 1.5).astype(np.float32)


WAYS = [
    (exchanged, axes)
    for exchanged in (False, True)
    for n in range(4)
    for axes in itertools.combinations(range(3), n)
    if exchanged or axes
]


@pytest.mark.parametrize(("exchanged", "axes"), WAYS)
def test_every_mirroring_is_seen_and_named(head, exchanged, axes):
    turned = np.flip(head.swapaxes(1, 2) if exchanged else head, axes)
    with pytest.raises(DataError, match="looks like the series with") as told:
        check_likeness(turned, 3 * head + 1)
    names = [n for i, n in enumerate(("slices", "rows", "columns")) if i in axes]
    undone = {"rows": "columns", "columns": "rows"} if exchanged else {}
    assert all(f"{undone.get(n, n)} mirrored" in told.value.found for n in names)
    assert ("rows and columns exchanged" in told.value.found) is exchanged


def test_what_lies_right_passes_at_any_scale_and_what_is_symmetric_is_told(head):
    assert check_likeness(1e-9 * head, head) == "correlation with that series 1.00"
    ball = np.exp(-sum((c - n // 2) ** 2 for c, n in zip(np.ogrid[:7, :9, :9], (7, 9, 9), strict=True)) / 8)
    assert "cannot be distinguished from" in check_likeness(ball, ball)
    assert "0.00" in check_likeness(np.zeros_like(head), head)


@few
@given(st.binary(max_size=3000), st.integers(1, 500))
def test_the_first_bytes_of_a_file_are_the_same_packed_or_not(content, n):
    content = b"x" + content  # a file that begins as gzip does is one
    assert unpacked(content, n) == content[:n] == unpacked(gzip.compress(content), n)


def test_equal_contents_are_equal_files_and_read_back(tmp_path):
    paths = [tmp_path / "a.gz", tmp_path / "b.gz"]
    for path in paths:
        with path.open("wb") as file, packing(file) as packed:
            packed.write(b"abc" * 1000)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    (tmp_path / "plain").write_bytes(b"abc" * 1000)
    for path, is_packed in ((paths[0], True), (tmp_path / "plain", False)):
        with opened(path) as (stream, packed):
            assert packed is is_packed
            assert exactly(stream, 3000, ends=True) == b"abc" * 1000


def test_a_damaged_end_is_noticed():
    whole = gzip.compress(np.random.default_rng(0).bytes(3000))
    flipped = bytearray(whole)
    flipped[-8] ^= 1  # its checksum
    for content in (whole[:-9], whole[:200], bytes(flipped)):
        with pytest.raises(DataError, match=r"its gzip is damaged|bytes too early"):
            exactly(gzip.GzipFile(fileobj=io.BytesIO(content)), 3000, ends=True)
    with pytest.raises(DataError, match="it ends 2 bytes too early"):
        exactly(io.BufferedReader(io.BytesIO(b"ab")), 4)  # pyright: ignore[reportArgumentType]
    with pytest.raises(DataError, match="continues after its image"):
        exactly(io.BufferedReader(io.BytesIO(bytes(1 << 17))), 4, ends=True)  # pyright: ignore[reportArgumentType]
    assert unpacked(b"\x1f\x8b" + zlib.compress(b"x"), 9) == b""


TIMES = st.lists(st.floats(0.1, 1e5), max_size=3).map(tuple)
TEXTS = st.lists(st.text(max_size=20), max_size=3).map(tuple)


@few
@given(te=TIMES, tr=TIMES, field=st.floats(0, 20), vendor=st.text(max_size=9), flags=TEXTS, history=TEXTS)
def test_a_header_survives_as_text_but_for_who_the_patient_is(te, tr, field, vendor, flags, history):
    facts = {"te_ms": te, "tr_ms": tr, "field_t": field, "vendor": vendor, "flags": flags, "history": history}
    text = header_to_json(Header(**facts, source="/home/x", patient={"name": "Doe"}, kept={"dtype": "uint8"}))
    assert header_from_json(text) == Header(**facts)
    assert "Doe" not in text and "/home" not in text


@few
@given(st.text(max_size=60) | st.sampled_from(['{"spinecho": 3}', "[]", '{"spinecho": {"te_ms": "x", "flags": 3}}']))
def test_any_other_text_is_a_header_or_none(text):
    header = header_from_json(text)
    assert header is None or header == Header()
