"""What a state file says of itself: JSON metadata in front of its tensors, read and written without torch.

A state file is a safetensors file: 8 bytes with the length of a JSON header (little-endian), the header, the tensors'
bytes. Under `__metadata__` it holds one JSON text, `spinecho`, with the metadata and the sha256 over them and all
tensors. Nothing in it is ever executed.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from spinecho.core.door import check_present
from spinecho.core.errors import DataError

KEY = "spinecho"
FORMAT = 1
_LONGEST_HEADER = 100 * 2**20
_LONGEST_IN_BYTES = 8


def read_metadata(path: str | Path) -> dict[str, Any]:
    """The metadata of a state file, from its first bytes; the tensors are neither read nor checked.

    Raises
    ------
    DataError
        If there is no such file, or it is not a state file.
    """
    return metadata_of(header_of(Path(path)), path)[0]


def header_of(path: Path) -> dict[str, Any]:
    """The header of a safetensors file.

    Raises
    ------
    DataError
        If the file is absent, cut off, or something else.
    """
    check_present(path)
    if not path.is_file():
        raise DataError("it is a folder, but a file is needed", do="check the path", file=path)
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(_LONGEST_IN_BYTES)
        length = struct.unpack("<Q", start)[0] if len(start) == _LONGEST_IN_BYTES else _LONGEST_HEADER + 1
        if length > min(_LONGEST_HEADER, size - _LONGEST_IN_BYTES):
            do = "give a .safetensors file, or fetch it again: it may be cut off"
            raise DataError(f"it is not a safetensors file ({size} bytes, no header)", do=do, file=path)
        text = file.read(length)
    try:
        header = json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict):
        raise DataError("its header is no JSON: the file is damaged", do="fetch or write it again", file=path)
    return cast(dict[str, Any], header)


def metadata_of(header: Mapping[str, Any], path: str | Path = "") -> tuple[dict[str, Any], str]:
    """Metadata and sha256 from a safetensors header.

    Raises
    ------
    DataError
        If the file was not written by `save_state`, or by a later version of it.
    """
    outer = header.get("__metadata__")
    text = cast(dict[str, Any], outer).get(KEY) if isinstance(outer, dict) else None
    if not isinstance(text, str):
        do = "give weights or a checkpoint that spinecho wrote"
        raise DataError("it is a safetensors file, but spinecho did not write it", do=do, file=path)
    try:
        decoded = json.loads(text)
    except (ValueError, RecursionError):
        decoded = None
    if not isinstance(decoded, dict):
        raise DataError("its metadata are no JSON: the file is damaged", do="fetch or write it again", file=path)
    entry = cast(dict[str, Any], decoded)
    if entry.get("format") != FORMAT:
        do = "update spinecho, or fetch the file again"
        raise DataError(f"its format is {entry.get('format')!r}, known is {FORMAT}", do=do, file=path)
    metadata, sha256 = entry.get("metadata"), entry.get("sha256")
    if set(entry) != {"format", "metadata", "sha256"} or not isinstance(metadata, dict) or not isinstance(sha256, str):
        raise DataError("its metadata are not complete: the file is damaged", do="fetch or write it again", file=path)
    return cast(dict[str, Any], metadata), sha256


def header_text(metadata: Mapping[str, Any], sha256: str) -> str:
    """What stands under `spinecho` in the file."""
    return canonical({"format": FORMAT, "metadata": metadata, "sha256": sha256})


def fingerprint(metadata: Mapping[str, Any], tensors: Iterable[tuple[str, str, tuple[int, ...], bytes]]) -> str:
    """sha256 over the metadata and over each tensor's name, dtype, shape and bytes, in the order of the names."""
    digest = hashlib.sha256(canonical(metadata).encode())
    for name, dtype, shape, raw in sorted(tensors, key=lambda t: t[0]):
        digest.update(canonical([name, dtype, list(shape), len(raw)]).encode())
        digest.update(raw)
    return digest.hexdigest()


def canonical(value: Any) -> str:
    """JSON that is the same text for the same value.

    Raises
    ------
    DataError
        For what JSON cannot hold: NaN, infinity, objects.
    """
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        do = "use text, numbers, lists and dictionaries"
        raise DataError(f"the metadata cannot be written as JSON: {error}", do=do) from None
