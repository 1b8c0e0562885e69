"""NIfTI, field by field, against nibabel: quaternions, slopes, integer types, units, frames and channels."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from asymmetric import grid
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from spinecho.core.errors import DataError
from spinecho.core.header import Header
from spinecho.core.image import Image
from spinecho.io.options import ReadOptions, WriteOptions
from spinecho.io.read import read
from spinecho.io.write import write

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
SHAPE = (5, 4, 3)


@given(
    turn=st.tuples(*[st.floats(-180, 180)] * 3),
    voxel=st.tuples(*[st.floats(0.3, 9)] * 3),
    offset=st.tuples(*[st.floats(-200, 200)] * 3),
    mirrored=st.booleans(),
)
@settings(max_examples=25, deadline=None)
def test_a_qform_alone_means_what_nibabel_reads_from_it(tmp_path_factory, turn, voxel, offset, mirrored):
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", turn, degrees=True).as_matrix() * voxel
    if mirrored:
        affine[:3, 2] *= -1
    affine[:3, 3] = offset
    image = nibabel.Nifti1Image(np.zeros(SHAPE, np.int16), None)
    image.header.set_qform(affine, 1)
    path = tmp_path_factory.mktemp("a") / "a.nii"
    nibabel.save(image, path)
    theirs = nibabel.load(path)
    assert theirs.header["sform_code"] == 0
    ours = read(path)
    assert ours.geometry.oriented and ours.header.history == ()
    np.testing.assert_allclose(LPS @ ours.geometry.affine, theirs.affine, atol=1e-4)
    np.testing.assert_allclose(ours.geometry.voxel_mm, voxel, rtol=1e-5)


@pytest.mark.parametrize("dtype", ["u1", "i1", "<i2", ">u2", "<i4", "<u4", "<i8", "<f4", "<f8"])
@pytest.mark.parametrize(("slope", "inter"), [(0.25, -3.0), (-2.0, 0.0), (1.0, 5.0), (0.0, 7.0), (np.nan, 1.0)])
def test_slopes_of_every_type_as_nibabel_applies_them(tmp_path, dtype, slope, inter):
    values = np.random.default_rng(0).integers(0, 120, SHAPE).astype(dtype)
    header = nibabel.Nifti1Header(endianness=">" if dtype.startswith(">") else "<")
    header.set_data_dtype(dtype)
    header.set_data_shape(SHAPE)
    header["magic"], header["vox_offset"], header["scl_slope"], header["scl_inter"] = b"n+1", 352, slope, inter
    header["sform_code"], header["srow_x"], header["srow_y"], header["srow_z"] = 1, *np.eye(4)[:3]
    (tmp_path / "a.nii").write_bytes(header.binaryblock + bytes(4) + values.tobytes("F"))
    theirs = nibabel.load(tmp_path / "a.nii").get_fdata()
    ours = read(tmp_path / "a.nii").values
    whole = np.dtype(dtype).kind in "iu" and (slope, inter) != (0.25, -3.0)
    assert ours.is_floating_point() != whole, "whole numbers on a whole scale are whole"
    np.testing.assert_allclose(ours[0].numpy(), theirs.T, rtol=1e-6)


@pytest.mark.parametrize(
    ("space", "time", "mm", "ms"),
    [("mm", "sec", 1, 1e3), ("meter", "msec", 1e3, 1), ("micron", "usec", 1e-3, 1e-3), ("unknown", "unknown", 1, 1e3)],
)
def test_units_of_space_and_time(tmp_path, space, time, mm, ms):
    image = nibabel.Nifti1Image(np.zeros((*SHAPE, 2), np.float32), None)
    image.header.set_zooms((2, 3, 4, 1.5))
    image.header.set_xyzt_units(space, time)
    nibabel.save(image, tmp_path / "a.nii")
    back = read(tmp_path / "a.nii")
    assert not back.geometry.oriented and back.header.flags == ("orientation=unknown",)
    assert back.geometry.voxel_mm == pytest.approx((2 * mm, 3 * mm, 4 * mm))
    assert back.header.tr_ms == pytest.approx((1.5 * ms,))


@pytest.mark.parametrize("step", [0.0, -2.0, np.nan, np.inf])
def test_a_time_step_that_is_none(tmp_path, step):
    image = nibabel.Nifti1Image(np.zeros((*SHAPE, 2), np.float32), np.eye(4))
    image.header["pixdim"][4] = step
    nibabel.save(image, tmp_path / "a.nii")
    assert read(tmp_path / "a.nii").header.tr_ms == ()


def test_a_broken_qform_beside_an_sform_is_told_and_not_fatal(tmp_path):
    image = nibabel.Nifti1Image(np.zeros(SHAPE, np.float32), np.diag([2.0, 2, 2, 1]))
    image.set_sform(np.diag([2.0, 2, 2, 1]), 1)
    header = image.header.copy()
    header["qform_code"], header["quatern_b"], header["magic"], header["vox_offset"] = 1, 5.0, b"n+1", 352
    (tmp_path / "a.nii").write_bytes(header.binaryblock + bytes(4) + bytes(4 * 60))
    back = read(tmp_path / "a.nii")
    np.testing.assert_allclose(LPS @ back.geometry.affine, np.diag([2.0, 2, 2, 1]))
    assert back.header.history[0].startswith("warning: NIfTI: the qform is broken (")
    assert back.header.history[0].endswith("; the sform was taken")


def test_big_endian_of_the_second_kind(tmp_path):
    values = np.random.default_rng(0).integers(-9, 9, (*SHAPE, 2)).astype(">i4")
    header = nibabel.Nifti2Header(endianness=">")
    header.set_data_dtype(">i4")
    nibabel.save(nibabel.Nifti2Image(values, np.diag([1.0, 2, 3, 1]), header), tmp_path / "a.nii.gz")
    back = read(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(back.values[:, 0].numpy(), values.transpose(3, 2, 1, 0))
    assert back.geometry.voxel_mm == (1, 2, 3)


def test_frames_and_coils_stand_on_the_fourth_and_fifth_axis(tmp_path, rng):
    values = torch.randn((3, 2, 4, 5, 6), generator=rng, dtype=torch.complex64)
    geometry = grid("oblique").cropped((0, 0, 0), (4, 5, 6))
    image = Image(values=values, geometries=(geometry,), axes=("time",), header=Header(tr_ms=(2500.0,)))
    write(image, tmp_path / "a.nii", WriteOptions(keep_complex=True))
    theirs = nibabel.load(tmp_path / "a.nii")
    assert theirs.shape == (6, 5, 4, 3, 2) and theirs.header.get_zooms()[3] == 2.5
    np.testing.assert_array_equal(np.asarray(theirs.dataobj), values.numpy().transpose(4, 3, 2, 0, 1))
    back = read(tmp_path / "a.nii", ReadOptions(slices=(1, 3)))
    assert torch.equal(back.values, values[..., 1:3, :, :]) and back.header.tr_ms == (2500.0,)
    np.testing.assert_allclose(back.geometry.to_world((0, 0, 0)), geometry.to_world((0, 0, 1)), atol=1e-4)
    write(image, tmp_path / "b.nii")
    combined = np.asarray(nibabel.load(tmp_path / "b.nii").dataobj)
    np.testing.assert_allclose(combined, np.linalg.norm(values.numpy(), axis=1).transpose(3, 2, 1, 0), rtol=1e-6)


@pytest.mark.parametrize("option", ["axes", "mask", "voxel_mm", "key", "readout"])
def test_options_that_an_image_does_not_need(tmp_path, option):
    nibabel.save(nibabel.Nifti1Image(np.zeros(SHAPE, np.float32), np.eye(4)), tmp_path / "a.nii")
    value = {"mask": Path("m"), "voxel_mm": (1.0, 1.0, 1.0), "readout": "y"}.get(option, "z")
    with pytest.raises(DataError, match=r"a\.nii: [a-z_]+ does not apply to NIfTI files"):
        read(tmp_path / "a.nii", ReadOptions(**{option: value}))


@pytest.mark.parametrize("slices", [(0, 4), (2, 2), (-1, 2), (2, 1)])
def test_slices_that_are_not_there(tmp_path, slices):
    nibabel.save(nibabel.Nifti1Image(np.zeros(SHAPE, np.float32), np.eye(4)), tmp_path / "a.nii")
    said = rf"slices=\({slices[0]}, {slices[1]}\) is asked for, there are 3 slices -> choose from 0 to 3"
    with pytest.raises(DataError, match=said):
        read(tmp_path / "a.nii", ReadOptions(slices=slices))
