"""Read any file that spinecho knows; the format is recognised from the content.

A module under `formats/` is a format. It offers

- `SUFFIXES`: what its files are usually called, for error messages and for writing;
- `recognises(path, head) -> bool`: whether the file is one of its own, from its first 4096 bytes (or, for HDF5, from
  the names inside; for folders head is empty);
- `read(path, options) -> KSpace | Image`;
- `read_parts(path, options) -> dict[str, Image]`, where a file may hold several kinds of image that are no stack;
- `slice_count(path, options) -> int` (raw formats), so that long scans can be read and reconstructed part by part;
- `write(item, path, options)`, where it can be written, with `WRITES` naming what: ("image",), ("kspace",) or both;
  it may return the paths it wrote;
- `COMPLEX = True` (image formats), where an image may have complex values;
- `check_output(path, oriented, options)` and `check_number(path, n)` (image formats), to refuse an output before the
  image is made.
"""

from __future__ import annotations

import pkgutil
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from spinecho.core.door import check_present
from spinecho.core.errors import DataError, setting
from spinecho.core.image import Image
from spinecho.core.kspace import KSpace
from spinecho.core.log import logged
from spinecho.io import formats
from spinecho.io.cfl_file import full_name
from spinecho.io.guard import one_error, vet
from spinecho.io.limits import check_memory
from spinecho.io.options import ReadOptions

Item = TypeVar("Item", KSpace, Image)


def format_names() -> list[str]:
    """Names of the formats: the files of the folder."""
    return sorted(m.name for m in pkgutil.iter_modules(formats.__path__))


def format_module(name: str) -> ModuleType:
    """The module of a format."""
    return import_module(f"spinecho.io.formats.{name}")


def find_format(path: Path) -> ModuleType:
    """The format whose content the file has; BART's pair NAME.cfl, NAME.hdr may be called by NAME alone.

    Raises
    ------
    DataError
        If there is no such file, a pointer in its place, it is empty, the guard refuses it, or no format recognises it.
    """
    path = full_name(path)
    check_present(path)
    head = b""
    if path.is_file():
        with path.open("rb") as f:
            head = f.read(4096)
        if not head:
            raise DataError("the file is empty (0 bytes)", do="copy it from the scanner again", file=path)
    modules = [format_module(name) for name in format_names()]
    with one_error(path):
        vet(path)
        for module in modules:
            if hasattr(module, "recognises") and module.recognises(path, head):
                return module
    if path.is_dir():
        raise DataError("it is a folder without a DICOM series", do="name one file in it", file=path)
    readers = [m for m in modules if hasattr(m, "read")]
    known = ", ".join(f"{m.__name__.rpartition('.')[2]} ({' '.join(m.SUFFIXES)})" for m in readers)
    raise DataError("this is no file of a known format", do=f"known are {known}", file=path)


@logged("read")
def read(path: str | Path, options: ReadOptions | None = None) -> KSpace | Image:
    """Raw data as KSpace, images as Image.

    Parameters
    ----------
    path
        A file, or a folder with a DICOM series.
    options
        Facts that the file does not record (`ReadOptions`).

    Raises
    ------
    DataError
        Whatever is wrong with the file, in one sentence.
    """
    path, options = full_name(Path(path)), options or ReadOptions()
    module = find_format(path)
    with one_error(path):
        _check(path, options, module)
        return _with_facts(module.read(path, options), options)


def _with_facts(item: Item, options: ReadOptions) -> Item:
    """What the options say of any format's samples."""
    if not options.exact_trajectory:
        return item
    if not isinstance(item, KSpace) or item.encoding.trajectory != "radial":
        what = "an image" if isinstance(item, Image) else f"a {item.encoding.trajectory} scan"
        problem = f"{setting('exact_trajectory')} is about radial spokes, and this is {what}"
        raise DataError(problem, do=f"leave out {setting('exact_trajectory')}")
    return replace(item, encoding=replace(item.encoding, is_exact=True))


def read_parts(path: str | Path, options: ReadOptions | None = None) -> dict[str, KSpace] | dict[str, Image]:
    """Everything in a file: `read` under "", and beside it the kinds of image that `read` leaves out, by their names.

    Raises
    ------
    DataError
        As `read`.
    """
    path, options = Path(path), options or ReadOptions()
    module = find_format(path)
    with one_error(path):
        _check(path, options, module)
        if hasattr(module, "read_parts"):
            return {name: _with_facts(item, options) for name, item in module.read_parts(path, options).items()}
        return {"": _with_facts(module.read(path, options), options)}


def _check(path: Path, options: ReadOptions, module: ModuleType) -> None:
    """Content that fits into memory, and a series named only where a format has series."""
    name = module.__name__.rpartition(".")[2]
    if options.series is not None and name in ("arrays", "cfl"):
        raise DataError(f"{setting('series')} does not apply to {name}", do=f"leave out {setting('series')}")
    if options.slices is None:
        check_memory(vet(path), "the largest dataset in it")


def read_image(path: str | Path, series: str | None = None) -> Image:
    """An image file as a volume: the slices are stacked along z.

    Parameters
    ----------
    series
        Which of several DICOM series in a folder; other files have none.

    Raises
    ------
    DataError
        If the file holds raw data, its slices make no volume, or as `read`.
    """
    named = series is not None and find_format(Path(path)).__name__.endswith(".dicom")
    item = read(path, ReadOptions(series=series) if named else None)
    if not isinstance(item, Image):
        do = f"make an image of it first: spinecho recon '{path}' -o IMAGE"
        raise DataError("it holds k-space", do=do, file=path)
    header = item.header if item.header.source else replace(item.header, source=str(path))
    with one_error(Path(path)):
        return replace(item, header=header).volume()


def slice_count(path: str | Path, options: ReadOptions | None = None) -> int:
    """Number of slices that `read` would give, so that `options.slices` can take them part by part; 1 if unknown.

    Raises
    ------
    DataError
        As `read`.
    """
    path, options = full_name(Path(path)), options or ReadOptions()
    module = find_format(path)
    with one_error(path):
        return module.slice_count(path, options) if hasattr(module, "slice_count") else 1
