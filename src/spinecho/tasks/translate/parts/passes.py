"""How far a network's answer moves when nothing that matters does: noise, and left for right."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

NOISE = 0.02
"""Standard deviation of what is added, in units of `level`: about that of a good scan"""


def spread(
    network: Callable[[Tensor], Tensor],
    seen: Float[Tensor, "c z y x"],
    first: Float[Tensor, "1 z y x"],
    passes: int,
    tell: Callable[[float], None] = lambda share: None,
) -> Float[Tensor, "1 z y x"]:
    """Standard deviation over passes: the first, made of the image as it is, and others of it with noise, mirrored.

    The noise is the same for every call; what is exactly 0 gets none, since it was masked.
    """
    made = [first]
    for number in range(1, passes):
        rng = torch.Generator().manual_seed(number)
        noise = NOISE * torch.randn(seen.shape, generator=rng).to(seen)
        turned = (seen + noise * (seen != 0)).flip(-1) if number % 2 else seen + noise * (seen != 0)
        one = network(turned).clamp_min(0)
        made.append(one.flip(-1) if number % 2 else one)
        tell((number + 1) / (passes + 1))
    return torch.stack(made).std(0)
