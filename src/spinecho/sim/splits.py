"""Which cases train, validate and test: fixed for everything in the project, by subject, in this one file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from spinecho.core.errors import DataError

Part = Literal["train", "validate", "test"]

IXI_VALIDATE, IXI_TEST = 20, 20
"""Of the subjects of `ixi_2mm` sorted by id, the last 20 test and the 20 before validate; the others train."""

RANGES: dict[str, dict[Part, range]] = {
    "label_maps": {"train": range(1, 15), "validate": range(15, 17), "test": range(17, 21)},
    "chest": {"train": range(1, 81), "validate": range(81, 91), "test": range(91, 101)},
}
"""Numbers (from 1) of the label maps and of the chest slices, whose subjects cannot be told apart."""

NAMES: dict[str, dict[Part, tuple[str, ...]]] = {
    "ms_1mm": {"train": ("patient07",), "validate": (), "test": ("patient19",)},
    "kspace": {"train": (), "validate": (), "test": ()},
    "dicom": {"train": (), "validate": (), "test": ()},
}
"""Patients; raw k-space and DICOM series never train and choose nothing: results on them are reported as they come."""

PARTS: tuple[Part, ...] = ("train", "validate", "test")


def split(dataset: str, part: Part, subjects: Sequence[str] = ()) -> list[str]:
    """The cases of a part.

    Parameters
    ----------
    dataset
        `ixi_2mm`, `label_maps`, `chest`, `ms_1mm`, `kspace` or `dicom`.
    subjects
        For `ixi_2mm`: the ids of all subjects, in any order.

    Returns
    -------
    Subject ids, patients, or numbers as text (two digits for label maps, as in their file names).

    Raises
    ------
    DataError
        If the data set is unknown, or `ixi_2mm` comes without enough subjects.
    """
    if dataset in RANGES:
        width = 2 if dataset == "label_maps" else 1
        return [f"{i:0{width}}" for i in RANGES[dataset][part]]
    if dataset in NAMES:
        return list(NAMES[dataset][part])
    if dataset != "ixi_2mm":
        known = ", ".join(["ixi_2mm", *RANGES, *NAMES])
        raise DataError(f"there is no data set {dataset!r}", do=f"known are {known}")
    ids = sorted(set(subjects))
    if len(ids) <= IXI_VALIDATE + IXI_TEST:
        raise DataError(f"{len(ids)} subjects of ixi_2mm", do="give the ids of all of them (123)")
    first, second = len(ids) - IXI_VALIDATE - IXI_TEST, len(ids) - IXI_TEST
    return {"train": ids[:first], "validate": ids[first:second], "test": ids[second:]}[part]
