"""What reconstruction networks are trained on: distances of a magnitude image from its truth."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

_IMAGE = (-4, -3, -2, -1)


def image_loss(x: Tensor, target: Float[Tensor, "*batch 1 z y x"], ssim_weight: float = 0.1) -> Tensor:
    """| |x| - t | / |t| + ssim_weight (1 - SSIM), mean over the batch.

    The relative norm (not squared) gives easy and hard acquisitions like weight and does not depend on the scale.

    Parameters
    ----------
    x
        Image (*batch, 1, z, y, x), complex or real; its magnitude counts.
    """
    prediction = x.abs()
    size = torch.linalg.vector_norm(target, dim=_IMAGE).clamp_min(1e-30)
    distance = torch.linalg.vector_norm(prediction - target, dim=_IMAGE) / size  # its derivative at 0 is 0
    return distance.mean() + ssim_weight * (1 - ssim(prediction, target))


def ssim(x: Float[Tensor, "*batch 1 z y x"], target: Float[Tensor, "*batch 1 z y x"], window: int = 7) -> Tensor:
    """Structural similarity with a uniform window and the target's maximum as range, mean over batch and slices.

    Source: Wang et al. 2004, doi:10.1109/TIP.2003.819861, with the constants 0.01 and 0.03.
    """
    peak = target.amax(_IMAGE, keepdim=True).clamp_min(1e-30)
    a, b = ((v / peak).reshape(-1, 1, *v.shape[-2:]) for v in (x, target))
    mean = lambda v: F.avg_pool2d(v, window, 1)  # noqa: E731
    n = window**2
    ma, mb = mean(a), mean(b)
    va, vb, cov = (
        n / (n - 1) * (mean(p * q) - mp * mq) for p, q, mp, mq in ((a, a, ma, ma), (b, b, mb, mb), (a, b, ma, mb))
    )
    c1, c2 = 0.01**2, 0.03**2
    similar = (2 * ma * mb + c1) * (2 * cov + c2) / ((ma.square() + mb.square() + c1) * (va + vb + c2))
    return similar.mean()
