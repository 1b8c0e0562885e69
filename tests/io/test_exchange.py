"""Images in other packages' hands: values, grid and kind of numbers come back; each package's own resampling agrees."""

from __future__ import annotations

import sys
from dataclasses import replace
from types import SimpleNamespace

import nibabel
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import spinecho
from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.image import Image

OBLIQUE = np.array([[0.8, -0.6, 0, 5], [0.6, 0.8, 0, -7], [0, 0, 1, 11], [0, 0, 0, 1.0]]) @ np.diag([1.5, 2, 3, 1.0])


def image(*batch: int, channels: int = 1, kind: torch.dtype = torch.float32, affine=OBLIQUE) -> Image:
    rng = torch.Generator().manual_seed(0)
    shape = (*batch, channels, 3, 4, 5)
    values = torch.randn(*shape, generator=rng) * 50
    if kind.is_complex:
        values = torch.complex(values, values.flip(-1))
    axes = ("time", "repetition")[: len(batch)]
    return Image(values=values.to(kind), geometries=(Geometry((3, 4, 5), affine),), axes=axes)


@pytest.fixture
def torchio(monkeypatch):
    """What torchio's images are, as far as they are touched: four axes, a RAS affine."""

    class ScalarImage:
        def __init__(self, *, tensor, affine):
            assert tensor.ndim == 4
            self.data, self.affine = tensor, np.asarray(affine)

    module = SimpleNamespace(ScalarImage=ScalarImage, LabelMap=type("LabelMap", (ScalarImage,), {}))
    monkeypatch.setitem(sys.modules, "torchio", module)
    return module


@pytest.mark.parametrize("kind", [torch.float32, torch.complex64, torch.int16, torch.uint8])
@pytest.mark.parametrize("package", ["nibabel", "sitk"])
@pytest.mark.parametrize("batch", [(), (2,)])
def test_what_goes_out_comes_back(package, kind, batch):
    if package == "sitk":
        pytest.importorskip("SimpleITK")
    one = image(*batch, kind=kind)
    again = getattr(spinecho, f"from_{package}")(getattr(spinecho, f"to_{package}")(one))
    assert again.values.dtype == kind and torch.equal(again.values, one.values)
    assert again.axes == one.axes and again.geometry.matches(one.geometry) and again.geometry.oriented
    assert any(package[-3:].upper() in step.upper() for step in again.header.history)


def test_vectors_come_back():
    pytest.importorskip("SimpleITK")
    one = image(channels=3)
    assert torch.equal(spinecho.from_sitk(spinecho.to_sitk(one)).values, one.values)
    assert torch.equal(spinecho.from_nibabel(spinecho.to_nibabel(one)).values, one.values)


def test_a_point_lies_where_the_other_package_says():
    sitk = pytest.importorskip("SimpleITK")
    one = image()
    itk, nib = spinecho.to_sitk(one), spinecho.to_nibabel(one)
    point = one.geometry.to_world([4, 2, 1])
    assert itk.TransformIndexToPhysicalPoint((4, 2, 1)) == pytest.approx(point.tolist())
    assert (nib.affine @ [4, 2, 1, 1])[:3] == pytest.approx([-point[0], -point[1], point[2]])
    value = float(one.values[0, 1, 2, 4])
    assert itk.GetPixel(4, 2, 1) == pytest.approx(value) and nib.get_fdata()[4, 2, 1] == pytest.approx(value)
    assert sitk.GetArrayFromImage(itk).shape == (3, 4, 5) and nib.shape == (5, 4, 3)


def test_nibabel_and_our_reader_read_the_same(tmp_path):
    values = np.arange(120, dtype=np.int16).reshape(2, 3, 4, 5)
    nib = nibabel.Nifti1Image(values, OBLIQUE)
    nib.header.set_zooms((1.5, 2, 3, 2.5))
    nib.header.set_xyzt_units("mm", "sec")
    nibabel.save(nib, tmp_path / "a.nii.gz")
    ours, theirs = spinecho.read(tmp_path / "a.nii.gz"), spinecho.from_nibabel(nibabel.load(tmp_path / "a.nii.gz"))
    assert isinstance(ours, Image) and torch.equal(ours.values, theirs.values) and ours.axes == theirs.axes == ("time",)
    assert ours.geometry.matches(theirs.geometry) and ours.header.tr_ms == theirs.header.tr_ms == (2500.0,)


def test_what_nobody_knows_stays_unknown():
    plain = spinecho.from_nibabel(nibabel.Nifti1Image(np.ones((2, 3, 4), np.float32), None))
    assert not plain.geometry.oriented and plain.header.flags == ("orientation=unknown",)
    assert not spinecho.from_nibabel(spinecho.to_nibabel(spinecho.from_numpy(np.ones((3, 4))))).geometry.oriented
    bare = SimpleNamespace(dataobj=np.ones((2, 3)), affine=None)
    assert spinecho.from_nibabel(bare).geometry.shape == (1, 3, 2)
    other = SimpleNamespace(dataobj=np.ones((2, 3, 4)), affine=np.diag([-1.0, -1, 1, 1]))
    assert np.array_equal(spinecho.from_nibabel(other).geometry.affine, np.eye(4))


