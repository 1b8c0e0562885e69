"""Finite differences of an image along its axes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from spinecho.ops.linop import LinearOperator


class Differences(LinearOperator):
    """(D x)_d = x(r + e_d) - x(r) along each of the given axes, stacked first: (*) to (axis, *). Edges are periodic.

    |D^H D| is 4 times the number of axes. Axes of length one give zeros.
    """

    def __init__(self, dims: Sequence[int] = (-3, -2, -1)) -> None:
        super().__init__()
        self.dims = tuple(dims)

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([x.roll(-1, d) - x for d in self.dims])

    def adjoint(self, y: Tensor) -> Tensor:
        return torch.stack([y[i].roll(1, d) - y[i] for i, d in enumerate(self.dims)]).sum(0)

    def normal(self, x: Tensor) -> Tensor:
        """D^H D x = sum_d 2 x(r) - x(r + e_d) - x(r - e_d)."""
        out = 2 * len(self.dims) * x
        for d in self.dims:
            out = out - x.roll(1, d) - x.roll(-1, d)
        return out
