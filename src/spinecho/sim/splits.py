"""Who trains, validates and tests: fixed for everything in the project, by person, in this one file.

The data set is that of `../shared/data`. A file is known by its name, wherever it lies: moved, linked, written in
capitals or given by a relative path, it belongs to the same person. A file that no name identifies is somebody else's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Literal

from spinecho.core.errors import DataError

Part = Literal["train", "validate", "test"]
PARTS: tuple[Part, ...] = ("train", "validate", "test")
"""From the least to the most guarded."""

Task = Literal["recon", "image", "maps"]
"""Reconstruction; whatever learns from images (registration, super-resolution); coil maps to simulate with."""

People = Mapping[Part, str]
"""Names of people (or of scans, where nobody knows whose they are), with spaces between."""


@dataclass(frozen=True, kw_only=True)
class Rows:
    """A folder of the data set.

    Parameters
    ----------
    names
        Finds the person in the end of a path (three folders and the file), in lower case: one of its groups.
    people
        By part.
    tasks
        Where a task has parts of its own.
    """

    names: str
    people: People
    tasks: Mapping[Task, People] = field(default_factory=dict)

    def part(self, person: str, task: Task) -> Part | None:
        """None: no rule names that person."""
        people = self.tasks.get(task, self.people)
        return next((p for p in PARTS if person in people.get(p, "").split()), None)


_IXI_TRAIN = """
013 014 033 034 048 049 052 056 059 067 079 080 092 093 095 096 102 104 126 127 130 131 136 137 148 150 160
161 163 165 168 173 175 176 195 201 204 205 211 212 214 216 218 221 239 242 252 253 255 256 258 259 261 262
267 274 276 277 280 282 295 296 313 316 328 329 335 338 354 356 362 363 384 385 387 396 437 438 440 441 444
445 448
"""
_IXI_VALIDATE = "451 453 465 482 483 485 508 515 516 519 521 524 525 527 537 544 546 559 565 567"
_IXI_TEST = "568 575 577 598 599 601 603 606 608 610 611 613 614 632 633 635 636 638 643 661"
"""The 83 lowest ids, the next 20, the last 20: written out, since a folder may hold only some of them."""

_KSPACE = "brain_t1_7coil brain_t2_4coil knee_1coil brain_sagittal_1coil cardiac_radial_12coil liver_4coil siemens_epi"
_WITH_MAPS = "brain_8coil_poisson siemens_gre"
_DICOM = (
    "ge_anatomical generic_rle hitachi_anatomical hyperfine_anatomical not_a_volume philips_anatomical "
    "philips_enhanced siemens_anatomical siemens_mosaic_fmri siemens_multiframe slice_orientation_mixed "
    "t1_defaced_0p67mm"
)
_HD_TRAIN = "p01 p03 p04 mr_gd skyra_t2_tse knees_axial"


def _any(names: str) -> str:
    return rf"({'|'.join(names.split())})"


SETS: dict[str, Rows] = {
    "ixi_2mm": Rows(
        names=r"ixi(\d{3})(?!\d)", people={"train": _IXI_TRAIN, "validate": _IXI_VALIDATE, "test": _IXI_TEST}
    ),
    "label_maps": Rows(
        names=r"labels_(\d\d)(?![a-z0-9])[^/]*$",
        people={"train": "01 02 03 04 05 06 07 08 09 10 11 12 13 14", "validate": "15 16", "test": "17 18 19 20"},
    ),
    "ms_1mm": Rows(
        names=r"(?:ms_1mm/(patient\d+)/|(patient\d\d)[/_.-](?:t1|t1post|t2|flair|lesions)(?![a-z0-9]))",
        people={"train": "patient07", "test": "patient19"},
    ),
    "anatomy_hd": Rows(
        names=r"(?:lesjak_(p\d\d)|(skyra_mprage)|(chris)_(?:t1|pd)|(mr_gd)|(skyra_t2_tse)|(knees_axial))(?![a-z0-9])",
        people={"train": _HD_TRAIN, "validate": "p20 chris", "test": "skyra_mprage"},
        tasks={"recon": {"train": f"{_HD_TRAIN} p20 chris skyra_mprage"}},
    ),
    "complex": Rows(names=r"(heart_multiecho)_\d\d(?!\d)", people={"train": "heart_multiecho"}),
    "tumour": Rows(
        names=r"(?:tumour/(pat\d+)/|(pat\d)[/_.-](?:flair|t1c|labels)(?![a-z0-9]))",
        people={"train": "pat3 pat4 pat5", "test": "pat6"},
    ),
    "kspace_train": Rows(
        names=r"(headneck_2coil|coil_maps_32)(?![a-z0-9])", people={"train": "headneck_2coil coil_maps_32"}
    ),
    "lowfield_0p055T": Rows(
        names=r"(patient\d)(?![a-z0-9])[^/]*\.npz$",
        people={"train": "patient1 patient2", "validate": "patient3", "test": "patient4"},
    ),
    "kspace": Rows(
        names=rf"{_any(f'{_KSPACE} {_WITH_MAPS}')}(?:_|(?![a-z0-9]))",
        people={"test": f"{_KSPACE} {_WITH_MAPS}"},
        tasks={"maps": {"train": _WITH_MAPS, "test": _KSPACE}},
    ),
    "dicom": Rows(names=rf"{_any(_DICOM)}(?![a-z0-9])", people={"test": _DICOM}),
}
"""Raw k-space and DICOM series never train and choose nothing: results on them are reported as they come."""

CHEST: dict[Part, range] = {"train": range(1, 81), "validate": range(81, 91), "test": range(91, 101)}
"""Slices, from 1, of the one file of `chest`: their subjects cannot be distinguished."""
_CHEST = re.compile(r"(?<![a-z0-9])slices_100(?![a-z0-9])[^/]*$")
_PATTERNS = {name: re.compile(rf"(?<![a-z0-9]){rows.names}") for name, rows in SETS.items()}

_COMPANIONS = re.compile(r"labels/ixi\d{3}|patient(07|19)[/_.-]lesions(?![a-z0-9])|pat[3-6][/_.-]labels(?![a-z0-9])")
_NO_DATA = re.compile(r"(?:^|/)(?:licences/[^/]*\.txt|readme\.md|about\.txt)$")

_OWN_FOLDERS = frozenset({"ixi_2mm", "ms_1mm", "anatomy_hd", "kspace_train", "lowfield_0p055t"})
"""Folders that only this data set has; the others' names are anybody's."""
_FOLDERS = (*SETS, "chest")
_A_ROOT = 4
"""A folder that holds so many of the data set's folders is the data set."""


