"""What a frozen network of this package sees in pictures, and how far two groups are apart in it."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from spinecho.methods.pretrained import built

NETWORK = ("denoise", "unet")
"""Whose features: it never saw the pictures' people, and was not trained on heads"""
_LEVEL = 0.05
"""The noise level it gets as input"""
_AT_ONCE = 64


def seen(pictures: Float[Tensor, "n y x"], device: torch.device) -> Float[Tensor, "n features"]:
    """Mean and standard deviation over the picture of each channel at the network's coarsest level."""
    network: Any = built(NETWORK[0], NETWORK[1], {}, device)
    kept: list[Tensor] = []
    hook = network.network.bottom.register_forward_hook(lambda module, inputs, output: kept.append(output.detach()))
    try:
        with torch.inference_mode():
            for some in pictures.to(device).split(_AT_ONCE):
                network.estimate(some.to(torch.complex64), torch.full([len(some)], _LEVEL, device=device))
    finally:
        hook.remove()
    flat = torch.cat(kept).flatten(2).double().cpu()
    return torch.cat([flat.mean(2), flat.std(2)], 1)


def kernel_distance(one: Float[Tensor, "n d"], other: Float[Tensor, "m d"]) -> float:
    """Unbiased squared distance of the means under the kernel (x y / d + 1)^3; features scaled by the other group.

    It is 0 on average for groups of one distribution, and may then be below 0.

    Source: Binkowski et al. 2018, arXiv:1801.01401 (kernel inception distance), with other features.
    """
    spread = other.std(0)
    used = spread > 0
    a, b = ((x[:, used] - other.mean(0)[used]) / spread[used] for x in (one, other))
    kernel = lambda x, y: (x @ y.T / x.shape[1] + 1) ** 3  # noqa: E731
    within = [(k.sum() - k.diagonal().sum()) / (len(k) * (len(k) - 1)) for k in (kernel(a, a), kernel(b, b))]
    return float(within[0] + within[1] - 2 * kernel(a, b).mean())
