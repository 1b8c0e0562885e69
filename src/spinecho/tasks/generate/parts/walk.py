"""From one noise to another, along which every point is as likely as noise is."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def walk(one: Float[Tensor, "*shape"], other: Float[Tensor, "*shape"], n: int) -> Float[Tensor, "n *shape"]:
    """n points from one to the other, both among them, at equal angles: cos(a) one + sin(a) the part of the other that
    is orthogonal to it, with norms that go from one's to the other's.

    Source: Shoemake 1985, doi:10.1145/325334.325242 (slerp).
    """
    start, end = one.flatten().double(), other.flatten().double()
    sizes = start.norm(), end.norm()
    if not bool(sizes[0] > 0) or not bool(sizes[1] > 0):
        return torch.stack([torch.lerp(one, other, k / max(1, n - 1)) for k in range(n)])
    start, end = start / sizes[0], end / sizes[1]
    across = end - (start @ end) * start
    length = across.norm()
    across = across / length if bool(length > 0) else across
    angle = torch.atan2(length, start @ end)
    share = torch.linspace(0, 1, n, dtype=torch.float64, device=one.device)
    size = sizes[0] + share * (sizes[1] - sizes[0])
    points = (share * angle).cos()[:, None] * start + (share * angle).sin()[:, None] * across
    return (size[:, None] * points).reshape(n, *one.shape).to(one.dtype)
