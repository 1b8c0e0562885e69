"""What a brain is not: in several pieces."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

_SHARE = 0.2
"""Pieces at least so large, relative to the largest, stay"""
_FAR = 30.0


def tidied(scores: Float[Tensor, "region z y x"]) -> Float[Tensor, "region z y x"]:
    """Scores with islands given to the outside: pieces of the brain (all regions but the first) that are small."""
    from scipy.ndimage import label

    brain = (scores.argmax(0) > 0).cpu().numpy()
    numbered: np.ndarray = np.zeros(brain.shape, dtype=np.int32)
    n = label(brain, output=numbered)
    if not isinstance(n, int) or n < 2:
        return scores
    pieces = torch.from_numpy(numbered).to(scores.device)
    sizes = torch.bincount(pieces.flatten(), minlength=n + 1)[1:]
    small = torch.cat([sizes.new_zeros(1, dtype=torch.bool), sizes < _SHARE * sizes.max()])[pieces.long()]
    tidy = scores.clone()
    tidy[0] = torch.where(small, scores.amax(0) + _FAR, scores[0])
    return tidy
