"""Which files train and which are held out: by subject, by the project's own splits where they are its data sets."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from spinecho.core.door import near
from spinecho.core.errors import DataError
from spinecho.io.cfl_file import full_name
from spinecho.sim.splits import Part, split

_HELD_OUT = 10
"""Of subjects sorted by name every tenth is held out; with fewer than 5, none."""
_SUFFIXES = (".h5", ".mrd", ".dat", ".cfl", ".npy", ".npz", ".mat", ".nii", ".nii.gz")
_SETS = {
    "label_maps": re.compile(r"label_maps/labels_(\d\d)\.nii\.gz$"),
    "ixi_2mm": re.compile(r"ixi_2mm/t1/(IXI\d{3})\.nii\.gz$"),
    "ms_1mm": re.compile(r"ms_1mm/(patient\d\d)/(?:t1|t1post|t2|flair)\.nii\.gz$"),
}
_CHEST = re.compile(r"chest/slices_100\.npz$")
_NEVER = re.compile(
    r"ixi_2mm/labels/|ms_1mm/patient\d\d/lesions|"
    r"kspace/(brain_t1_7coil_images\.npz|knee_1coil\.mat|brain_sagittal_1coil\.mat|brain_8coil_poisson\.npy|"
    r"cardiac_radial_12coil\.mat|siemens_(gre|epi)\.dat)$"
)
"""Of the project's data folder: what is no image, and the raw scans on which the work is judged."""


@dataclass(frozen=True)
class Case:
    """A file, or some slices of a stack.

    Parameters
    ----------
    slices
        Of a stack of images, counted from 0; None: all.
    """

    path: Path
    slices: range | None = None


def cases(path: Path, part: Part) -> list[Case]:
    """The files under a path that are for a part of the work.

    Files that the project's splits know go where those say. Of other folders every tenth subject validates, where a
    subject is a file or a folder directly below `path`.

    Raises
    ------
    DataError
        If there is no such path, or no file in it that could be read.
    """
    path = full_name(path)
    if not path.exists():
        raise DataError("there is no such file or folder", do=near(path), file=path)
    files = _files(path)
    if not files:
        raise DataError(f"it holds no files that end with {' '.join(_SUFFIXES)}", do="check the path", file=path)
    usable = [f for f in files if not _NEVER.search(_name(f))]
    if not usable:
        raise DataError("these files are for judging, they never train", do="give others", file=path)
    strangers = [f for f in usable if not _is_known(f)]
    found = [case for f in usable if _is_known(f) for case in _known(f, part)]
    return found + [Case(f) for f in _divided(path, strangers, part)]


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    found = (f for f in path.rglob("*") if f.is_file() and f.name.endswith(_SUFFIXES) and not f.name.startswith("."))
    return sorted(found)


def _name(file: Path) -> str:
    return file.resolve().as_posix()


def _is_known(file: Path) -> bool:
    return any(pattern.search(_name(file)) for pattern in (*_SETS.values(), _CHEST))


def _known(file: Path, part: Part) -> list[Case]:
    """The file, if the part has it."""
    if _CHEST.search(_name(file)):
        numbers = [int(i) for i in split("chest", part)]
        return [Case(file, range(numbers[0] - 1, numbers[-1]))]
    for dataset, pattern in _SETS.items():
        if match := pattern.search(_name(file)):
            subjects = _subjects(file, pattern) if dataset == "ixi_2mm" else ()
            return [Case(file)] if match[1] in split(dataset, part, subjects) else []
    return []


def _subjects(file: Path, pattern: re.Pattern[str]) -> list[str]:
    """All subjects of the folder a file lies in, whichever of them were asked for: the split is over all."""
    return [match[1] for f in file.resolve().parent.iterdir() if (match := pattern.search(f.as_posix()))]


def _divided(path: Path, files: Sequence[Path], part: Part) -> list[Path]:
    def subject(f: Path) -> str:
        return f.relative_to(path).parts[0] if path.is_dir() else f.name

    subjects = sorted({subject(f) for f in files})
    held_out = set(subjects[_HELD_OUT // 2 - 1 :: _HELD_OUT])
    wanted = {"train": set(subjects) - held_out, "validate": held_out, "test": set[str]()}[part]
    return [f for f in files if subject(f) in wanted]
