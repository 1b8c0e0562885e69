"""Pieces of a finding: what hangs together, how large each is, and scores without those that are too small."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

_FAR = 30.0


def pieces(where: Bool[Tensor, "z y x"]) -> tuple[Tensor, Tensor]:
    """A number for each voxel's piece (faces and edges and corners join), 0 outside; voxels of each number."""
    from scipy.ndimage import label  # slow to import

    numbered: np.ndarray = np.zeros(where.shape, dtype=np.int32)
    n = label(where.cpu().numpy(), np.ones((3, 3, 3)), output=numbered)
    assert isinstance(n, int)
    marked = torch.from_numpy(numbered).long().to(where.device)
    return marked, torch.bincount(marked.flatten(), minlength=n + 1)


def without_small(scores: Float[Tensor, "c z y x"], least: float, share: float = 0.0) -> Float[Tensor, "c z y x"]:
    """Scores with pieces given to class 0 that have fewer voxels than `least`, or than a share of the largest one."""
    marked, sizes = pieces(scores.argmax(0) > 0)
    largest = float(sizes[1:].max()) if len(sizes) > 1 else 0.0
    return _dropped(scores, marked, sizes < max(least, share * largest))


def with_seeds(scores: Float[Tensor, "c z y x"], seeds: Bool[Tensor, "z y x"], least: float) -> Tensor:
    """Scores with pieces given to class 0 that have fewer seeds than `least`, or none."""
    marked, sizes = pieces(scores.argmax(0) > 0)
    return _dropped(scores, marked, torch.bincount(marked[seeds], minlength=len(sizes)) < max(1.0, least))


def _dropped(scores: Tensor, marked: Tensor, small: Bool[Tensor, " piece"]) -> Tensor:
    gone = small.index_fill(0, torch.tensor([0], device=small.device), False)[marked]
    if not bool(gone.any()):
        return scores
    tidy = scores.clone()
    tidy[0] = torch.where(gone, scores.amax(0) + _FAR, scores[0])
    return tidy