def test_torchio_by_what_it_looks_like(torchio):
    one = image()
    theirs = spinecho.to_torchio(one)
    assert type(theirs) is torchio.ScalarImage and theirs.data.shape == (1, 5, 4, 3)
    assert theirs.affine[:3, 3] == pytest.approx([-5, 7, 11])
    again = spinecho.from_torchio(theirs)
    assert torch.equal(again.values, one.values) and again.geometry.matches(one.geometry)
    assert type(spinecho.to_torchio(image(kind=torch.uint8))) is torchio.LabelMap
    assert spinecho.to_torchio(image(2)).data.shape == (2, 5, 4, 3)
    with pytest.raises(DataError, match="2 frames of 3 channels"):
        spinecho.to_torchio(image(2, channels=3))
    with pytest.raises(DataError, match="has shape"):
        spinecho.from_torchio(SimpleNamespace(data=torch.ones(3, 3), affine=np.eye(4)))


def test_a_package_that_is_absent_is_named(monkeypatch):
    for name in ("torchio", "SimpleITK"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(DataError, match="torchio is not installed -> install it: pip install torchio"):
        spinecho.to_torchio(image())
    with pytest.raises(DataError, match="SimpleITK is not installed"):
        spinecho.to_sitk(image())


@given(st.permutations(["time", "channel", "z", "y", "x"]))
@settings(max_examples=20)
def test_axes_may_come_in_any_order(order):
    sizes = {"time": 2, "channel": 3, "z": 4, "y": 5, "x": 6}
    wanted = np.arange(720.0).reshape(2, 3, 4, 5, 6)
    array = wanted.transpose([list(sizes).index(name) for name in order])
    one = spinecho.from_numpy(array, " ".join(order), voxel_mm=(1, 2, 3))
    assert np.array_equal(spinecho.to_numpy(one), wanted) and one.geometry.voxel_mm == (1, 2, 3)


def test_usual_arrays():
    assert spinecho.from_numpy(np.ones((4, 5))).values.shape == (1, 1, 4, 5)
    series = spinecho.from_numpy(np.ones((2, 3, 4, 5), np.uint16), affine=OBLIQUE)
    assert series.axes == ("time",) and series.values.dtype == torch.int32 and series.geometry.oriented
    assert spinecho.to_nibabel(series).get_data_dtype() == np.uint16, "stored as it came"
    array = np.ones((3, 4, 5), np.float32)
    one = spinecho.from_numpy(array)
    one.values.zero_()
    assert array.all(), "memory is not shared"
    assert spinecho.to_numpy(one).shape == (3, 4, 5)


@pytest.mark.parametrize(
    ("array", "more", "told"),
    [
        (np.ones((2, 2, 2, 2, 2)), {}, "its axes are called nothing"),
        (np.ones((2, 2)), {"axes": "z x"}, "y and x are needed"),
        (np.ones((2, 2)), {"axes": "y x z"}, "name each axis once"),
        (np.ones((2, 2)), {"axes": "y y"}, "name each axis once"),
        (np.ones((2, 2)), {"axes": "row x"}, "called row x"),
        (np.array(["a"]), {}, "give numbers"),
        (np.ones((0, 2)), {}, "at least one"),
        (np.ones((2, 2)), {"voxel_mm": (1, 1, 1), "affine": np.eye(4)}, "give one of them"),
        (np.ones((2, 2)), {"affine": np.eye(3)}, "finite 4x4"),
    ],
)
def test_arrays_that_are_no_images(array, more, told):
    with pytest.raises(DataError, match=told):
        spinecho.from_numpy(array, **more)


def test_what_the_other_side_cannot_hold():
    pytest.importorskip("SimpleITK")
    sheared = OBLIQUE.copy()
    sheared[0, 1] += 1
    with pytest.raises(DataError, match="not at right angles"):
        spinecho.to_sitk(image(affine=sheared))
    assert spinecho.from_nibabel(spinecho.to_nibabel(image(affine=sheared))).geometry.affine == pytest.approx(sheared)
    contrasts = replace(image(2), axes=("contrast",))
    with pytest.raises(DataError, match="2 contrasts"):
        spinecho.to_nibabel(contrasts)
    with pytest.raises(DataError, match="two to five axes"):
        spinecho.from_nibabel(SimpleNamespace(dataobj=np.ones(3), affine=None))


def test_slices_of_two_axes_have_no_world():
    sitk = pytest.importorskip("SimpleITK")
    flat = sitk.GetImageFromArray(np.arange(12.0).reshape(3, 4))
    flat.SetSpacing((2, 3))
    one = spinecho.from_sitk(flat)
    assert one.values.shape == (1, 1, 3, 4) and one.geometry.voxel_mm == (2, 3, 1) and not one.geometry.oriented
    with pytest.raises(DataError, match="5 axes"):
        spinecho.from_sitk(sitk.Image([2] * 5, sitk.sitkUInt8))
