"""Physics stays in float32 when networks run in less."""

from __future__ import annotations

import torch


def full_precision(like: torch.Tensor) -> torch.autocast:
    """A context that switches automatic mixed precision off: for Fourier transforms, data consistency, losses."""
    return torch.autocast(like.device.type, enabled=False)
