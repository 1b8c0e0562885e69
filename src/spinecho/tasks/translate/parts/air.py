"""Where there is nothing: it is dark in every contrast, while the darkest tissue of one is the brightest of another."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from torch import Tensor, from_numpy

MASKED = 0.05
"""Share of voxels that are exactly 0 from which on an image counts as masked"""
DARK = 0.1
"""In units of `level`: air of images that are not masked is darker"""


def air(values: Float[Tensor, "z y x"]) -> Bool[Tensor, "z y x"]:
    """Dark voxels that hang together with the edges (not the faces, which may cut through a ventricle) of the volume.

    Of images that are masked (brain only) those are dark that are exactly 0: fluid at the brain's surface stays.
    """
    from scipy.ndimage import binary_propagation

    x = values.detach().cpu().numpy()
    dark = x == 0 if (x == 0).mean() > MASKED else x < DARK
    ends = [np.isin(np.arange(n), (0, n - 1)) & (n > 1) for n in x.shape]
    faces = sum(np.meshgrid(*(end.astype(np.int8) for end in ends), indexing="ij", copy=False))
    return from_numpy(np.asarray(binary_propagation((faces > 1) & dark, mask=dark))).to(values.device)
