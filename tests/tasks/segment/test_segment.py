"""Segmentation of any image: the world decides, not the storage; what cannot be taken is refused; the command."""

from __future__ import annotations

from dataclasses import replace
from inspect import unwrap

import nibabel as nib
import numpy as np
import pytest
import torch
from rendered import balls, head, untrained, write_map

import spinecho
from spinecho.cli import main
from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.methods import registry
from spinecho.tasks.segment import limits
from spinecho.tasks.segment.parts.names import BRAIN, REGIONS, classes_of, labels_of
from spinecho.tasks.segment.parts.seen import back, scaled, seen
from spinecho.tasks.segment.parts.sides import RIGHT
from spinecho.tasks.segment.parts.tidy import tidied
from spinecho.tasks.segment.run import segment


@pytest.fixture
def weights(tmp_path):
    return untrained(tmp_path / "tiny.safetensors")


def test_ids_and_classes_go_there_and_back():
    ids = torch.tensor([0, 2, 41, 3, 4, 43, 63, 16, 77, 507, 24, 53, 58, 251])
    classes = classes_of(ids)
    assert labels_of(classes).tolist() == [0, 2, 2, 3, 4, 4, 4, 16, 2, 0, 24, 17, 26, 2]
    assert torch.equal(classes_of(labels_of(classes).int()), classes)
    assert len({r.label for r in REGIONS}) == len(REGIONS) and set(BRAIN) < {r.label for r in REGIONS}
    used = [i for r in REGIONS for i in r.ids]
    assert len(used) == len(set(used))
    with pytest.raises(DataError, match="go down to -1"):
        classes_of(torch.tensor([-1, 2]))


def test_the_atlas_names_no_region_twice():
    used = [i for r in REGIONS for i in r.muse]
    assert len(used) == len(set(used)) and {4, 11, 35, 100, 207} <= set(used)


@pytest.mark.parametrize("turn", [((0, 1, 2), ()), ((2, 0, 1), (1,)), ((1, 0, 2), (0, 2)), ((2, 1, 0), (0, 1, 2))])
def test_storage_does_not_matter(weights, turn):
    order, flips = turn
    image = head(balls())
    values, geometry = image.values.permute(0, *(1 + i for i in order)), image.geometry.permuted(order)
    for axis in flips:
        values, geometry = values.flip(1 + axis), geometry.flipped(axis)
    stored = replace(image, values=values, geometries=(geometry,))
    plain, other = segment(image, weights=weights), segment(stored, weights=weights)
    assert other.geometry is geometry and other.values.dtype == torch.int16
    expected = plain.values.permute(0, *(1 + i for i in order))
    for axis in flips:
        expected = expected.flip(1 + axis)
    assert float((other.values == expected).float().mean()) > 0.999
    assert len(torch.unique(plain.values)) > 3


@pytest.mark.parametrize("factor", [1e-6, 1.0, 1e6])
def test_the_unit_does_not_matter(weights, factor):
    image = head(balls())
    scaled_up = replace(image, values=image.values * factor)
    same = segment(scaled_up, weights=weights).values == segment(image, weights=weights).values
    assert float(same.float().mean()) > 0.999


def test_scores_come_back_on_the_own_grid():
    labels = balls()
    image = head(labels)
    work = seen(image, 2.0)
    at = np.rint(image.geometry.to_voxel(work.grid.to_world([0, 0, 0]))).astype(int)
    z, y, x = work.values.shape[-3:]
    own = labels[at[2] : at[2] + z, at[1] : at[1] + y, at[0] : at[0] + x]
    classes = classes_of(own).long()
    scores = 20 * torch.nn.functional.one_hot(classes, len(REGIONS)).movedim(-1, 0).float()
    told, share = back(scores, work)
    assert torch.equal(told[0], classes_of(labels)) and float(share.min()) > 0.99


def test_a_fine_image_gets_smooth_borders_of_a_coarse_grid():
    z, y, x = torch.meshgrid(*[torch.linspace(-1, 1, 60)] * 3, indexing="ij")
    radius = (z.square() + y.square() + x.square()).sqrt()
    image = Image(values=(radius < 0.8).float()[None], geometries=(Geometry((60, 60, 60), np.eye(4)),))
    work = seen(image, 2.0)
    at = work.grid.to_world(np.stack(np.meshgrid(*(np.arange(n) for n in work.grid.shape[::-1]), indexing="ij"), -1))
    distance = torch.from_numpy(np.linalg.norm((at - 29.5) / 29.5, axis=-1).transpose(2, 1, 0)).float()
    scores = torch.full((len(REGIONS), *work.grid.shape), -30.0)
    scores[0], scores[1] = 40 * (distance - 0.6), 40 * (0.6 - distance)
    told, _ = back(scores, work)
    inside = radius < 0.6
    both = 2 * int((told[0].bool() & inside).sum()) / (int(told.sum()) + int(inside.sum()))
    assert both > 0.97


def test_islands_are_given_to_the_outside():
    scores = torch.zeros(3, 12, 12, 12)
    scores[0] = 1
    scores[1, 2:8, 2:8, 2:8] = 5
    scores[2, 10, 10, 10] = 5
    assert tidied(scores).argmax(0)[10, 10, 10] == 0 and tidied(scores).argmax(0)[4, 4, 4] == 1
    one = scores.clone()
    one[2, 10, 10, 10] = 0
    assert tidied(one) is one


