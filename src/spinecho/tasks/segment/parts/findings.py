"""What is looked for in a brain beside its regions: lesions and tumours, their labels, and what of them is judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Literal

import torch
from jaxtyping import Bool, Integer
from torch import Tensor

Finding = Literal["lesions", "tumour"]
"""What a method looks for"""

CONTRASTS = ("flair", "t1", "t2", "t1c")
"""Of images that may be given; t1c is T1 with contrast agent"""

LABELS: Mapping[str, tuple[int, ...]] = MappingProxyType({"lesions": (0, 1), "tumour": (0, 1, 2, 3, 4)})
"""What is written, in the order of scores"""

NAMES: Mapping[int, str] = MappingProxyType(
    {1: "lesion (of a tumour: necrosis)", 2: "oedema", 3: "tumour, not enhancing", 4: "tumour, enhancing"}
)

TARGETS: Mapping[str, Mapping[str, tuple[int, ...]]] = MappingProxyType(
    {
        "lesions": MappingProxyType({"lesions": (1,)}),
        "tumour": MappingProxyType({"whole": (1, 2, 3, 4), "enhancing": (4,)}),
    }
)
"""What is judged, and which labels it has; the first is everything that was looked for"""

SHARES: Mapping[str, float] = MappingProxyType({"lesions": 0.0, "tumour": 0.2})
"""Pieces smaller than that share of the largest are left out: lesions are many, a tumour is one thing"""


def is_any(labels: Integer[Tensor, "*grid"], which: Sequence[int]) -> Bool[Tensor, "*grid"]:
    """Where a label is one of several."""
    return torch.isin(labels, torch.tensor(which, dtype=labels.dtype, device=labels.device))
