"""What a command reads and where its outputs go, checked before anything is imported or done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from spinecho.core.door import check_present
from spinecho.core.errors import DataError, setting
from spinecho.io.atomic import check_place
from spinecho.io.options import WriteOptions

if TYPE_CHECKING:
    from spinecho.core.image import Image

_PACKED = (".nii.gz", ".mrd.h5", ".nii", ".mgz", ".mgh", ".h5", ".hdf5")


def beside(output: Path, source: Path, suffix: str = "") -> Path:
    """Where what is carried along goes: `moved.nii.gz` and `seg.nii.gz` make `moved_seg.nii.gz`.

    Parameters
    ----------
    suffix
        Of the new file; empty: as the output, or .nii.gz where that is a folder.
    """
    ending = next((s for s in _PACKED if output.name.lower().endswith(s)), output.suffix)
    stem = output.name[: len(output.name) - len(ending)] if ending else output.name
    image = ending if ending in (".nii.gz", ".nii", ".mgz", ".mgh") else ".nii.gz"
    return output.with_name(f"{stem}_{stem_of(source)}{suffix or image}")


def stem_of(path: Path) -> str:
    """A file's name without what says its format."""
    ending = next((s for s in _PACKED if path.name.lower().endswith(s)), path.suffix)
    return path.name[: len(path.name) - len(ending)] if ending else path.name


def halves(path: Path) -> list[Path]:
    """The file, and the other one where two make one image or scan: .cfl or .img with its .hdr."""
    others = {".cfl": [".hdr"], ".img": [".hdr"], ".hdr": [".cfl", ".img"]}.get(path.suffix.lower(), [])
    return [path, *(path.with_suffix(suffix) for suffix in others)]


def paths_of(options: Any) -> Iterator[Path]:
    """The paths in a value, in a list of them, and in the fields of a dataclass."""
    if isinstance(options, Path):
        yield options
    elif isinstance(options, (list, tuple)):
        for one in cast("Sequence[Any]", options):
            yield from paths_of(one)
    elif is_dataclass(options):
        for one in fields(options):
            yield from paths_of(getattr(options, one.name))


def check_outputs(outputs: Sequence[Path], inputs: Sequence[Path]) -> None:
    """Refuse outputs that cannot be written, are inputs, or would overwrite each other.

    Raises
    ------
    DataError
        Names the first such output.
    """
    seen: set[Path] = set()
    read = [file for path in inputs for file in halves(path) if file.exists()]
    for path in outputs:
        if any(file.exists() and file.samefile(other) for file in halves(path) for other in read):
            raise DataError("it is an input", do="choose another name for the output", file=path)
        if _is_dicom(path) and any(i.is_dir() and i.resolve() in path.resolve().parents for i in inputs):
            raise DataError("it lies in the input folder", do="write into another folder", file=path)
        if path.is_dir() and any(path.resolve() in other.resolve().parents for other in inputs):
            raise DataError("an input lies in this folder", do="write into another folder", file=path)
        target = check_place(path)
        if target in seen:
            raise DataError("two outputs have this name", do="give each its own name", file=path)
        seen.add(target)


def _is_dicom(path: Path) -> bool:
    """Whether what goes there would be read with the images around it: DICOM, and a name without a format."""
    return path.name.lower().endswith((".dcm", "dicom")) or not path.suffix


def check_name(path: Path, what: str, *suffixes: str) -> None:
    """Refuse a file for a report or a table that is called otherwise, or is a folder.

    Raises
    ------
    DataError
        Says which names would do.
    """
    if path.is_dir():
        raise DataError(f"it is a folder, the {what} is a file", do="add a file name", file=path)
    if path.suffix.lower() not in suffixes:
        raise DataError(f"the {what} is called {path.name}", do=f"give a name that ends in {suffixes[0]}")


def check_inputs(paths: Sequence[Path]) -> None:
    """Refuse inputs that are not there, before anything is imported or read."""
    from spinecho.io.cfl_file import full_name

    for path in paths:
        check_present(full_name(path))


def check_series(paths: Sequence[Path], *series: str | None) -> None:
    """Refuse the choice of a series where no input is a folder that could hold several."""
    if any(s is not None for s in series) and not any(path.is_dir() for path in paths):
        raise DataError(f"{setting('series')} does not apply: no input is a DICOM folder", do="leave it out")


def on_grid(write: WriteOptions, file: Path, image: Image) -> WriteOptions:
    """The options with the file on whose grid the image lies; several channels are kept apart."""
    keep = write.keep_complex or (image.values.shape[-4] > 1 and not image.values.is_complex())
    return replace(write, grid_of=file, keep_complex=keep)