def test_scaling_knows_no_unit_and_survives_nothing():
    values = torch.rand(1, 8, 8, 8)
    torch.testing.assert_close(scaled(1e-6 * values), scaled(values))
    assert not bool(scaled(torch.full((1, 4, 4, 4), 3.0)).any())
    spot = torch.zeros(1, 20, 20, 20)
    spot[0, 5, 5, 5] = 2
    assert float(scaled(spot).max()) == 1


def test_series_and_channels(weights):
    image = head(balls())
    series = replace(image, values=torch.stack([image.values, 0.5 * image.values]), axes=("time",))
    labels = segment(series, weights=weights)
    assert labels.axes == ("time",) and labels.values.shape == series.values.shape
    assert torch.equal(labels.values[0], segment(image, weights=weights).values)
    assert labels.extras["probability"].shape == series.values.shape
    assert "certain" in labels.header.history[-1] or "no brain" in labels.header.history[-1]


def test_an_empty_image_has_no_brain_or_says_so(weights):
    image = head(balls())
    labels = segment(replace(image, values=torch.zeros_like(image.values)), weights=weights)
    assert labels.values.shape == image.values.shape


def test_a_mask_of_the_brain_alone(weights):
    image = head(balls())
    labels = segment(image, weights=weights, sides=False)
    mask = segment(image, weights=weights, only="brain")
    assert set(torch.unique(mask.values).tolist()) <= {0, 1}
    assert torch.equal(mask.values.bool(), torch.isin(labels.values, torch.tensor(BRAIN, dtype=torch.int16)))
    assert "known are regions, brain" in refused_plainly(image, weights)


def test_greys_decide_unless_they_are_switched_off(weights):
    """Other labels, and the history says which; what has too little of a brain falls back on the network."""
    image = head(balls((60, 64, 62)), (1.5, 1.5, 1.5))
    by_greys, plain = (segment(image, weights=weights, greys=greys) for greys in (True, False))
    assert not torch.equal(by_greys.extras["probability"], plain.extras["probability"])
    assert "borders by the image's greys" in by_greys.header.history[-1]
    assert "borders by 2 mm" in plain.header.history[-1]
    empty = replace(image, values=torch.zeros_like(image.values))
    assert segment(empty, weights=weights).values.shape == image.values.shape


def refused_plainly(image, weights):
    """As a person without type checks sees it."""
    with pytest.raises(DataError) as refusal:
        unwrap(segment)(image, weights=weights, only="skull")
    return str(refusal.value)


def test_what_cannot_be_taken(weights):
    image = head(balls())
    broken = image.values.clone()
    broken[0, 3, 3, 3] = torch.nan
    with pytest.raises(DataError, match="NaN"):
        segment(replace(image, values=broken), weights=weights)
    flat = Image(values=torch.rand(1, 1, 30, 30), geometries=(Geometry((1, 30, 30), np.eye(4)),))
    with pytest.raises(DataError, match="give a volume"):
        segment(flat, weights=weights)


def test_an_image_of_unknown_orientation_is_told(weights):
    image = head(balls())
    unknown = replace(image, geometries=(Geometry.unknown(image.geometry.shape, (2.0, 2.0, 2.0)),))
    assert any("how the patient lay" in w for w in segment(unknown, weights=weights).header.warnings)


def test_the_card_limits_voxels_and_field():
    grid = Geometry((10, 20, 30), np.diag([1.0, 1.0, 6.0, 1.0]))
    assert limits.outside({}, grid) == []
    assert limits.outside({"voxel_mm": [0.5, 5.0]}, grid) == ["a voxel of 6 mm (card: 0.5 to 5)"]
    assert "field of view of 30 mm" in limits.outside({"fov_mm": [100, 300]}, grid)[0]


def test_the_command_and_the_function(tmp_path, weights, capsys):
    labels = balls()
    path = tmp_path / "head.nii.gz"
    nib.save(nib.Nifti1Image(head(labels).values[0].numpy().transpose(2, 1, 0), np.diag([2.0, 2, 2, 1])), path)
    out = tmp_path / "labels.nii.gz"
    assert main(["segment", str(path), "-o", str(out), "--weights", str(weights)]) == 0
    written = nib.load(out)
    assert np.issubdtype(written.get_data_dtype(), np.integer)
    np.testing.assert_allclose(written.affine, nib.load(path).affine)
    made = spinecho.segment(spinecho.read(path), weights=weights)
    assert set(np.unique(written.dataobj)) == set(torch.unique(made.values).tolist())
    capsys.readouterr()
    assert main(["segment", str(write_map(tmp_path / "m.nii.gz", labels)), "-o", str(tmp_path / "m2.nii.gz")]) == 0
    assert "looks like a label map" in "".join(capsys.readouterr()), "with the weights of the package, and a warning"


def test_the_report_names_regions_and_shows_how_probable_they_are(tmp_path, weights):
    path = tmp_path / "head.nii.gz"
    nib.save(nib.Nifti1Image(head(balls()).values[0].numpy().transpose(2, 1, 0), np.diag([2.0, 2, 2, 1])), path)
    out, page = tmp_path / "labels.nii.gz", tmp_path / "r.html"
    assert main(["segment", str(path), "-o", str(out), "--weights", str(weights), "--report", str(page), "--maps"]) == 0
    names = registry.task_named("segment").NAMES()
    told = {names[int(i)] for i in np.unique(nib.load(out).dataobj) if i}
    text = page.read_text()
    assert told and all(name in text for name in told) and "how probable" in text
    share = nib.load(tmp_path / "labels_probability.nii.gz").get_fdata()
    assert share.min() > 0 and share.max() <= 1
    sided = {i for r in REGIONS if r.label for i in (r.label, RIGHT.get(r.label, r.label))}
    assert set(names) == sided and names[49] == "thalamus, right"
