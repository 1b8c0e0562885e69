"""Write images and k-space; the suffix names the format."""

from __future__ import annotations

from pathlib import Path

from spinecho.core.errors import DataError
from spinecho.core.image import Image
from spinecho.core.kspace import KSpace
from spinecho.io.options import WriteOptions
from spinecho.io.read import format_module, format_names


def write(item: KSpace | Image, path: str | Path, options: WriteOptions | None = None) -> list[Path]:
    """Write to path; beside it first, then renamed, so that nothing half-written ever has the real name.

    Returns
    -------
    What was written: path itself, or one file for each contrast where the format holds only one.

    Raises
    ------
    DataError
        If the suffix is unknown, the format cannot hold the item, or the place cannot be written.
    """
    path, options = Path(path), options or WriteOptions()
    kind = "kspace" if isinstance(item, KSpace) else "image"
    writers = [m for m in map(format_module, format_names()) if hasattr(m, "write")]
    name = path.name.lower()
    # The longest suffix decides: scan.mrd.h5 is MRD, scan.h5 a plain array file.
    fits = {s: m for m in reversed(writers) if kind in m.WRITES for s in m.SUFFIXES if s and name.endswith(s)}
    if fits:
        module = fits[max(fits, key=len)]
        try:
            return module.write(item, path, options) or [path]
        except DataError as error:
            raise error.within(path) from error
    known = " ".join(s for m in writers if kind in m.WRITES for s in m.SUFFIXES if s)
    raise DataError(f"no writer for {kind} files called *{path.suffix}", do=f"known are {known}", file=path)
