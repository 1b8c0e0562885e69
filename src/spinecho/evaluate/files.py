"""Images that a person names to be judged on: files, DICOM folders, and folders of both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from spinecho.core.errors import DataError
from spinecho.core.names import listed
from spinecho.evaluate.judge import LeftOut
from spinecho.io.read import find_format

_ENDINGS = (".nii", ".nii.gz", ".mgz", ".npz", ".npy")
"""Of images and stacks of slices, in lower case"""


def images_of(path: Path) -> tuple[list[Path], list[Path]]:
    """The images that a path means, a DICOM folder as one of them; files of other formats and folders beside them.

    Raises
    ------
    DataError
        If there is no such path.
    """
    if path.is_file():
        return [path], []
    if not path.is_dir():
        raise DataError("there is no such file or folder", do="check the path", file=path)
    inside = sorted(f for f in path.iterdir() if not f.name.startswith("."))
    files = [f for f in inside if f.is_file() and f.name.lower().endswith(_ENDINGS)]
    others = [f for f in inside if f not in files]
    if _is_dicom(path):
        if any(f.is_file() and _is_dicom(f) for f in others):
            return [*files, path], []
        files += [f for f in others if f.is_dir() and _is_dicom(f)]
    return files, [f for f in others if f not in files and (f.is_dir() or _format(f))]


def all_images(paths: Sequence[Path]) -> tuple[list[Path], list[LeftOut]]:
    """The images that several paths mean, and a sentence on each folder where something is passed over."""
    files: list[Path] = []
    told: list[LeftOut] = []
    for path in paths:
        own, others = images_of(path)
        files += own
        told += _told(path, others)
    return files, told


def _told(folder: Path, others: Sequence[Path]) -> Iterator[LeftOut]:
    if others:
        known = f"only {' '.join(_ENDINGS)} and folders with DICOM are taken from a folder"
        yield LeftOut(n=0, scan=folder.name, why=f"{folder}: {listed(others)}: {known}")


def _is_dicom(path: Path) -> bool:
    """Whether a file is DICOM, or a folder holds such files, at any depth."""
    return _format(path) == "dicom"


def _format(path: Path) -> str:
    """The name of the format that it is of; empty for none."""
    try:
        return find_format(path).__name__.rpartition(".")[2]
    except DataError:
        return ""
