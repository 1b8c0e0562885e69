"""What other packages hand over and take: slopes, changed affines, unknown worlds, masks, kinds of numbers."""

from __future__ import annotations

import sys
from inspect import unwrap
from types import SimpleNamespace

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
import torch

import spinecho
from spinecho.core.errors import DataError
from spinecho.core.header import Header
from spinecho.core.image import Image

from_numpy, from_samples = unwrap(spinecho.from_numpy), unwrap(spinecho.from_samples)
"""As a user has them, whose types nobody checks."""
STEP = np.arange(60, dtype=np.int16).reshape(3, 4, 5)


def test_a_slope_counts_in_nibabels_hands_too(tmp_path):
    stored = nibabel.Nifti1Image(STEP, np.eye(4))
    stored.header.set_slope_inter(0.1, 5)
    stored.to_filename(tmp_path / "s.nii")
    image = spinecho.read(tmp_path / "s.nii")
    assert isinstance(image, Image)
    out = spinecho.to_nibabel(image)
    np.testing.assert_allclose(out.get_fdata(), 0.1 * STEP + 5, rtol=1e-6)
    assert out.get_data_dtype() == np.int16, "stored as it was"
    torch.testing.assert_close(spinecho.from_nibabel(out).values, image.values)
    out.to_filename(tmp_path / "again.nii")
    np.testing.assert_allclose(nibabel.load(tmp_path / "again.nii").get_fdata(), out.get_fdata(), atol=1e-4)


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
def test_an_affine_that_was_changed_is_the_one_that_counts(kind, tmp_path):
    image = kind(np.zeros((3, 4, 5), np.float32), np.diag([2, 3, 4, 1.0]))
    image.affine[0, 3] += 100
    geometry = spinecho.from_nibabel(image).geometry
    image.to_filename(tmp_path / "a.nii")
    written = spinecho.read(tmp_path / "a.nii")
    assert isinstance(written, Image) and geometry.matches(written.geometry)
    np.testing.assert_allclose(geometry.affine[:3, 3], [-100, 0, 0])


def test_an_unknown_world_stays_unknown_in_simpleitk():
    unknown = spinecho.from_numpy(np.ones((3, 4, 5), np.float32), voxel_mm=(1, 1, 3))
    back = spinecho.from_sitk(spinecho.to_sitk(unknown))
    assert not back.geometry.oriented and back.header.flags == unknown.header.flags
    assert back.geometry.voxel_mm == unknown.geometry.voxel_mm
    known = spinecho.from_numpy(np.ones((3, 4, 5), np.float32), affine=np.eye(4))
    assert spinecho.from_sitk(spinecho.to_sitk(known)).geometry.oriented


def test_an_unknown_world_stays_unknown_in_torchio(monkeypatch):
    class ScalarImage(dict):
        """As torchio's: what else is given is kept under its name."""

        def __init__(self, *, tensor, affine, **kept):
            super().__init__(kept)
            self.data, self.affine = tensor, affine

    monkeypatch.setitem(sys.modules, "torchio", SimpleNamespace(ScalarImage=ScalarImage))
    for affine in (None, np.eye(4)):
        known = spinecho.from_numpy(np.ones((3, 4, 5), np.float32), affine=affine)
        assert spinecho.from_torchio(spinecho.to_torchio(known)).geometry.oriented == (affine is not None)


def test_label_maps_of_simpleitk_do_not_end_the_process():
    labels = sitk.GetImageFromArray(np.pad(np.ones((2, 2, 2), np.uint8), 1))
    objects = sitk.Cast(sitk.ConnectedComponent(labels), sitk.sitkLabelUInt8)
    image = spinecho.from_sitk(objects)
    assert image.values.dtype in (torch.int32, torch.int64) and int(image.values.sum()) == 8


def test_channels_of_complex_values_are_refused_by_simpleitk():
    coils = spinecho.from_numpy(np.ones((2, 3, 4, 5), np.complex64), "channel z y x")
    with pytest.raises(DataError, match="2 channels of complex values -> combine the coils"):
        spinecho.to_sitk(coils)


def test_the_time_between_frames_is_simpleitks_fourth_spacing():
    series = spinecho.from_numpy(np.ones((2, 3, 4, 5), np.float32), "time z y x", affine=np.eye(4))
    timed = Image(values=series.values, geometries=series.geometries, axes=series.axes, header=Header(tr_ms=(2500.0,)))
    assert spinecho.to_sitk(timed).GetSpacing()[3] == 2.5 and spinecho.to_sitk(series).GetSpacing()[3] == 1.0
    assert "spacing along the fourth axis: 2.5" in spinecho.from_sitk(spinecho.to_sitk(timed)).header.history


@pytest.mark.parametrize("voxel_mm", [(1, 1), 2.0, (1, 1, 0), (-1, 1, 1), (1, 1, float("nan")), "abc"])
def test_voxel_sizes_that_are_none(voxel_mm):
    with pytest.raises(DataError, match=r"voxel_mm.* -> give three sizes over 0"):
        from_numpy(np.ones((3, 4)), voxel_mm=voxel_mm)
    with pytest.raises(DataError, match=r"voxel_mm.* -> give three sizes over 0"):
        from_samples(np.ones((2, 8, 8), np.complex64), "coil k1 k0", voxel_mm=voxel_mm)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"domain": "images"}, "domain.*'images' -> give kspace or coil-images"),
        ({"domain": "coil-images", "readout": "z"}, "readout.*'z' -> give x or y"),
        ({"axes": ("coil", "k1", "k0")}, "axes.* -> write their names in one string"),
    ],
)
def test_words_that_from_samples_does_not_know(more, told):
    given = {"axes": "coil k1 k0"} | more
    with pytest.raises(DataError, match=told):
        from_samples(np.ones((2, 8, 8), np.complex64), **given)


def test_arrays_that_hold_less_than_they_show():
    with pytest.raises(DataError, match=r"masked -> .*filled\(0\)"):
        spinecho.from_numpy(np.ma.masked_greater(STEP, 30))
    assert int(spinecho.from_numpy(np.ma.masked_greater(STEP, 100)).values.max()) == 59, "nothing is masked"
    with pytest.raises(DataError, match=r"axes.* -> write their names in one string"):
        from_numpy(STEP, ("z", "y", "x"))


def test_tensors_of_every_kind():
    samples = torch.randn(2, 8, 8, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    learned = samples.clone().requires_grad_()
    for tensor in (learned, samples.conj().resolve_conj().conj()):
        taken = spinecho.from_samples(tensor, "coil k1 k0").samples
        torch.testing.assert_close(taken, spinecho.from_samples(samples.numpy(), "coil k1 k0").samples)
    values = torch.arange(12.0).reshape(3, 4)
    for tensor in (values.clone().requires_grad_(), values.to(torch.bfloat16)):
        torch.testing.assert_close(spinecho.from_numpy(tensor).values.flatten(), values.flatten())


def test_what_goes_out_is_nobody_elses():
    image = spinecho.from_numpy(STEP)
    spinecho.to_numpy(image)[:] = 7
    assert int(image.values.max()) == 59


def test_a_batch_of_torchio_is_no_image():
    with pytest.raises(DataError, match="a dict has no data and affine -> give a torchio image"):
        spinecho.from_torchio({"data": torch.ones(1, 2, 3, 4), "affine": np.eye(4)})
