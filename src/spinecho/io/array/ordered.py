"""Arrays of an .npz in their order: arr_0, arr_1, ... as numpy names what it is given without names."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import numpy as np

from spinecho.core.door import check_present
from spinecho.core.errors import DataError

_NAME = re.compile(r"arr_(\d+)")


def read_ordered(path: Path) -> list[np.ndarray]:
    """All of them, as floats or integers.

    Raises
    ------
    DataError
        If the file is absent or damaged, a name has no number, or one is missing.
    """
    check_present(path)
    try:
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise ValueError("it is one array")
            arrays = {name: np.asarray(archive[name]) for name in archive.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(f"it cannot be read as .npz ({error})", do="give an .npz of arrays", file=path) from None
    strange = [name for name in arrays if not _NAME.fullmatch(name)]
    if strange:
        raise DataError(f"array {strange[0]!r} has no number", do="name arrays arr_0, arr_1, ...", file=path)
    numbers = sorted(int(name[4:]) for name in arrays)
    if numbers != list(range(len(numbers))):
        missing = next(i for i in range(len(numbers) + 1) if i not in numbers)
        raise DataError(f"arr_{missing} is missing", do="give all arrays", file=path)
    ordered = [arrays[f"arr_{i}"] for i in numbers]
    if any(a.dtype.kind not in "fiu" for a in ordered):
        raise DataError("an array does not hold real numbers", do="give weights as floats", file=path)
    if not all(bool(np.isfinite(a).all()) for a in ordered):
        raise DataError("an array holds NaN or infinite values", do="fetch the file again", file=path)
    return ordered
