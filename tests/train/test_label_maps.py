"""Label maps are known by what they hold, wherever they lie; tissues, the head's box, and what is refused."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spinecho.core.errors import DataError
from spinecho.sim.tissue import TISSUE_OF_LABEL, TISSUES
from spinecho.train.label_maps import as_labels, head_box, read_head, tissues

IDS = sorted(TISSUE_OF_LABEL)


def labels() -> torch.Tensor:
    made = torch.zeros(8, 9, 10, dtype=torch.int32)
    made[2:5, 3:6, 4:8] = 2
    made[3, 4, 5], made[3, 4, 6], made[4, 5, 7] = 3, 507, 16
    return made


def write(path: Path, values: torch.Tensor) -> Path:
    nib.save(nib.Nifti1Image(values.numpy().transpose(2, 1, 0), np.diag([1.0, 2, 3, 1])), path)
    return path


@pytest.mark.parametrize("dtype", [torch.int16, torch.int32, torch.float32, torch.float64, torch.uint8])
def test_whole_numbers_that_are_ids_are_labels_in_any_type(dtype):
    values = labels().clamp_max(255 if dtype == torch.uint8 else 10**4)
    told = as_labels(values.to(dtype))
    assert told is not None and told.dtype == torch.int32 and torch.equal(told, values)


def test_images_are_no_labels():
    assert as_labels(labels() + 0.5) is None, "no whole numbers"
    assert as_labels(torch.arange(100).reshape(4, 5, 5)) is None, "numbers that are no ids"
    assert as_labels((labels() > 0).int()) is None, "a mask says nothing of tissue"
    assert as_labels(labels().to(torch.complex64)) is None


@given(st.lists(st.sampled_from(IDS), min_size=1, max_size=30))
def test_every_id_has_the_tissue_of_its_name(ids):
    places = tissues(torch.tensor(ids))
    names = list(TISSUES)
    assert [names[int(p)] for p in places] == [TISSUE_OF_LABEL[i] for i in ids]
    assert places.dtype == torch.uint8 and names[0] == "air"


def test_the_box_is_what_the_head_fills():
    places = tissues(labels())
    assert places[head_box(places)].shape == (3, 3, 4)
    one = torch.zeros(5, 6, 7, dtype=torch.uint8)
    assert one[head_box(one)].shape == (5, 6, 7), "nothing there: nothing is cut"
    one[2, 3, 4] = 1
    assert one[head_box(one)].shape == (1, 1, 1)


def test_a_file_gives_its_labels_and_its_grid(tmp_path):
    told, geometry = read_head(write(tmp_path / "anywhere.nii.gz", labels().to(torch.int16)))
    assert torch.equal(told, labels()) and geometry.voxel_mm == (1, 2, 3) and told.dtype == torch.int32


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (labels() + 0.25, "not whole numbers"),
        (labels() + 900 * (labels() == 3), r"labels \[903\] have no tissue"),
        (507 * (labels() > 0), "no brain"),
    ],
)
def test_what_is_no_head_is_refused_by_name(tmp_path, values, words):
    path = write(tmp_path / "odd.nii.gz", values.float())
    with pytest.raises(DataError, match=words) as refusal:
        read_head(path)
    assert "odd.nii.gz" in str(refusal.value)
