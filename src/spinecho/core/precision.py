"""Physics stays in float32 when networks run in less; where processors multiply bfloat16 faster, networks may."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch


def full_precision(like: torch.Tensor) -> torch.autocast:
    """A context that switches automatic mixed precision off: for Fourier transforms, data consistency, losses."""
    return torch.autocast(like.device.type, enabled=False)


def network_precision(like: torch.Tensor, *, exact: bool = False) -> torch.autocast:
    """A context for trained networks at work: in bfloat16 where that is faster, unless `exact`.

    That is so on processors with matrix units for it (AMX) or vector products of it (AVX-512 BF16: convolutions take
    half of the time). Elsewhere, GPUs among them, what is set stays as it is.
    """
    kind = like.device.type
    if exact or kind != "cpu" or not multiplies_bfloat16():
        return torch.autocast(kind, torch.get_autocast_dtype(kind), torch.is_autocast_enabled(kind))
    return torch.autocast(kind, torch.bfloat16)


@cache
def multiplies_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 faster than float32, and this torch can tell."""
    ask: Callable[[], dict[str, Any]] | None = getattr(torch.cpu, "get_capabilities", None)
    told = ask() if ask is not None else {}
    matrices = bool(told.get("amx_bf16")) and bool(told.get("amx_tile"))
    return matrices or bool(told.get("avx512_bf16"))
