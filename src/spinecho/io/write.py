"""Write images and k-space; the suffix names the format."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

from spinecho.core.errors import DataError
from spinecho.core.image import Image
from spinecho.core.kspace import KSpace
from spinecho.core.log import logged
from spinecho.io.catalogue import ending_of
from spinecho.io.options import WriteOptions
from spinecho.io.read import format_module, format_names


@logged("write")
def write(item: KSpace | Image, path: str | Path, options: WriteOptions | None = None) -> list[Path]:
    """Write to path: to a temporary file first, which is then renamed, so that a half-written file never has this name.

    Returns
    -------
    What was written: path itself, or one file for each contrast where the format holds only one.

    Raises
    ------
    DataError
        If the suffix is unknown, the format cannot hold the item, or the place cannot be written.
    """
    path, options = Path(path), options or WriteOptions()
    module = _writer(path, "kspace" if isinstance(item, KSpace) else "image")
    try:
        return module.write(item, path, options) or [path]
    except DataError as error:
        raise error.within(path) from error


def holds_complex(path: str | Path) -> bool:
    """Whether an image of this name may have complex values.

    Raises
    ------
    DataError
        If the suffix is unknown.
    """
    return bool(getattr(_writer(Path(path), "image"), "COMPLEX", False))


def check_image_output(path: str | Path, oriented: bool, options: WriteOptions, n: int = 1) -> None:
    """Refuse an output before a long reconstruction rather than after it.

    Parameters
    ----------
    path
        Where the image will go.
    oriented
        Whether the scan says how the patient lay (`Geometry.oriented`).
    options
        As `write` will get them.
    n
        Slices and frames that the image will have, or fewer where that is not known.

    Raises
    ------
    DataError
        If the file holds one slice and there are more, the format needs an orientation that is not given, `--like` or
        `--affine` cannot be used, or a folder holds files that are not spinecho's.
    """
    path = Path(path)
    module = _writer(path, "image")
    try:
        if hasattr(module, "check_output"):
            module.check_output(path, oriented, options)
        if hasattr(module, "check_number"):
            module.check_number(path, n)
    except DataError as error:
        raise error.within(path) from error


def _writer(path: Path, kind: str) -> ModuleType:
    """The format that writes such items under such a name."""
    writers = [m for m in map(format_module, format_names()) if hasattr(m, "write") and kind in m.WRITES]
    matching = [(len(s), m) for m in writers for s in m.SUFFIXES if s and path.name.lower().endswith(s)]
    if matching:  # .mrd.h5 before .h5
        return max(matching, key=lambda pair: pair[0])[1]
    known = " ".join(dict.fromkeys(s for m in writers for s in m.SUFFIXES if s))
    problem = f"no writer for {kind} files called {ending_of(path.name)!r}"
    raise DataError(problem, do=f"known are {known}", file=path)
