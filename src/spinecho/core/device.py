"""Where the work is done."""

from __future__ import annotations

from typing import Literal

import torch

from spinecho.core.errors import DataError, setting

DeviceName = Literal["auto", "cpu", "cuda"]


def choose(name: DeviceName) -> torch.device:
    """The device: `auto` is the GPU where there is one.

    Raises
    ------
    DataError
        If `cuda` is wanted and absent.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise DataError(
            "no CUDA device is usable here", do=f"use {setting('device', 'cpu')}, or check the driver with nvidia-smi"
        )
    return torch.device("cuda" if name == "cuda" or (name == "auto" and torch.cuda.is_available()) else "cpu")
