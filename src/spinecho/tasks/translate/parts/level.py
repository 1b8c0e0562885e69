"""The brightness that images of one contrast share: no scanner's units mean anything, and methods see none."""

from __future__ import annotations

import numpy as np
from jaxtyping import Real
from torch import Tensor

_TOP = 0.999
"""Share of the brightest voxels that say nothing about the object: vessels, fat of the skin"""
_DARK = 0.1
"""Of that brightness: what is darker (air beside the head, fluid in some contrasts) does not count"""


def level(values: Real[Tensor, "z y x"]) -> float:
    """Twice the median of what is not dark inside the object (`metrics.inside`): a head is about 0.5 of it; 0 without
    an object.

    The median of a brain is that of its white matter's edge, which disease, vessels and fluid hardly move.
    """
    from spinecho.metrics.inside import inside  # scipy.ndimage is slow to import

    values = values.detach().cpu().double().clamp_min(0)
    lit = values[values > 0].numpy()
    if not lit.size:
        return 0.0
    top = float(np.quantile(lit, _TOP))
    kept = values[inside(values.clamp_max(top)) & (values > _DARK * top)].numpy()
    return 2 * float(np.median(kept)) if kept.size else 0.0
