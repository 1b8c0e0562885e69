"""BART's pair of files: NAME.hdr with 16 sizes as text, NAME.cfl with complex64 in column-major order.

Source: the format as BART's own tools read and write it (https://mrirecon.github.io/bart/); tests compare with them.
"""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import numpy as np

from spinecho.core.door import check_present
from spinecho.core.errors import DataError
from spinecho.io.atomic import replacing
from spinecho.io.limits import check_memory

DIMS = (
    *("k0", "k1", "k2", "coil", "map", "contrast", "coeff", "coeff2"),
    *("iter", "cshift", "time", "repetition", "level", "slice", "average", "batch"),
)
"""What each of the 16 dimensions means here: READ PHS1 PHS2 COIL MAPS TE ... TIME TIME2 LEVEL SLICE AVG BATCH."""

NAMED = tuple(n for n in DIMS if n not in ("coeff", "coeff2", "iter", "cshift", "level", "batch"))


def both(path: Path) -> tuple[Path, Path]:
    """The names NAME.hdr and NAME.cfl for either of them, or for the bare name that BART uses ("NAME." too)."""
    base = path.with_suffix("") if path.suffix in (".cfl", ".hdr") else path.with_name(path.name.rstrip("."))
    return base.with_name(base.name + ".hdr"), base.with_name(base.name + ".cfl")


def full_name(path: Path) -> Path:
    """The .cfl file of a pair, whichever way it is named; any other path as it is.

    With the .cfl file missing it is the .hdr file, if that is BART's.
    """
    if path.exists() and path.suffix != ".hdr":
        return path
    if not path.name.strip("."):
        return path
    header, samples = both(path)
    if not header.is_file() or not _is_barts(header):
        return path if path.exists() or not samples.is_file() else samples
    return samples if samples.is_file() else header


def pair(path: Path) -> tuple[Path, Path]:
    """NAME.hdr and NAME.cfl, both there, for either of them or for the bare name."""
    header, samples = both(path)
    if not header.is_file() and not samples.is_file():
        check_present(path)
    for file, other in ((header, samples), (samples, header)):
        if not file.is_file():
            raise DataError(f"{file.name} is missing beside {other.name}", do="copy both files of the pair", file=path)
        check_present(file)
    return header, samples


def _is_barts(header: Path) -> bool:
    with header.open("rb") as file:
        return file.read(64).lstrip().startswith(b"# Dimensions")


def sizes(header: Path) -> tuple[int, ...]:
    """The 16 sizes in a .hdr file.

    Raises
    ------
    DataError
        If there are no sizes over 0 under `# Dimensions`.
    """
    with header.open("rb") as f:
        lines = f.read(65536).decode("latin-1").splitlines()
    dimensions = next((b for a, b in pairwise(lines) if a.strip() == "# Dimensions"), "")
    words = dimensions.split()
    if not 0 < len(words) <= 16 or not all(w.isascii() and w.isdigit() and 0 < int(w) < 2**31 for w in words):
        raise DataError(f"{header.name} has the dimensions {dimensions[:80]!r}", do="give up to 16 numbers over 0")
    return (*map(int, words), *(1,) * (16 - len(words)))


def mapped(path: Path) -> np.ndarray:
    """The 16-dimensional array (read, phase 1, phase 2, coil ...) of complex64, not yet read.

    Raises
    ------
    DataError
        If the size of the .cfl file does not fit the header.
    """
    header, samples = pair(path)
    shape = sizes(header)
    wanted, stored = 8 * math.prod(shape), samples.stat().st_size
    if wanted != stored:
        text = " ".join(map(str, shape)).removesuffix(" 1" * 10)
        raise DataError(
            f"{samples.name} has {stored} bytes, {header.name} declares {wanted} (dimensions {text})",
            do="copy both files again: one is truncated, or they do not belong together",
        )
    return np.memmap(samples, np.complex64, "r", shape=shape, order="F")


def named(array: np.ndarray, names: tuple[str, ...] = NAMED) -> np.ndarray:
    """Dimensions in the order of names; the rest must have length 1.

    Raises
    ------
    DataError
        Names a dimension in use that spinecho has no place for.
    """
    kept = [DIMS.index(n) for n in names]
    for i, n in enumerate(array.shape):
        if i not in kept and n > 1:
            raise DataError(
                f"dimension {i} ({DIMS[i]}) has {n} entries, which has no place here",
                do=f"take one of them: bart slice {i} 0 IN OUT",
            )
    check_memory(array.nbytes, "the array")
    return array.transpose(kept + [i for i in range(16) if i not in kept])[(..., *(0,) * (16 - len(kept)))]


def save(path: Path, array: np.ndarray) -> None:
    """Write a 16-dimensional array (read, phase 1, phase 2, coil ...) as a pair; each file beside, then renamed."""
    header, samples = both(path)
    with replacing(header) as temporary_header, replacing(samples) as temporary:
        temporary_header.write_text(f"# Dimensions\n{' '.join(map(str, array.shape))} \n", encoding="ascii")
        with temporary.open("wb") as f:
            np.ascontiguousarray(array.T, dtype="<c8").tofile(f)
