"""Piecewise linear curves of brightness, one for each pair of contrasts."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor


def read_curves(
    curves: Float[Tensor, "pair knot"], x: Float[Tensor, "n z y x"], which: Int[Tensor, " n"], top: float
) -> Float[Tensor, "n z y x"]:
    """f(x) between the two knots beside x.

    Parameters
    ----------
    which
        Curve of each entry.
    top
        Brightness of the last knot (the first lies at 0); what is brighter counts as this.
    """
    n = curves.shape[1]
    at = x.clamp(0, top) * ((n - 1) / top)
    below = at.floor().clamp_max(n - 2)
    low = below.long() + (which * n)[:, None, None, None]
    flat = curves.flatten()
    return torch.lerp(flat[low], flat[low + 1], at - below)
