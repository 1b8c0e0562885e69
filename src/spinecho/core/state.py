"""Tensors with JSON metadata in a file (safetensors): for weights and checkpoints; nothing in it is ever unpickled."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from spinecho.core.errors import DataError
from spinecho.core.state_header import KEY, fingerprint, header_of, header_text, metadata_of

Bits = Literal[32, 16, 8]
_LARGEST_HALF = torch.finfo(torch.float16).max
_STEP, _STEPS = ".step of 8 bits", 127
"""What the name of a tensor's steps ends with; whole steps on either side of 0"""
_LEAST = 16
"""Values in a row for which steps of its own pay"""


def save_state(
    path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any], *, bits: Bits = 32
) -> None:
    """Write tensors and metadata; the file has its name only once it is complete and on the disk.

    Parameters
    ----------
    tensors
        By name, on any device. A state dict, for example.
    metadata
        What JSON can hold.
    bits
        For each value of a float32 tensor; `load_state` gives float32 back. 16: float16. 8: whole numbers of steps,
        where each place along the first axis has a step of its own (its largest value is 127 of them), so that a value
        is off by at most 0.4 % of the largest beside it; float16 for tensors of one axis and of short rows.

    Raises
    ------
    DataError
        If the metadata are no JSON, a value is too large for float16, or the file cannot be written.
    """
    stored = {n: part for name, t in tensors.items() for n, part in _stored(name, t, bits).items()}
    text = header_text(metadata, _sha256(metadata, stored))
    _write(Path(path), save(stored, metadata={KEY: text}))


def load_state(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `save_state` wrote, on the CPU; what was stored in 16 or 8 bits comes as float32.

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
    try:
        return _whole(stored), metadata
    except ValueError as error:
        raise DataError(str(error), do="fetch or write it again", file=path) from None


def _stored(name: str, tensor: Tensor, bits: Bits) -> dict[str, Tensor]:
    """What stands in the file for a tensor: itself, or its numbers of steps and these."""
    tensor = tensor.detach().to("cpu", copy=True).contiguous()
    if bits == 32 or tensor.dtype != torch.float32:
        return {name: tensor}
    if bool((tensor.abs() > _LARGEST_HALF).any()):
        do = "store it with bits=32"
        raise DataError(f"{name} has values over {_LARGEST_HALF:.0f}, too large for float16", do=do)
    if bits == 16 or tensor.ndim < 2 or tensor.numel() < _LEAST * max(1, len(tensor)):
        return {name: tensor.half()}
    step = tensor.flatten(1).abs().amax(1).reshape(-1, *[1] * (tensor.ndim - 1)) / _STEPS
    numbers = (tensor / step.clamp_min(torch.finfo(step.dtype).tiny)).round().to(torch.int8)
    return {name: numbers, name + _STEP: step}


def _whole(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors as they were before they were stored; steps that do not fit are told (ValueError)."""
    whole: dict[str, Tensor] = {}
    for name, tensor in stored.items():
        if name.endswith(_STEP) and name.removesuffix(_STEP) in stored:
            continue
        if (step := stored.get(name + _STEP)) is None:
            whole[name] = tensor.float() if tensor.dtype == torch.float16 else tensor
        elif tensor.dtype != torch.int8 or step.shape != (len(tensor), *[1] * (tensor.ndim - 1)):
            raise ValueError(f"{name} and the steps it is stored in do not fit each other")
        else:
            whole[name] = tensor * step
    return whole


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
