"""The judge of segmentation: the truth scores 1, other atlases are joined, what is small or missing is told."""

from __future__ import annotations

from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
import torch
from rendered import balls, head, untrained, write_map

from spinecho.cli import main
from spinecho.core.errors import DataError
from spinecho.evaluate.judge import Case, LeftOut, Outcome
from spinecho.io.write import write
from spinecho.tasks.segment.judge import Options, cases, judge, picture
from spinecho.tasks.segment.judge.known import Inputs
from spinecho.tasks.segment.judge.overlaps import masks, scores
from spinecho.tasks.segment.parts.names import REGIONS, classes_of, labels_of

CPU = torch.device("cpu")


@pytest.fixture
def folder(tmp_path):
    maps = tmp_path / "maps"
    maps.mkdir()
    write_map(maps / "a.nii.gz", balls((60, 64, 62)))
    return maps


def test_the_truth_scores_one_and_nothing_scores_zero(folder):
    for case in cases(Options(maps=(folder,), contrasts=("t1",)), CPU).each:
        inputs = case.load()
        truth = labels_of(inputs.labels)[None]
        figures = scores(inputs, truth)
        assert figures["dice"] == 1 and figures["least"] == 1 and figures["brain"] == 1
        assert scores(inputs, torch.zeros_like(truth))["dice"] == 0
        with pytest.raises(DataError, match="its labels have shape"):
            scores(inputs, truth[..., 1:])


def test_rendered_heads_come_in_each_contrast_and_thickness(folder):
    made = list(cases(Options(maps=(folder,), contrasts=("t2", "random"), thickness=(1.0, 8.0)), CPU).each)
    assert len(made) == 4 and len({c.name for c in made}) == 4 and len({c.group for c in made}) == 2
    thin, thick = made[0].load(), made[1].load()
    assert max(thick.image.geometry.voxel_mm) == pytest.approx(8) and max(thin.image.geometry.voxel_mm) == 2
    assert thick.image.values.shape[1:] == thick.labels.shape
    centre = lambda i: i.image.geometry.to_world((np.argwhere(i.labels.numpy() > 0).mean(0))[::-1])  # noqa: E731
    np.testing.assert_allclose(centre(thick), centre(thin), atol=1.5)
    assert torch.equal(made[0].load().image.values, thin.image.values), "the same each time"


def test_small_regions_are_not_scored(folder):
    case = next(iter(cases(Options(maps=(folder,), contrasts=("t1",), thickness=(1.0,)), CPU).each))
    inputs = case.load()
    few = replace_labels(inputs, 4, keep=50)
    figures = scores(few, labels_of(few.labels)[None])
    assert "dice lateral ventricles" not in figures and "dice thalamus" in figures


def replace_labels(inputs: Inputs, label: int, keep: int) -> Inputs:
    number = next(i for i, r in enumerate(REGIONS) if r.label == label)
    labels = inputs.labels.clone()
    places = (labels == number).nonzero()[keep:]
    labels[tuple(places.T)] = 0
    return replace(inputs, labels=labels)


def test_another_atlas_is_joined():
    image = head(balls())
    own = labels_of(classes_of(balls()))[None]
    muse = torch.zeros_like(balls())
    for region in REGIONS:
        if region.muse:
            muse[own[0] == region.label] = region.muse[-1]
    inputs = Inputs(image=image, labels=muse, atlas="muse")
    parts = masks(inputs, own[0])
    assert "ventricles" in parts and "lateral ventricles" not in parts and "cerebellum" in parts
    figures = scores(inputs, own)
    assert figures["dice"] == 1 and "dice ventricles" in figures
    shown = picture(inputs, {"regions": Outcome(result=own)})
    assert [c.name for c in shown] == ["truth", "regions"]


def test_images_with_labels_beside(tmp_path):
    images, labels = tmp_path / "images", tmp_path / "labels"
    images.mkdir()
    labels.mkdir()
    for name in ("a.nii.gz", "b.nii.gz"):
        values = head(balls()).values[0].numpy().transpose(2, 1, 0)
        nib.save(nib.Nifti1Image(values, np.diag([2.0, 2, 2, 1])), images / name)
    write_map(labels / "a.nii.gz", balls())
    made = list(cases(Options(images=(images,), labels=labels), CPU).each)
    assert [type(c) for c in made[1:]] == [LeftOut] and made[0].kind == "real"
    inputs = made[0].load()
    assert judge(inputs, Outcome(result=labels_of(inputs.labels)[None]))["dice"] == 1
    write_map(labels / "b.nii.gz", balls()[1:])
    with pytest.raises(DataError, match="another grid"):
        list(cases(Options(images=(images,), labels=labels), CPU).each)[1].load()


