"""Changes to pictures that a critic sees, through which gradients pass: with few pictures it learns none by heart."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

_SHIFT, _HOLE = 1 / 8, 0.4
"""Of the side: the largest shift, and the side of the square that is blanked"""
_LIGHT, _CONTRAST = 0.25, 0.5
"""Largest change of brightness (of a range from -1 to 1), and of contrast as a share"""
BLANK = -1.0
"""Black"""


def drawn(n: int, device: torch.device) -> Float[Tensor, "6 n 1 1 1"]:
    """Changes for n pictures, or one for all (n = 1), from torch's own state, which the training sets for each step."""
    return torch.rand(6, n, 1, 1, 1, device=device) * 2 - 1


def augmented(x: Float[Tensor, "n 1 y x"], change: Float[Tensor, "6 #n 1 1 1"]) -> Float[Tensor, "n 1 y x"]:
    """Shifted, with a square blanked, brighter or darker, of more or less contrast.

    A critic that sees how much pictures differ is to see them all changed alike: what is drawn for each by itself hides
    that a maker makes one and the same.

    Source: Zhao et al. 2020, arXiv:2006.10738 (differentiable augmentation: colour, translation, cutout).
    """
    n, size = len(x), x.shape[-1]
    light, contrast, dy, dx, hy, hx = change.unbind()
    mean = x.mean((1, 2, 3), keepdim=True)
    x = (x - mean) * (1 + _CONTRAST * contrast) + mean + _LIGHT * light
    most = round(_SHIFT * size)
    wide = F.pad(x, [most] * 4, value=BLANK)
    base = torch.arange(size, device=x.device)
    rows = base + most + (dy[:, 0, 0] * most).round().long()
    columns = base + most + (dx[:, 0, 0] * most).round().long()
    places = torch.arange(n, device=x.device)[:, None, None]
    x = wide[places, 0, rows[:, :, None], columns[:, None, :]][:, None]
    half = _HOLE * size / 2
    away = [(base[None] - (h[:, 0, 0] + 1) / 2 * (size - 1)).abs() < half for h in (hy, hx)]
    hole = (away[0][:, :, None] & away[1][:, None, :])[:, None]
    return x.masked_fill(hole, BLANK)
