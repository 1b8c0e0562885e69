"""DICOM in: real series of five vendors against SimpleITK and dcm2niix, and folders that are no volume."""

from __future__ import annotations

import shutil
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
import torch
from asymmetric import grid, phantom
from pydicom.dataset import Dataset
from pydicom.filereader import read_file_meta_info
from pydicom.uid import DeflatedExplicitVRLittleEndian, generate_uid

from spinecho.core.errors import DataError
from spinecho.core.header import Header
from spinecho.core.image import Image
from spinecho.io.dicom.files import quiet
from spinecho.io.formats import dicom
from spinecho.io.options import WriteOptions
from spinecho.io.read import find_format, read

CLASSIC = (
    *("ge_anatomical", "generic_rle", "hitachi_anatomical", "philips_anatomical", "siemens_anatomical"),
    "t1_defaced_0p67mm",
)
ENHANCED = ("philips_enhanced", "siemens_multiframe", "hyperfine_anatomical")


def _first_file(folder: Path) -> Path:
    return next(f for f in sorted(folder.rglob("*")) if f.is_file())


def _same_voxels(ours: Image, theirs: sitk.Image) -> None:
    """Every voxel of ours has theirs' value at the same LPS point."""
    values = sitk.GetArrayFromImage(theirs)
    geometry, (nz, ny, nx) = ours.geometry, ours.geometry.shape
    assert values.size == ours.values.numel()
    for x, y, z in ((0, 0, 0), (nx - 1, 0, 0), (0, ny - 1, nz - 1), (nx // 2, ny // 3, nz // 2)):
        point = geometry.to_world((x, y, z))
        index = theirs.TransformPhysicalPointToContinuousIndex(point.tolist())
        np.testing.assert_allclose(index, np.rint(index), atol=2e-3)
    upside_down = theirs.TransformPhysicalPointToIndex(geometry.to_world((0, 0, 0)).tolist())[2] != 0
    np.testing.assert_allclose(ours.values[0].numpy(), values[::-1] if upside_down else values, rtol=1e-6)


@pytest.mark.parametrize("name", CLASSIC)
def test_classic_series_agree_with_simpleitk(shared_data, name):
    folder = shared_data / "dicom" / name
    reader = sitk.ImageSeriesReader()
    files = reader.GetGDCMSeriesFileNames(str(_first_file(folder).parent))
    theirs = sitk.ReadImage(files)
    ours = read(folder)
    assert isinstance(ours, Image) and ours.axes == () and ours.geometry.oriented
    assert np.linalg.det(ours.geometry.affine[:3, :3]) > 0
    _same_voxels(ours, theirs)
    assert ours.header.vendor and ours.header.patient


@pytest.mark.parametrize("name", ENHANCED)
def test_enhanced_series_agree_with_simpleitk(shared_data, name):
    folder = shared_data / "dicom" / name
    ours = read(folder)
    _same_voxels(ours, sitk.ReadImage(str(_first_file(folder))))
    assert read(_first_file(folder)).geometry.matches(ours.geometry)
    assert ours.header.te_ms and 1 < ours.header.te_ms[0] < 500


def test_a_mosaic_is_cut_into_slices_from_the_protocol(shared_data):
    folder = shared_data / "dicom" / "siemens_mosaic_fmri"
    image = read(folder)
    assert image.axes == ("time",) and image.values.shape == (2, 1, 50, 80, 80)
    assert image.geometry.voxel_mm == pytest.approx((2.5, 2.5, 3.08), abs=1e-3)
    # The protocol lists the centres of the lowest and highest slice; image numbers run from head to feet.
    lowest, highest = (image.geometry.to_world((40, 40, z)) for z in (0, 49))
    np.testing.assert_allclose(lowest, (-1.513475754, -20.56062043, -59.85445753), atol=0.2)
    assert highest[2] == pytest.approx(88.4, abs=0.2)
    tiles = (
        pydicom.dcmread(_first_file(folder)).pixel_array.reshape(8, 80, 8, 80).transpose(0, 2, 1, 3).reshape(64, 80, 80)
    )
    np.testing.assert_array_equal(image.values[0, 0].numpy(), tiles.reshape(64, 80, 80)[49::-1])


def test_not_a_volume_is_refused(shared_data):
    with pytest.raises(DataError, match=r"001\.dcm is CT Image Storage \(CT\) -> give a magnetic resonance series"):
        read(shared_data / "dicom" / "not_a_volume")
    with pytest.raises(DataError, match=r"slice orientations are mixed.*put each stack into its own folder"):
        read(shared_data / "dicom" / "slice_orientation_mixed")


@pytest.mark.peer
@pytest.mark.skipif(shutil.which("dcm2niix") is None, reason="dcm2niix is not installed")
@pytest.mark.parametrize("name", (*CLASSIC, *ENHANCED))
def test_dcm2niix_puts_voxels_at_the_same_points(shared_data, tmp_path, name):
    command = ["dcm2niix", "-f", "out", "-b", "n", "-z", "n", "-p", "n", "-o", str(tmp_path)]
    subprocess.run([*command, str(shared_data / "dicom" / name)], check=True, capture_output=True)
    theirs, ours = read(next(tmp_path.glob("*.nii"))), read(shared_data / "dicom" / name)
    nz, ny, nx = ours.geometry.shape
    indices = np.array([(0, 0, 0), (nx - 1, 0, 0), (3, ny - 1, 1), (nx // 2, ny // 3, nz - 1)])
    places = theirs.geometry.to_voxel(ours.geometry.to_world(indices))
    np.testing.assert_allclose(places, np.rint(places), atol=2e-3)
    for (x, y, z), (i, j, k) in zip(indices, np.rint(places).astype(int), strict=True):
        assert theirs.values[0, k, j, i] == pytest.approx(float(ours.values[0, z, y, x]), rel=1e-5)


def test_one_classic_file_is_one_slice(shared_data):
    image = read(_first_file(shared_data / "dicom" / "siemens_anatomical"))
    assert image.values.shape == (1, 1, 256, 256) and image.geometry.oriented


@pytest.fixture
def series(tmp_path: Path) -> Path:
    folder = tmp_path / "a_dicom"
    dicom.write(phantom(grid("oblique"), Header(te_ms=(3.0,))), folder, WriteOptions())
    return folder


def _edit(path: Path, **values) -> None:
    ds = pydicom.dcmread(path)
    with quiet():
        for name, value in values.items():
            setattr(ds, name, value)
        ds.save_as(path)


def test_gaps_and_doubles_are_named(series):
    (series / "IM_00003.dcm").unlink()
    with pytest.raises(DataError, match=r"slice is missing: IM_0000[24]\.dcm and IM_0000[24]\.dcm are 6\.60 mm apart"):
        read(series)
    shutil.copy(series / "IM_00001.dcm", series / "copy.dcm")
    with pytest.raises(DataError, match=r"IM_00001\.dcm and copy\.dcm are the same image -> remove one"):
        read(series)
    _edit(series / "copy.dcm", SOPInstanceUID=generate_uid())
    with pytest.raises(DataError, match=r"there 2 times \(IM_00001\.dcm, copy\.dcm\), most are there 1 times"):
        read(series)


def test_two_series_in_a_folder_are_listed(series):
    _edit(series / "IM_00002.dcm", SeriesInstanceUID=generate_uid(), SeriesDescription="other")
    with pytest.raises(DataError, match=r"holds 2 series \(.*other: 1 files like IM_00002\.dcm"):
        read(series)


def test_other_files_in_the_folder_are_ignored(series):
    (series / "readme.txt").write_text("not an image")
    (series / "sub").mkdir()
    assert read(series).values.shape == (1, 5, 7, 9)
    assert find_format(series) is dicom


def test_one_damaged_file_of_many_is_named(series):
    content = (series / "IM_00002.dcm").read_bytes()
    (series / "IM_00002.dcm").write_bytes(content[: content.index(b"\x28\x00\x10\x00US") - 1])
    with pytest.raises(DataError, match=r"IM_00002\.dcm is damaged"):
        read(series)


def test_other_objects_are_left_out_but_no_damaged_image(series):
    (series / "IM_00002.dcm").rename(series.parent / "report.dcm")
    _edit(series.parent / "report.dcm", SOPClassUID="1.2.840.10008.5.1.4.1.1.88.11")
    report = pydicom.dcmread(series.parent / "report.dcm")
    del report.Rows, report.PixelData
    for file in series.iterdir():
        file.unlink()
    report.save_as(series / "report.dcm")
    with pytest.raises(DataError, match="none of its 1 DICOM files is an image"):
        read(series)
    report.SOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
    report.save_as(series / "report.dcm")
    with pytest.raises(DataError, match=r"report\.dcm is damaged: it has no rows and columns"):
        read(series)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"Rows": 9000}, "pixels of IM_0000[15].dcm do not fit"),
        ({"PixelSpacing": [0, 1]}, "has pixels of 1.0 x 0.0 mm"),
        ({"ImageOrientationPatient": [0, 0, 0, 0, 1, 0]}, "a direction of the image is"),
        ({"ImagePositionPatient": ["nan", 0, 0]}, "it needs 3 numbers"),
        ({"ImagePositionPatient": None}, "does not say where it lies"),
        ({"SamplesPerPixel": 3}, "colour"),
        ({"PixelData": b"\0\0"}, "pixels of IM_00001.dcm do not fit"),
    ],
)
def test_damaged_attributes_are_refused(series, change, message):
    for file in sorted(series.iterdir())[:1] if "Rows" not in change else series.iterdir():
        _edit(file, **change)
    with pytest.raises(DataError, match=message):
        read(series)


def test_a_deflated_bomb_is_counted_before_it_is_unpacked(tmp_path, series):
    path = tmp_path / "bomb.dcm"
    ds = pydicom.dcmread(series / "IM_00001.dcm")
    ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    ds.save_as(path)
    assert read(path).values.shape == (1, 1, 7, 9)
    head = path.read_bytes()[: 144 + read_file_meta_info(path).FileMetaInformationGroupLength]
    deflate = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    element = b"\x09\x00\x10\x00OB\0\0" + (150 << 20).to_bytes(4, "little")
    body = deflate.compress(element) + b"".join(deflate.compress(bytes(1 << 20)) for _ in range(150)) + deflate.flush()
    path.write_bytes(head + body)
    with pytest.raises(DataError, match=r"deflated content of bomb\.dcm would expand"):
        read(path)


def test_echoes_become_contrasts_and_repetitions_time(tmp_path):
    values = torch.arange(2 * 3 * 4 * 5 * 6, dtype=torch.float32).reshape(2, 3, 1, 4, 5, 6)
    geometry = grid("axial").cropped((0, 0, 0), (4, 5, 6))
    image = Image(values=values, geometries=(geometry,), axes=("contrast", "time"), header=Header(te_ms=(2.0, 5.0)))
    dicom.write(image, tmp_path / "dicom", WriteOptions())
    back = read(tmp_path / "dicom")
    assert back.axes == ("contrast", "time") and back.header.te_ms == (2.0, 5.0)
    torch.testing.assert_close(back.values, values, atol=0.02, rtol=0)


def test_phase_images_beside_magnitudes_are_left_out_and_told(tmp_path, series):
    for file in sorted(series.iterdir()):
        ds = pydicom.dcmread(file)
        ds.ImageType, ds.SOPInstanceUID = ["ORIGINAL", "PRIMARY", "P", "ND"], generate_uid()
        ds.save_as(series / f"phase_{file.name}")
    image = read(series)
    assert image.axes == () and "also holds phase images" in image.header.history[-1]


def test_a_slice_without_position_has_no_orientation(series):
    file = series / "IM_00001.dcm"
    ds = pydicom.dcmread(file)
    del ds.ImagePositionPatient, ds.ImageOrientationPatient
    ds.save_as(file)
    image = read(file)
    assert not image.geometry.oriented and image.header.flags == ("orientation=unknown",)
    assert image.geometry.voxel_mm == pytest.approx((1.25, 0.9375, 3.3))


def test_a_series_that_only_has_a_rescale_is_rescaled(series):
    for file in series.iterdir():
        ds = pydicom.dcmread(file)
        del ds.RealWorldValueMappingSequence
        ds.RescaleSlope, ds.RescaleIntercept = 2, -3
        ds.save_as(file)
    stored = pydicom.dcmread(series / "IM_00001.dcm").pixel_array
    image = read(series)
    assert 2 * float(stored[0, 0]) - 3 in (image.values[0, 0, 0, 0], image.values[0, -1, 0, 0])


def test_an_old_file_without_preamble_is_read(tmp_path, series):
    ds = pydicom.dcmread(series / "IM_00001.dcm")
    bare = Dataset()
    bare.update({e.tag: e for e in ds if e.tag.group > 2})
    pydicom.dcmwrite(tmp_path / "old", bare, implicit_vr=True, little_endian=True, enforce_file_format=False)
    raw = (tmp_path / "old").read_bytes()
    (tmp_path / "old").write_bytes(raw[132:] if raw[128:132] == b"DICM" else raw)
    assert read(tmp_path / "old").values.shape == (1, 1, 7, 9)


def _folders(series: Path) -> list[Path]:
    """The series as some archives export it: each file called 0.dcm, in a folder of its own."""
    for i, file in enumerate(sorted(series.glob("*.dcm"))):
        (series / f"f{i}").mkdir()
        file.rename(series / f"f{i}" / "0.dcm")
    return sorted(series.glob("f*/0.dcm"))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"SOPInstanceUID": None}, r"f0/0\.dcm and f1/0\.dcm are the same image"),
        ({"Rows": 4}, r"f1/0\.dcm has .* rows and columns, f0/0\.dcm has"),
        ({"PixelSpacing": [9, 9]}, r"f1/0\.dcm has pixels of .* mm, f0/0\.dcm of"),
        ({"ImageOrientationPatient": [0, 1, 0, 0, 0, 1]}, r"f0/0\.dcm and f1/0\.dcm are tilted"),
        ({"ImagePositionPatient": None}, r"there 2 times \(f0/0\.dcm, f1/0\.dcm\)"),
        ({"SeriesInstanceUID": "1.2.3"}, r"files like f0/0\.dcm, .* files like f1/0\.dcm"),
    ],
)
def test_files_of_one_name_are_told_apart(series, values, said):
    first, second, *_ = _folders(series)
    same = pydicom.dcmread(first)
    _edit(second, **{k: same[k].value if v is None else v for k, v in values.items()})
    with pytest.raises(DataError, match=said):
        read(series)


def test_a_gap_between_files_of_one_name(series):
    _folders(series)[2].unlink()
    with pytest.raises(DataError, match=r"slice is missing: f[13]/0\.dcm and f[13]/0\.dcm are"):
        read(series)
