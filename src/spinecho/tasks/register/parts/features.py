"""Features that do not change with the contrast: MIND-SSC, and the posteriors of a small network."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from spinecho.ops.windows import box_sum

_NEIGHBOURS = ((0, 1, 1), (1, 1, 0), (1, 0, 1), (1, 1, 2), (2, 1, 1), (1, 2, 1))
"""The six neighbours of a voxel, in a cube of 3^3 with the voxel in the middle"""


def mind(image: Float[Tensor, "1 z y x"], radius: int = 1, distance: int = 2) -> Float[Tensor, "12 z y x"]:
    """Self-similarity about each voxel: exp(-D / sigma^2) for the 12 pairs of neighbouring sides, 0 to 1.

    D is the sum of squared differences of the patches about two of the six neighbours that stand at a right angle.

    Source: Heinrich et al. 2013, doi:10.1007/978-3-642-40811-3_24 (self-similarity context). How we differ: sigma^2 is
    the voxel's mean D, kept between 0.001 and 1000 times the image's mean; the least D of a voxel counts as 0.

    Parameters
    ----------
    radius
        Of the patches, voxels.
    distance
        Of the neighbours, voxels.
    """
    sides = torch.tensor(_NEIGHBOURS) - 1
    apart = (sides[:, None] - sides[None]).square().sum(-1)
    pairs = [(i, j) for i in range(6) for j in range(i) if int(apart[i, j]) == 2]
    size = image.shape[-3:]
    padded = F.pad(image[None], [distance] * 6, mode="replicate")[0]
    at = [
        padded[:, z : z + size[0], y : y + size[1], x : x + size[2]]
        for z, y, x in ((distance * (1 + s)).tolist() for s in sides)
    ]
    differences = torch.cat([box_sum((at[i] - at[j]).square(), radius) for i, j in pairs])
    differences -= differences.amin(0)
    variance = differences.mean(0)
    middle = variance.mean().clamp_min(torch.finfo(variance.dtype).tiny)
    return differences.div_(variance.clamp(middle * 1e-3, middle * 1e3)).neg_().exp_()
