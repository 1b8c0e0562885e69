"""A pack: a folder with what files gave to train on, small enough to travel, read with numpy and h5py alone.

`pack.json` says whose task it is, where the entries came from and which files hold them: `NNNN.npz.xz` for arrays,
`NNNN.h5` for raw scans (spinecho's own format).
"""

from __future__ import annotations

import json
import lzma
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from spinecho.core.errors import DataError, setting
from spinecho.sim.splits import Part
from spinecho.train.entries import Entry, Group

CONTENTS = "pack.json"
_CODES, _VALUES, _PAIRS = ".codes", ".values", ".pairs"


@dataclass(frozen=True)
class Pack:
    """A pack as its list of contents says.

    Parameters
    ----------
    digest
        Of all files in it.
    sources
        What a person gave with --data when it was made.
    """

    folder: Path
    digest: str
    sources: tuple[str, ...]
    listed: Mapping[str, Any]

    def groups(self, part: Part) -> list[Group]:
        """The entries for a part of the work.

        Raises
        ------
        DataError
            If a file is damaged or missing.
        """

        def entry(row: Mapping[str, Any]) -> Entry:
            path = self.folder / row["file"]
            if path.suffix == ".h5":
                return Entry(row["kind"], {}, row["facts"], path)
            return Entry(row["kind"], read_arrays(path), row["facts"])

        return [Group(g["name"], [entry(row) for row in g["entries"]]) for g in self.listed["parts"].get(part, [])]


def is_pack(path: Path) -> bool:
    """Whether a path is a pack's folder."""
    return (path / CONTENTS).is_file()


def opened(path: Path, task: str, facts: Mapping[str, Any] | None = None) -> Pack:
    """The pack in a folder.

    Parameters
    ----------
    task
        That wants to learn from it.
    facts
        Of how that task reads files; None: whatever they are.

    Raises
    ------
    DataError
        If it was made for another task, or files were read in another way for it.
    """
    try:
        listed = json.loads((path / CONTENTS).read_text(encoding="utf-8"))
        made = Pack(path, listed["digest"], tuple(listed["sources"]), listed)
        own, read = listed["task"], listed["facts"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"its {CONTENTS} cannot be read ({error})", do="make it again", file=path) from None
    if own != task:
        raise DataError(f"it was packed for {own}, not for {task}", do=f"make one with {setting('bundle')}", file=path)
    if facts is not None and dict(facts) != read:
        told = f"it was packed with {read}, and {dict(facts)} is wanted"
        raise DataError(told, do="give the same settings, or make it again", file=path)
    return made


def named(path: Path, task: str) -> list[str]:
    """What is noted of a path: its name; of a pack what is in it, since the pack may lie anywhere."""
    if not is_pack(path):
        return [str(path)]
    made = opened(path, task)
    return [*made.sources, f"pack {made.digest[:16]}"]


def stored(arrays: Mapping[str, np.ndarray], coarse: bool = False) -> bytes:
    """Arrays as the bytes of a file.

    An array of up to 256 different values is kept as codes of 8 bits and a table of those values: exact, and small.

    Parameters
    ----------
    coarse
        Not exact: real values in 256 even steps from the smallest to the largest, complex ones as float16. Whole
        numbers are labels, and stay as they are.
    """
    parts: dict[str, np.ndarray] = {}
    for name, array in arrays.items():
        parts |= _parts(name, array, coarse)
    buffer = BytesIO()
    np.savez(buffer, allow_pickle=False, **parts)  # type: ignore[arg-type]
    return lzma.compress(buffer.getvalue(), preset=3)


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays that `stored` made a file of.

    Raises
    ------
    DataError
        If the file is damaged or missing.
    """
    try:
        with np.load(BytesIO(lzma.decompress(path.read_bytes())), allow_pickle=False) as loaded:
            parts = {name: loaded[name] for name in loaded.files}
    except (OSError, ValueError, EOFError, lzma.LZMAError) as error:
        raise DataError(f"it cannot be read ({error})", do="copy the pack again", file=path) from error
    arrays: dict[str, np.ndarray] = {}
    for name, part in parts.items():
        if name.endswith(_CODES):
            own = name.removesuffix(_CODES)
            arrays[own] = parts[own + _VALUES][part]
        elif name.endswith(_PAIRS):
            arrays[name.removesuffix(_PAIRS)] = part.astype(np.float32).view(np.complex64)[..., 0]
        elif not name.endswith(_VALUES):
            arrays[name] = part
    return arrays


def _parts(name: str, array: np.ndarray, coarse: bool) -> dict[str, np.ndarray]:
    if array.dtype.kind in "bui" and array.itemsize == 1:
        return {name: array}
    if np.iscomplexobj(array):
        pairs = np.ascontiguousarray(array, np.complex64).view(np.float32).reshape(*array.shape, 2)
        return {name + _PAIRS: pairs.astype(np.float16)} if coarse else {name: array}
    # few values are seen in a sample already; only then are all of them looked at
    if len(np.unique(array.ravel()[:: max(1, array.size // 4096)])) <= 256:
        values, codes = np.unique(array, return_inverse=True)
        if len(values) <= 256:
            return {name + _CODES: codes.reshape(array.shape).astype(np.uint8), name + _VALUES: values}
    if not coarse or array.dtype.kind != "f":
        return {name: array}
    low, high = float(array.min()), float(array.max())
    codes = np.rint((array.astype(np.float32) - low) * (255 / ((high - low) or 1.0)))
    return {name + _CODES: codes.astype(np.uint8), name + _VALUES: np.linspace(low, high, 256).astype(array.dtype)}