def test_images_of_one_name_have_labels_of_their_own(tmp_path):
    labels = tmp_path / "labels"
    (labels / "a").mkdir(parents=True)
    values = head(balls()).values[0].numpy().transpose(2, 1, 0)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        nib.save(nib.Nifti1Image(values, np.diag([2.0, 2, 2, 1])), tmp_path / name / "t1.nii.gz")
    write_map(labels / "t1.nii.gz", balls())
    asked = Options(images=(tmp_path / "a", tmp_path / "b"), labels=labels)
    made = list(cases(asked, CPU).each)
    assert [type(c) for c in made] == [LeftOut, LeftOut], "nobody knows whose labels these are"
    assert "labels/a/t1.nii.gz, and several images are called t1.nii.gz" in made[0].why
    write_map(labels / "a" / "t1.nii.gz", balls())
    one, other = cases(asked, CPU).each
    assert one.scan == "a/t1.nii.gz" and isinstance(other, LeftOut)
    assert one.load().labels.shape == values.T.shape


def test_a_dicom_folder_is_an_image_and_its_labels_have_its_name(tmp_path):
    images, labels = tmp_path / "images", tmp_path / "labels"
    labels.mkdir()
    images.mkdir()
    write(head(balls()), tmp_path / "dicom")
    (tmp_path / "dicom").rename(images / "scan1")
    (images / "notes.txt").write_text("ours")
    ids = nib.Nifti1Image(balls().numpy().transpose(2, 1, 0).astype(np.int16), np.diag([-2.0, -2, 2, 1]))
    nib.save(nib.as_closest_canonical(ids), labels / "scan1.nii.gz")  # as converters have it: voxels in another order
    (made,) = cases(Options(images=(images,), labels=labels), CPU).each
    assert isinstance(made, Case) and made.scan == "scan1"
    inputs = made.load()
    assert torch.equal(inputs.labels, classes_of(balls()))
    assert judge(inputs, Outcome(result=labels_of(inputs.labels)[None]))["dice"] == 1
    (again,) = cases(Options(images=(images / "scan1",), labels=labels), CPU).each
    assert isinstance(again, Case) and again.digest == made.digest
    (labels / "scan1.nii.gz").unlink()
    (missing,) = cases(Options(images=(images,), labels=labels), CPU).each
    assert isinstance(missing, LeftOut) and "labels/scan1.nii.gz" in missing.why


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (Options(), "there are no heads"),
        (Options(contrasts=("t9",)), "'t9'"),
        (Options(thickness=(0.5,)), "at least 1 mm"),
    ],
)
def test_options_that_cannot_be(options, words):
    with pytest.raises(DataError, match=words):
        cases(options, CPU)


def test_images_need_labels(folder):
    with pytest.raises(DataError, match="no labels"):
        cases(Options(images=(folder,)), CPU)
    with pytest.raises(DataError, match="no such file"):
        cases(Options(maps=(folder / "absent",)), CPU)


def test_the_whole_evaluation(folder, tmp_path):
    weights = untrained(tmp_path / "w.safetensors")
    command = ["evaluate", "segment", "--maps", str(folder), "--contrasts", "t1", "--thickness", "1"]
    command += [
        "--methods",
        f"regions={weights}",
        "--report",
        str(tmp_path / "r.html"),
        "--out",
        str(tmp_path / "r.csv"),
    ]
    assert main(command) == 0
    assert "mean Dice" in (tmp_path / "r.html").read_text()


def test_endings_in_capitals(folder):
    (folder / "a.nii.gz").rename(folder / "A.NII.GZ")
    (case,) = cases(Options(maps=(folder,), contrasts=("t1",), thickness=(1.0,)), CPU).each
    assert case.scan == "A.NII.GZ" and case.load().labels.any()
