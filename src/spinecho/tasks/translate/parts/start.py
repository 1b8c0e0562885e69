"""Where networks begin that change what `lookup` makes of an image, and what is done behind them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from spinecho.core.errors import DataError
from spinecho.methods.pretrained import built
from spinecho.tasks.translate.parts.contrasts import sides

if TYPE_CHECKING:
    from spinecho.tasks.translate.methods.lookup import Method as Lookup

TOP = 1.6
"""Brightness of the curves' last knot"""
_NEAR = 5
"""Pixels along a side: what is 0 and as large was masked"""


def curves_of(pairs: Sequence[str], asked: str) -> Float[Tensor, "pair knot"]:
    """The curves of the packaged `lookup` for pairs; of several contrasts that of the first.

    Parameters
    ----------
    asked
        The setting that asks for them, as `core.errors.setting` writes it.

    Raises
    ------
    DataError
        If it has none for a pair.
    """
    known = cast("Lookup", built("translate", "lookup", {}))
    assert known.config.top == TOP
    named = [f"{sides(pair)[0][0]}-{sides(pair)[1]}" for pair in pairs]
    if absent := [pair for pair, name in zip(pairs, named, strict=True) if name not in known.pairs]:
        problem = f"lookup has no curve for {', '.join(absent)}, from which a network could start"
        raise DataError(problem, do=f"leave it out of {asked}; there are curves for {', '.join(known.pairs)}")
    return known.curves[[known.pairs.index(name) for name in named]].detach().clone()


def lit(x: Float[Tensor, "n 1 y x"]) -> Float[Tensor, "n 1 y x"]:
    """1 where an image is not masked: holes of up to 4 pixels are dark fluid."""
    wide = F.max_pool2d((x != 0).to(x), _NEAR, 1, _NEAR // 2)
    return -F.max_pool2d(-wide, _NEAR, 1, _NEAR // 2)


def even(x: Float[Tensor, "n 1 y x"]) -> Float[Tensor, "n 1 y x"]:
    """(1 2 1)/4 along both axes: nothing is left of what alternates from pixel to pixel, as blocks of 2 x 2 may."""
    across = torch.tensor([0.25, 0.5, 0.25], dtype=x.dtype, device=x.device)
    return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), (across[:, None] * across)[None, None])
