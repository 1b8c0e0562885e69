"""Tensors with JSON metadata in a file (safetensors): for weights and checkpoints; nothing in it is ever unpickled."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from spinecho.core.errors import DataError
from spinecho.core.state_header import KEY, fingerprint, header_of, header_text, metadata_of

_LARGEST_HALF = torch.finfo(torch.float16).max


def save_state(
    path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any], *, half: bool = False
) -> None:
    """Write tensors and metadata; the file has its name only once it is complete and on the disk.

    Parameters
    ----------
    tensors
        By name, on any device. A state dict, for example.
    metadata
        What JSON can hold.
    half
        Store float32 tensors as float16, in half the space; `load_state` gives float32 back.

    Raises
    ------
    DataError
        If the metadata are no JSON, a value is too large for float16, or the file cannot be written.
    """
    stored = {name: _stored(name, t, half) for name, t in tensors.items()}
    text = header_text(metadata, _sha256(metadata, stored))
    _write(Path(path), save(stored, metadata={KEY: text}))


def load_state(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `save_state` wrote, on the CPU; float16 tensors come as float32.

    Raises
    ------
    DataError
        If the file is absent, cut off, changed, or not from `save_state`.
    """
    path = Path(path)
    metadata, expected = metadata_of(header_of(path), path)
    try:
        stored = load(path.read_bytes())
    except (SafetensorError, ValueError, KeyError, RuntimeError) as error:
        fault = f"its tensors cannot be read ({str(error).partition(chr(10))[0]}): the file is damaged"
        raise DataError(fault, do="fetch or write it again", file=path) from None
    if _sha256(metadata, stored) != expected:
        fault = "its content does not have the sha256 written in it: the file was damaged or changed"
        raise DataError(fault, do="fetch or write it again", file=path)
    return {name: t.float() if t.dtype == torch.float16 else t for name, t in stored.items()}, metadata


def _stored(name: str, tensor: Tensor, half: bool) -> Tensor:
    tensor = tensor.detach().to("cpu", copy=True).contiguous()
    if not half or tensor.dtype != torch.float32:
        return tensor
    if bool((tensor.abs() > _LARGEST_HALF).any()):
        raise DataError(
            f"{name} has values over {_LARGEST_HALF:.0f}, too large for float16", do="store it with half=False"
        )
    return tensor.half()


def _sha256(metadata: Mapping[str, Any], stored: Mapping[str, Tensor]) -> str:
    parts = (
        (n, str(t.dtype), tuple(t.shape), t.flatten().view(torch.uint8).numpy().tobytes()) for n, t in stored.items()
    )
    return fingerprint(metadata, parts)


def _write(path: Path, content: bytes) -> None:
    """Write beside, sync, rename (`io.atomic` does the same for images, and may not be imported from here)."""
    target = Path(os.path.realpath(path))
    temporary = target.parent / f".partial-{os.getpid()}-{secrets.token_hex(4)}-{target.name[-100:]}"
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except OSError as error:
        do = "check the folder, its permissions and the space on the disk"
        raise DataError(f"it cannot be written: {error.strerror or error}", do=do, file=path) from None
    finally:
        temporary.unlink(missing_ok=True)
