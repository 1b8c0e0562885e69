"""DICOM files: without preamble, compressed, and of one name in several folders."""

from __future__ import annotations

import shutil

import numpy as np
import pydicom
import pytest
from dicom_files import attributes, picture, save
from pydicom.filewriter import write_file_meta_info
from pydicom.pixels import get_decoder
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid

from spinecho.core.errors import DataError
from spinecho.io.formats import dicom
from spinecho.io.read import find_format, read

_JPEG, _JPEG2000 = "pylibjpeg pylibjpeg-libjpeg", "pylibjpeg pylibjpeg-openjpeg"
PACKAGES = {
    **dict.fromkeys(("50", "51", "57", "70"), _JPEG),
    **dict.fromkeys(("80", "81"), "pyjpegls"),
    **dict.fromkeys(("90", "91", "201", "202", "203"), _JPEG2000),
}
"""What pip installs to unpack 1.2.840.10008.1.2.4.NUMBER."""


def compressed(path, syntax):
    """A file that says it is compressed, with bytes that nothing can unpack."""
    ds = pydicom.dcmread(save(path, 1))
    ds.file_meta.TransferSyntaxUID = syntax
    ds.PixelData = pydicom.encaps.encapsulate([b"\xff\xd8" + bytes(60)])
    ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
    ds.save_as(path)
    return path


def bare(path, first_group=8, implicit=True, **changes):
    """A file without preamble and mark, from its meta information (group 2) or its first attribute on."""
    ds = attributes(1, **changes)
    syntax = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    pydicom.dcmwrite(path, ds, implicit_vr=implicit, little_endian=True, enforce_file_format=False)
    body = path.read_bytes()
    body = body[body.index(b"\x08\0") :] if body[128:132] == b"DICM" else body
    with path.open("wb") as file:
        if first_group == 2:
            meta = pydicom.dataset.FileMetaDataset()
            meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
            meta.TransferSyntaxUID = syntax
            write_file_meta_info(file, meta)
        file.write(body)
    return path


@pytest.mark.parametrize("implicit", [True, False])
@pytest.mark.parametrize("first_group", [2, 8])
@pytest.mark.parametrize("first", [{}, {"ImageType": None}, {"ImageType": None, "SpecificCharacterSet": "ISO_IR 100"}])
def test_a_file_without_preamble_is_found_by_its_first_elements(tmp_path, first_group, implicit, first):
    path = bare(tmp_path / "IM1", first_group, implicit, **first)
    assert find_format(path) is dicom
    np.testing.assert_array_equal(read(path).values[0, 0].numpy(), picture(1))
    assert find_format(tmp_path) is dicom and read(tmp_path).geometry.matches(read(path).geometry)


def test_a_file_that_only_says_it_is_mr_is_one(tmp_path):
    assert read(bare(tmp_path / "IM1", SOPClassUID=None)).values.shape == (1, 1, 6, 5)
    with pytest.raises(DataError, match=r"IM1 is an object without a class \(CT\)"):
        read(bare(tmp_path / "IM1", SOPClassUID=None, Modality="CT"))


@pytest.mark.parametrize(
    "content",
    [
        b"\x08\0\x05\0" + bytes(400),
        b"\x08\0\x05\0" + b"\xff" * 400,
        b"\x02\0\0\0UL\x04\0" + b"\xaa" * 400,
        b"\x08\0\x16\0UI\x04\x00abcd" + b"\x01\0\x16\0UI\x04\x00abcd" * 30,
        b"\x08\0\x16\0\x1a\0\0\0" + b"z" * 400,
        b"\x08\0",
    ],
)
def test_what_only_begins_like_an_old_file_is_refused(tmp_path, content):
    (tmp_path / "IM1").write_bytes(content)
    with pytest.raises(DataError, match="this is no file of a known format"):
        find_format(tmp_path / "IM1")


def test_files_of_one_name_are_told_apart_by_their_folders(tmp_path):
    a, b = save(tmp_path / "a" / "x" / "0.dcm", 1), tmp_path / "b" / "x" / "0.dcm"
    b.parent.mkdir(parents=True)
    shutil.copy(a, b)
    with pytest.raises(DataError, match=r"a/x/0\.dcm and b/x/0\.dcm are the same image"):
        read(tmp_path)
    ds = pydicom.dcmread(b)
    ds.SOPInstanceUID = generate_uid()
    ds.save_as(b)
    save(tmp_path / "0.dcm", 2, 4.0)
    with pytest.raises(DataError, match=r"a/x/0\.dcm, b/x/0\.dcm"):
        read(tmp_path)


def test_a_gap_and_an_odd_file_are_named_with_their_folders(tmp_path):
    for i, z in enumerate((0.0, 4.0, 12.0, 16.0, 20.0)):
        save(tmp_path / str(i) / "0.dcm", i, z)
    with pytest.raises(DataError, match=r"a slice is missing: 1/0\.dcm and 2/0\.dcm are 8\.00 mm apart"):
        read(tmp_path)
    save(tmp_path / "2" / "0.dcm", 2, 8.0, ImageOrientationPatient=[1, 0, 0, 0, 0, 1])
    with pytest.raises(DataError, match=r"0/0\.dcm and 2/0\.dcm are tilted against each other"):
        read(tmp_path)


@pytest.mark.parametrize("number", PACKAGES)
def test_the_package_that_unpacks_a_compressed_file_is_named(tmp_path, number):
    syntax = UID(f"1.2.840.10008.1.2.4.{number}")
    decoder = get_decoder(syntax)
    wanted = " ".join(decoder.missing_dependencies)
    assert all(package in wanted for package in PACKAGES[number].split(" "))
    with pytest.raises(DataError) as refused:
        read(compressed(tmp_path / "a.dcm", syntax))
    assert f"a.dcm is compressed ({syntax.name})" in str(refused.value)
    assert f"pip install {PACKAGES[number]}" in str(refused.value)


def test_a_video_is_refused_by_name(tmp_path):
    path = compressed(tmp_path / "a.dcm", "1.2.840.10008.1.2.4.102")
    with pytest.raises(DataError, match=r"a\.dcm is compressed \(MPEG-4 .*export it uncompressed"):
        read(path)
