"""Laws of NIfTI headers, with nibabel as the oracle: quaternions, forms, units, words that are kept, pairs."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import nibabel
import numpy as np
import pytest
from asymmetric import rotation
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from nibabel.quaternions import mat2quat

from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.header import GRID, Header
from spinecho.io.nifti.forms import geometry_of
from spinecho.io.nifti.kept import kept_of, left_behind, put_back, put_time, repetition_ms
from spinecho.io.nifti.pair import halves, is_nifti, is_pair
from spinecho.io.nifti.qform import nearest_quaternion
from spinecho.io.nifti.read import header_of, read_volume
from spinecho.io.nifti.write import write_volume
from spinecho.io.volume import Volume

few = settings(max_examples=30, deadline=None)
TURNS = st.tuples(st.floats(-1, 1), st.floats(-1, 1), st.floats(0.1, 1), st.floats(-180, 180)).map(
    lambda t: rotation(t[:3], t[3])
)
VOXELS = st.tuples(*[st.floats(0.3, 8)] * 3)
TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@few
@given(TURNS)
@example(rotation((0, 1, 1), 180))
@example(rotation((1, 0, 0.2), 179.98))
def test_a_quaternion_is_read_back_as_the_rotation_to_what_it_says(turn):
    bcd, off = nearest_quaternion(turn)
    assert bcd.dtype == np.float32
    head = header()
    head["pixdim"][:4] = 1
    head["quatern_b"], head["quatern_c"], head["quatern_d"] = bcd
    read_back = head.get_qform()[:3, :3]
    assert (np.abs(read_back - turn) <= off + 1e-12).all()
    half_turn = abs(mat2quat(turn)[0]) < 0.05  # where readers compute a small difference
    assert off.max() < (2e-3 if half_turn else 1e-6)


def header(shape: tuple[int, ...] = (5, 4, 3), second: bool = False) -> nibabel.Nifti1Header:
    head = nibabel.Nifti2Header() if second else nibabel.Nifti1Header()
    head.set_data_shape(shape)
    return head


@few
@given(TURNS, VOXELS, st.sampled_from([0, 1, 2, 3]), st.sampled_from(["sform", "qform"]), st.booleans())
def test_every_form_in_every_unit_is_where_nibabel_puts_it(turn, voxel, unit, form, mirrored):
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([-1 if mirrored else 1, 1, 1]) @ np.diag(voxel)
    affine[:3, 3] = 10, -20, 30
    head, mm = header(), {0: 1.0, 1: 1e3, 2: 1.0, 3: 1e-3}[unit]
    getattr(head, f"set_{form}")(affine, 1)
    head["xyzt_units"] = unit
    geometry, told = geometry_of(head, (3, 4, 5))
    assert told == () and geometry.oriented
    expected = np.diag([mm, mm, mm, 1]) @ (head.get_sform() if form == "sform" else head.get_qform())
    np.testing.assert_allclose(TO_RAS @ geometry.affine, expected, atol=1e-5 * mm * 30)


def test_a_header_without_forms_knows_its_voxels_only():
    head = header()
    head["pixdim"][1:4] = 0.5, -2, 0
    geometry, told = geometry_of(head, (1, 4, 5))
    assert not geometry.oriented and geometry.voxel_mm == (0.5, 2.0, 1.0)
    assert "left may be right" in told[0]


@few
@given(TURNS, VOXELS, arrays("<f4", (2, 3, 2, 3, 4), elements=st.floats(-1e6, 1e6, width=32)), st.booleans())
def test_a_volume_with_time_and_channels_comes_back_and_nibabel_reads_the_same(
    tmp_path_factory, turn, voxel, values, oriented
):
    geometry = Geometry.from_frame((3.0, -4.0, 5.0), turn, voxel, (2, 3, 4))
    geometry = geometry if oriented else Geometry.unknown((2, 3, 4), voxel)
    volume = Volume(values=values, geometry=geometry, header=Header(tr_ms=(2500.0,), history=("made",)))
    path = tmp_path_factory.getbasetemp() / "law.nii"
    write_volume(volume, path)
    back, theirs = read_volume(path), nibabel.load(path)
    data = np.asarray(theirs.dataobj).copy()
    np.testing.assert_array_equal(back.values, values)
    np.testing.assert_array_equal(data, values.transpose(4, 3, 2, 0, 1))
    assert back.header.tr_ms == (2500.0,) and "made" in back.header.history
    assert back.geometry.oriented is oriented
    np.testing.assert_allclose(back.geometry.affine, geometry.affine, atol=1e-4)
    if oriented:
        np.testing.assert_allclose(theirs.affine, TO_RAS @ geometry.affine, atol=1e-4)


WORDS = st.text("abcdefgh XYZ_0189äöü", max_size=12).map(str.rstrip)


@few
@given(
    st.fixed_dictionaries({"intent_name": WORDS, "aux_file": WORDS, "descrip": WORDS}),
    st.fixed_dictionaries({n: st.floats(-1e6, 1e6, width=32) for n in ("intent_p1", "cal_min", "cal_max", "toffset")}),
    st.fixed_dictionaries({"slice_code": st.integers(0, 6), "slice_start": st.integers(0, 99)}),
    st.booleans(),
)
def test_what_a_header_says_is_kept_as_text_and_said_again(words, numbers, slices, second):
    head = header(second=second)
    for name, text in words.items():
        head[name] = text.encode("latin-1")
    for name, value in (numbers | slices).items():
        head[name] = value
    kept = kept_of(head)
    assert all(isinstance(text, str) for text in kept.values()) and kept["version"] == ("2" if second else "1")
    again = header(second=second)
    put_back(again, kept, ())
    for name in (*words, *numbers, *slices):
        assert again[name] == head[name], name
    grid_gone = {name: text for name, text in kept.items() if not name.startswith(GRID)}
    put_back(again, grid_gone, ())
    assert again["slice_code"] == 0 and again["cal_max"] == head["cal_max"]


def test_flags_stand_behind_foreign_words_once_and_within_80_characters():
    head = header()
    put_back(head, {"descrip": "FSL 6.0; simulated"}, ("simulated", "orientation=unknown"))
    assert bytes(head["descrip"].item()) == b"FSL 6.0; simulated; orientation=unknown"
    put_back(head, {"descrip": "x" * 70}, ("orientation=unknown",))
    assert len(bytes(head["descrip"].item())) == 79
    head["descrip"] = b"spinecho 0.1.0"
    assert "descrip" not in kept_of(head)  # our own words are said anew


@pytest.mark.parametrize(("unit", "step", "ms"), [(8, 2.5, 2500), (16, 2500, 2500), (24, 2.5e6, 2500), (0, 2.5, 2500)])
def test_the_repetition_time_in_every_unit_and_back(unit, step, ms):
    head = header((5, 4, 3, 6))
    head["pixdim"][4], head["xyzt_units"] = step, 2 | unit
    assert repetition_ms(head) == pytest.approx(ms)
    again = header((5, 4, 3, 6))
    put_time(again, kept_of(head), repetition_ms(head))
    assert again["pixdim"][4] == pytest.approx(step) and int(again["xyzt_units"]) == 2 | unit


@pytest.mark.parametrize("unit", [32, 40, 48])
def test_hertz_and_other_axes_are_no_time_and_keep_their_step(unit):
    head = header((5, 4, 3, 6))
    head["pixdim"][4], head["xyzt_units"] = 12.5, 2 | unit
    assert repetition_ms(head) == 0
    again = header((5, 4, 3, 6))
    put_time(again, kept_of(head), 0.0)
    assert again["pixdim"][4] == 12.5 and int(again["xyzt_units"]) & 0b111000 == unit


def test_extensions_that_nobody_understands_are_named_once():
    assert left_behind([]) == ()
    assert left_behind([4, 4, 44]) == ("NIfTI: header extensions are not carried along: AFNI, code 44",)


@pytest.mark.parametrize(
    "names", [("a.hdr", "a.img"), ("a.hdr.gz", "a.img.gz"), ("A.HDR", "A.IMG"), ("a.hdr", "a.img.gz")]
)
def test_either_half_finds_the_other_packed_or_not(names, tmp_path):
    head = bytearray(348)
    struct.pack_into("<i", head, 0, 348)
    head[344:348] = b"ni1\0"
    header_path, image_path = (tmp_path / n for n in names)
    header_path.write_bytes(gzip.compress(bytes(head)) if names[0].endswith("gz") else bytes(head))
    image_path.write_bytes(gzip.compress(bytes(8)) if names[1].endswith("gz") else bytes(8))
    for half in (header_path, image_path):
        assert halves(half) == (header_path, image_path)
        assert is_pair(half, half.read_bytes())
    header_path.unlink()
    with pytest.raises(DataError, match=r"it is half of a pair, and [aA]\.hdr is not there"):
        halves(image_path)
    assert not is_pair(image_path, image_path.read_bytes())


def test_other_files_are_their_own_halves_and_no_nifti():
    assert halves(Path("a.nii.gz")) == (Path("a.nii.gz"),) * 2
    for content in (b"", b"n+1\0", bytes(400), b"\x1f\x8bbroken", gzip.compress(b"text" * 200)):
        assert not is_nifti(content) and not is_pair(Path("a.nii"), content)


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
def test_a_header_is_read_without_its_voxels(kind, tmp_path):
    nibabel.save(kind(np.zeros((4, 5, 6), np.int16), np.eye(4)), tmp_path / "a.nii")
    whole = (tmp_path / "a.nii").read_bytes()
    (tmp_path / "cut.nii").write_bytes(whole[: 540 if kind is nibabel.Nifti2Image else 348])
    assert header_of(tmp_path / "cut.nii").get_data_shape() == (4, 5, 6)
    with pytest.raises(DataError):
        read_volume(tmp_path / "cut.nii")
