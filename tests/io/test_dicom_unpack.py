"""Stored numbers of DICOM files: the same packed or not, counted before they are unpacked, damaged ones told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dicom_files import SHAPE, attributes, picture
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    MPEG2MPML,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

from spinecho.core.errors import DataError
from spinecho.io.dicom.files import quiet
from spinecho.io.dicom.unpack import stored_numbers


def saved(path: Path, ds: Dataset, syntax: str = ExplicitVRLittleEndian) -> Path:
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    with quiet():
        implicit, little = syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian
        ds.save_as(path, enforce_file_format=True, implicit_vr=implicit, little_endian=little)
    return path


def frames(numbers: np.ndarray, **changes: object) -> Dataset:
    """Several pictures in one object."""
    return attributes(
        1, Rows=numbers.shape[1], Columns=numbers.shape[2], NumberOfFrames=len(numbers), PixelData=numbers.tobytes(),
        **changes,
    )  # fmt: skip


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_numbers_are_the_same_in_every_plain_spelling(syntax, tmp_path):
    numbers = stored_numbers(saved(tmp_path / "a.dcm", attributes(3), syntax))
    np.testing.assert_array_equal(numbers, picture(3)[None])


def test_big_endian_numbers_are_turned(tmp_path):
    ds = attributes(3, PixelData=picture(3).astype(">u2").tobytes())
    ds["PixelData"].VR = "OW"
    np.testing.assert_array_equal(stored_numbers(saved(tmp_path / "a.dcm", ds, ExplicitVRBigEndian)), picture(3)[None])


@pytest.mark.parametrize("dtype", ["<i2", "<u2", "|u1", "<u4"])
def test_signs_and_bits_are_those_of_the_header(dtype, tmp_path):
    kind = np.dtype(dtype)
    info, bits = np.iinfo(kind), 8 * kind.itemsize
    numbers = np.linspace(info.min, info.max, 24).astype(kind).reshape(2, 3, 4)
    representation = {"PixelRepresentation": int(kind.kind == "i")}
    ds = frames(numbers, BitsAllocated=bits, BitsStored=bits, HighBit=bits - 1, **representation)
    back = stored_numbers(saved(tmp_path / "a.dcm", ds))
    np.testing.assert_array_equal(back, numbers)
    assert back.dtype.kind == kind.kind


@pytest.mark.parametrize("n", [1, 4])
def test_run_lengths_are_unpacked(n, tmp_path):
    numbers = np.stack([picture(i) // 64 * 64 for i in range(n)]).astype("<u2")
    ds = frames(numbers)
    saved(tmp_path / "plain.dcm", ds)
    with quiet():
        ds.compress(RLELossless, generate_instance_uid=False)
        ds.save_as(tmp_path / "packed.dcm")
    np.testing.assert_array_equal(stored_numbers(tmp_path / "packed.dcm"), numbers)
    np.testing.assert_array_equal(stored_numbers(tmp_path / "plain.dcm"), numbers)


def packed(path: Path, syntax: str, content: bytes = b"\xff\xd8\xff no picture") -> Path:
    ds = attributes(1, PixelData=encapsulate([content]))
    ds["PixelData"].is_undefined_length = True
    return saved(path, ds, syntax)


@pytest.mark.parametrize(
    ("syntax", "package"),
    [
        (JPEGBaseline8Bit, "pylibjpeg pylibjpeg-libjpeg"),
        (JPEG2000Lossless, "pylibjpeg pylibjpeg-openjpeg"),
        (JPEGLSLossless, "pyjpegls"),
    ],
)
def test_pictures_that_nothing_here_unpacks_name_the_package(syntax, package, tmp_path):
    with pytest.raises(DataError, match=r"a\.dcm is compressed .* cannot be unpacked here") as told:
        stored_numbers(packed(tmp_path / "a.dcm", syntax))
    assert f"pip install {package} (or use gdcmconv --raw)" in told.value.do


@pytest.mark.parametrize("syntax", [MPEG2MPML, RLELossless])
def test_damaged_pictures_without_a_package_are_to_be_exported_again(syntax, tmp_path):
    with pytest.raises(DataError, match="copy it again; if that does not help, export it uncompressed"):
        stored_numbers(packed(tmp_path / "a.dcm", syntax))


def test_a_file_without_pixels_or_with_too_few_is_told(tmp_path):
    with pytest.raises(DataError, match=r"a\.dcm holds no pixels"):
        stored_numbers(saved(tmp_path / "a.dcm", attributes(1, PixelData=None)))
    with pytest.raises(DataError, match=r"the pixels of b\.dcm do not fit its header"):
        stored_numbers(saved(tmp_path / "b.dcm", attributes(1, Rows=SHAPE[0] + 1)))


def test_what_a_header_claims_is_weighed_before_anything_is_unpacked(tmp_path):
    claims = {"Rows": 65535, "Columns": 65535, "NumberOfFrames": 10**6}
    with pytest.raises(DataError, match=r"the pixels of a\.dcm would expand to 8\.59e\+03 TB"):
        stored_numbers(saved(tmp_path / "a.dcm", attributes(1, **claims)))
