"""Measured samples in hybrid space: k along the undersampled axes, image positions along the others."""

from __future__ import annotations

import math
from collections.abc import Sequence

from jaxtyping import Bool
from torch import Tensor, nn

from spinecho.ops.fourier import centring, ifft


class HybridSamples(nn.Module):
    """Where a mask measured, as a list, and the way from samples to it: nothing is transformed that was not measured.

    Parameters
    ----------
    mask
        True where measured; it changes along dims only.
    dims
        The undersampled axes among (-3, -2, -1).
    grid
        Sizes (k2, k1, k0).
    like
        Gives the precision and the device.

    Shapes: y (*batch, coil, k2, k1, k0), as measured; rows (*batch, coil, *full, measured), with the fully sampled
    axes as image positions; hybrid (*batch, coil, *full, *dims), ready for `plain_ifft` along dims.
    """

    index: Tensor
    phase: Tensor
    measured: Tensor | None

    def __init__(
        self, mask: Bool[Tensor, "*#batch 1 #k2 #k1 #k0"], dims: Sequence[int], grid: Sequence[int], like: Tensor
    ) -> None:
        super().__init__()
        self._dims, self._n_full = tuple(dims), 3 - len(dims)
        self._sizes = tuple(grid[d] for d in dims)
        self.size = math.prod(self._sizes)
        """Positions along the undersampled axes together."""
        for d in {-3, -2, -1} - set(dims):
            mask = mask.narrow(d, 0, 1)
        each = mask.expand(*mask.shape[:-3], *(grid[d] if d in dims else 1 for d in (-3, -2, -1))).flatten(-3)
        index = each.flatten(0, -2).any(0).nonzero()[:, 0]
        phase = like.real.new_ones(1)
        for n in self._sizes:
            phase = (phase[:, None] * centring(n, like)[0]).flatten()
        alike = all(n == 1 for n in each.shape[:-1])
        self.register_buffer("index", index, persistent=False)
        self.register_buffer("phase", phase[index], persistent=False)
        self.register_buffer("measured", None if alike else each[..., index], persistent=False)

    def rows(self, y: Tensor) -> Tensor:
        """Measured samples, transformed along the fully sampled axes and with the phases that `plain_ifft` needs."""
        n_full, n_dims = self._n_full, len(self._dims)
        y = y.movedim(self._dims, tuple(range(-3, n_dims - 3)))
        y = y.flatten(-3, n_dims - 4) if n_dims else y.unsqueeze(-4)
        picked = y.index_select(-n_full - 1, self.index)
        positions = [d for d in range(-n_full, 0) if picked.shape[d] > 1]
        rows = (ifft(picked, positions) if positions and picked.numel() else picked).movedim(-n_full - 1, -1)
        return self._masked(rows * self.phase)

    def pick(self, hybrid: Tensor) -> Tensor:
        """What a hybrid array holds where something was measured."""
        flat = hybrid.reshape(*hybrid.shape[: hybrid.ndim - len(self._dims)], self.size)
        return self._masked(flat.index_select(-1, self.index))

    def spread(self, rows: Tensor) -> Tensor:
        """Rows back in their places, zeros elsewhere: the adjoint of `pick`."""
        flat = rows.new_zeros(*rows.shape[:-1], self.size).index_copy_(-1, self.index, rows)
        return flat.reshape(*rows.shape[:-1], *self._sizes)

    def _masked(self, rows: Tensor) -> Tensor:
        """Zeros where an entry of the batch did not measure what another one did."""
        if self.measured is None:
            return rows
        return rows * self.measured.reshape(*self.measured.shape[:-1], *[1] * self._n_full, -1)
