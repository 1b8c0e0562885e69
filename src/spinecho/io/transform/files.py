"""Transforms from and to files; the suffix names the format when writing (`suffix.py`), the content when reading."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from spinecho.core.door import check_present
from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.transform import Affine, Composite, Rigid, Transform
from spinecho.io.atomic import replacing
from spinecho.io.guard import is_hdf5, one_error, vet
from spinecho.io.limits import check_memory
from spinecho.io.nifti.read import is_nifti
from spinecho.io.transform import hdf5, matlab, text, warp
from spinecho.io.transform.parts import from_parts, to_parts
from spinecho.io.transform.suffix import FIELD, HDF5, checked_suffix, inverse_path


def read_transform(path: str | Path) -> Transform:
    """The transform in a file, fixed world to moving world, LPS mm.

    Raises
    ------
    DataError
        Whatever is wrong with the file, in one sentence.
    """
    path = Path(path)
    check_present(path)
    if not path.is_file():
        raise DataError("it is a folder, but a file is needed", do="check the path", file=path)
    with one_error(path):
        if is_hdf5(path):
            check_memory(vet(path), "the largest dataset in it")
            return from_parts(hdf5.read_parts(path))
        with path.open("rb") as file:
            head = file.read(4096)
        if is_nifti(head):
            return warp.read_field(path)
        parts = matlab.read_parts(path) if path.suffix.lower() == ".mat" and b"\0" in head else text.read_parts(path)
        return from_parts(parts)


def write_transform(transform: Transform, path: str | Path, onto: Geometry | None = None) -> Path:
    """Write one transform; beside its place first, then renamed.

    Parameters
    ----------
    onto
        The grid of a NIfTI field: that of the image the transform starts from.

    Raises
    ------
    DataError
        If the suffix is unknown, or its format cannot hold the transform.
    """
    path = Path(path)
    suffix = checked_suffix(path)
    with replacing(path) as temporary:
        try:
            _write(transform, temporary, suffix, onto)
        except DataError as error:
            raise error.within(path) from error
    return path


def write_both(transform: Transform, path: str | Path, fixed: Geometry | None, moving: Geometry | None) -> list[Path]:
    """Forward as PATH and inverse as `inverse_path(PATH)`, NIfTI fields on these grids; returns both."""
    path = Path(path)
    forward = write_transform(transform, path, fixed)
    return [forward, write_transform(transform.inverse(), inverse_path(path), moving)]


def combined(transforms: Sequence[Transform]) -> Transform:
    """A chain as one transform: the last acts on points first; neighbouring matrices become one."""
    flat = [part for each in transforms for part in (each.parts if isinstance(each, Composite) else (each,))]
    short: list[Transform] = []
    for part in flat:
        last = short[-1] if short else None
        if isinstance(part, (Affine, Rigid)) and isinstance(last, (Affine, Rigid)):
            short[-1] = Affine(last.matrix @ part.matrix)
        else:
            short.append(part)
    return short[0] if len(short) == 1 else Composite(tuple(short))


def _write(transform: Transform, path: Path, suffix: str, onto: Geometry | None) -> None:
    if suffix in FIELD:
        if onto is None:
            raise DataError("a NIfTI field needs the grid it shall lie on", do="give onto=, or write .h5")
        warp.write_field(transform, onto, path)
        return
    whole = combined([transform])
    if suffix in HDF5:
        hdf5.write_parts(to_parts(whole), path)
    elif not isinstance(whole, (Affine, Rigid)):
        raise DataError(f"a {suffix} file holds rigid and affine transforms only", do="write .h5")
    elif suffix == ".csv":
        path.write_text(text.plain_text(Affine(whole.matrix)), encoding="utf-8")
    elif suffix == ".mat":
        path.write_bytes(matlab.as_bytes(to_parts(whole)))
    else:
        path.write_text(text.itk_text(to_parts(whole)), encoding="utf-8")