def part(path: Path, task: Task = "recon") -> Part | Literal["by slice"] | None:
    """What a file is for. Of the chest's file it is for its slices to say (`CHEST`).

    Returns
    -------
    None where the file is not of the data set (or is a licence or a text of it). Of a link and what it leads to, the
    more guarded part.

    Raises
    ------
    DataError
        If a file lies in the data set's folders and no rule names it.
    """
    ends = _ends(path)
    if any(_NO_DATA.search(end) for end in ends):
        return None
    if any(_CHEST.search(end) for end in ends):
        return "by slice"
    known = [p for name, who in _people(ends) if (p := SETS[name].part(who, task))]
    if known:
        return PARTS[max(PARTS.index(p) for p in known)]
    if not _is_inside(path, ends):
        return None
    raise DataError(
        "it lies in the project's data set, and no rule says whether it trains, validates or tests",
        do="name its person in sim/splits.py, or move it out of there",
        file=path,
    )


def person(path: Path) -> str | None:
    """The folder and name of whom a file is of, by the rules; None where they do not know."""
    ends = _ends(path)
    if any(_CHEST.search(end) for end in ends):
        return "chest"
    known = [f"{name}/{who}" for name, who in _people(ends) if SETS[name].part(who, "image")]
    return known[0] if known else None


def goes_along(path: Path) -> bool:
    """Whether a file of the data set only goes with others (regions, lesions) and is no object itself."""
    return any(_COMPANIONS.search(end) for end in _ends(path))


def split(dataset: str, wanted: Part, task: Task = "image") -> list[str]:
    """The people of a part: ids as in the file names (`IXI013`, `patient07`), or numbers as text.

    Raises
    ------
    DataError
        If the data set is unknown.
    """
    if dataset == "chest":
        return [str(i) for i in CHEST[wanted]]
    if dataset not in SETS:
        raise DataError(f"there is no data set {dataset!r}", do=f"known are {', '.join(_FOLDERS)}")
    rows = SETS[dataset]
    people = rows.tasks.get(task, rows.people).get(wanted, "").split()
    return [f"IXI{p}" for p in people] if dataset == "ixi_2mm" else people


def _ends(path: Path) -> tuple[str, ...]:
    """Three folders and the file name in lower case: as they were given, and as they are behind links."""
    both = dict.fromkeys("/".join(p.parts[-4:]).lower() for p in (path.resolve(), path.absolute()))
    return tuple(both)


def _people(ends: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Folder of the data set and person, for each rule that a name suits; the person need not be in the rule."""
    for end in ends:
        for name, pattern in _PATTERNS.items():
            if match := pattern.search(end):
                yield name, next(group for group in match.groups() if group)


def _is_inside(path: Path, ends: tuple[str, ...]) -> bool:
    """Whether a file lies in a folder of the data set, or in a copy of one, or beside them."""
    alike = {name.lower() for name, _ in _people(ends)}
    for folder in {*path.resolve().parents, *path.absolute().parents}:
        name = folder.name.lower()
        if name in _OWN_FOLDERS or name in alike:
            return True
        if name in _FOLDERS and _holds_known(folder, folder.stat().st_mtime_ns if folder.is_dir() else 0):
            return True
        if sum((folder / own).is_dir() for own in _FOLDERS) >= _A_ROOT:
            return True
    return False


@lru_cache
def _holds_known(folder: Path, _: int) -> bool:
    """Whether a file (or a folder) directly in a folder is one that the rules name; asked anew when it changes."""
    return folder.is_dir() and any(person(path) for path in folder.iterdir())
