"""The brightness that images of one contrast share: no scanner's units mean anything, and methods see none."""

from __future__ import annotations

import numpy as np
from jaxtyping import Real
from torch import Tensor

from spinecho.metrics.inside import inside

_TOP = 0.999
"""Share of the brightest voxels that say nothing about the object: vessels, fat of the skin"""


def level(values: Real[Tensor, "z y x"]) -> float:
    """Twice the median over 0 inside the object (`metrics.inside`), so that a head is about 0.5; 0 without an object.

    The median of a brain is that of its white matter's edge, which disease, vessels and fluid hardly move.
    """
    values = values.detach().cpu().double().clamp_min(0)
    lit = values[values > 0].numpy()
    if not lit.size:
        return 0.0
    kept = values[inside(values.clamp_max(float(np.quantile(lit, _TOP)))) & (values > 0)].numpy()
    return 2 * float(np.median(kept)) if kept.size else 0.0
