"""Which transform files are called what, and which can hold what.

| suffix | what | holds |
|---|---|---|
| .h5 .hdf5 | ITK's composite transform | everything, fields on the grid they live on |
| .tfm .txt | ITK's text | linear transforms |
| .mat | ITK's MATLAB 4 file, as ANTs writes it | one linear transform |
| .csv | a plain 4x4 matrix under a line that says which way it points | one linear transform |
| .nii .nii.gz | ITK's displacement field | everything, sampled on the fixed image's grid |
"""

from __future__ import annotations

from pathlib import Path

from spinecho.core.errors import DataError, setting
from spinecho.io.atomic import check_place

HDF5 = (".h5", ".hdf5")
LINEAR = (".tfm", ".txt", ".mat", ".csv")
FIELD = (".nii", ".nii.gz")
SUFFIXES = (*HDF5, *LINEAR, *FIELD)


def inverse_path(path: Path) -> Path:
    """`t.h5` -> `t_inverse.h5`."""
    suffix = checked_suffix(path)
    return path.with_name(f"{path.name[: -len(suffix)]}_inverse{path.name[-len(suffix) :]}")


def check_transform_output(path: Path, linear: bool) -> None:
    """Refuse before the work a name under which the transform and its inverse cannot be written.

    Parameters
    ----------
    linear
        Whether the transform will be rigid or affine.

    Raises
    ------
    DataError
        Says which names would do.
    """
    suffix = checked_suffix(path)
    if suffix in LINEAR and not linear:
        fault = f"a {suffix} file holds rigid and affine transforms only"
        do = f"write .h5, or take {setting('method', 'affine')} or {setting('method', 'rigid')}"
        raise DataError(fault, do=do, file=path)
    for target in (path, inverse_path(path)):
        check_place(target)
        if target.is_dir():
            raise DataError("it is a folder, but a file is needed", do="add a file name", file=target)


def checked_suffix(path: Path) -> str:
    """The suffix of a transform's file, in small letters.

    Raises
    ------
    DataError
        If it is none of those known.
    """
    matching = [s for s in SUFFIXES if path.name.lower().endswith(s)]
    if not matching:
        fault = f"no writer for transforms called {path.suffix or path.name!r}"
        raise DataError(fault, do=f"known are {' '.join(SUFFIXES)}", file=path)
    return max(matching, key=len)
