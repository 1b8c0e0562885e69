"""The task's command words for findings: files of contrasts and of a mask are read, mended, checked and named."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
from marked import dice, flair, geometry, patient, t1, truth, volume

from spinecho.core.errors import DataError
from spinecho.io.write import write
from spinecho.methods import registry
from spinecho.tasks.segment import task
from spinecho.tasks.segment.parts.files import images_beside
from spinecho.tasks.segment.parts.findings import CONTRASTS
from spinecho.tasks.segment.run import segment


def run(method: str = "threshold", settings: dict[str, object] | None = None, **files: Path) -> torch.Tensor:
    return task.run(flair(), task.Inputs(**files), method, settings or {}).values


def test_each_contrast_beside_flair_has_a_word_of_its_own():
    words = {field.name for field in fields(task.Inputs)}
    assert set(CONTRASTS) - {"flair"} < words and "brain" in words


def test_a_mask_is_read_from_its_file(tmp_path):
    inside = (flair().values[0] > 0).to(torch.uint8)
    inside[:24] = 0
    write(volume(inside), tmp_path / "brain.nii.gz")
    made = run(brain=tmp_path / "brain.nii.gz")
    assert not bool(made[:, :24].any()) and bool(made[:, 24:].any())
    write(replace(volume(inside), geometries=(geometry(2.0),)), tmp_path / "other.nii.gz")
    with pytest.raises(DataError, match="brain has the grid"):
        run(brain=tmp_path / "other.nii.gz")


def test_absent_values_of_another_contrast_become_zero(tmp_path):
    values = t1().values.clone()
    values[:, :4] = torch.nan
    write(replace(t1(), values=values), tmp_path / "t1c.nii.gz")
    made = run("threshold", {"finding": "tumour"}, t1c=tmp_path / "t1c.nii.gz")
    assert made.shape == flair().values.shape
    write(replace(t1(), values=values.nan_to_num(torch.inf)), tmp_path / "inf.nii.gz")
    with pytest.raises(DataError, match="infinite"):
        run("threshold", {"finding": "tumour"}, t1c=tmp_path / "inf.nii.gz")


def test_a_contrast_that_the_method_does_not_use_is_only_checked(tmp_path):
    write(t1(), tmp_path / "t1.nii.gz")
    assert torch.equal(run(t1=tmp_path / "t1.nii.gz"), run())


def test_the_network_looks_at_t1():
    clear = replace(flair(), values=flair().values + 60 * truth())
    with_it, alone = (segment(clear, "lesions", beside=b) for b in ({"t1": t1()}, {}))
    assert not torch.equal(with_it.extras["probability"], alone.extras["probability"])
    assert dice(alone.values, truth()) > 0.4
    assert [line for line in alone.header.history if "was not given t1" in line]


def test_names_are_those_of_the_weights():
    assert task.NAMES("lesions")[1].startswith("lesion") and 17 not in task.NAMES("lesions")
    assert task.NAMES("regions") == task.NAMES()
    assert {"threshold", "grown", "pix2pix3d", "regions"} <= set(registry.names("segment"))


def test_files_on_several_grids_are_told(tmp_path):
    first = patient(tmp_path / "one")
    write(replace(t1(), geometries=(geometry(1.5),)), first.with_name("t1.nii.gz"))
    with pytest.raises(DataError, match=r"t1 has the grid.*spinecho register"):
        images_beside(first, ("flair", "t1"))
    assert set(images_beside(first, ("flair",))) == {"flair"}
