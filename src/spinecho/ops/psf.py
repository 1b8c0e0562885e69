"""Cartesian SENSE in hybrid space: Fourier transforms only along the axes that were undersampled."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
from jaxtyping import Bool, Complex
from torch import Tensor

from spinecho.ops.fourier import centring, convolve, fft, plain_fft, plain_ifft, spectrum_order
from spinecho.ops.hybrid import HybridSamples
from spinecho.ops.linop import LinearOperator, norms

_CHUNK = {"cpu": 2**18}
"""Coil-image elements that the normal operator holds at a time: what fits a CPU's caches (2 MB in complex64) ..."""

_LARGE_CHUNK = 2**22
"""... and elsewhere what bounds the memory for volumes."""


def undersampled_axes(mask: Bool[Tensor, "*batch 1 #k2 #k1 #k0"]) -> tuple[int, ...]:
    """Axes among (-3, -2, -1) along which the mask changes; along the others all was measured alike."""
    return tuple(dim for dim in (-3, -2, -1) if bool((mask != mask.narrow(dim, 0, 1)).any()))


def once(csm: Tensor) -> Tensor:
    """Maps that were expanded over batch axes (frames share theirs) back to one copy."""
    for dim in range(csm.ndim - 5):
        if csm.stride(dim) == 0:
            csm = csm.narrow(dim, 0, 1)
    return csm


def _support(csm: Tensor, full: tuple[int, ...]) -> tuple[int, int, int]:
    """(axis, start, length) of a stretch that holds all that the maps cover along the longest fully sampled axis.

    Its length is a multiple of 16 where the axis is long enough: wavelets halve it again and again.
    """
    if not full:
        return -1, 0, csm.shape[-1]
    dim = max(full, key=lambda d: int(csm.shape[d]))
    reached = (csm.detach() != 0).movedim(dim, -1).flatten(0, -2).any(0).nonzero()
    if len(reached) == 0:
        return dim, 0, csm.shape[dim]
    first, n = int(reached[0]), int(csm.shape[dim])
    length = min(n, -(-(int(reached[-1]) + 1 - first) // 16) * 16)
    return dim, min(first, n - length), length


class CartesianSense(LinearOperator):
    """A x = P F S x with a normal operator that transforms only the undersampled axes.

    Where the mask P does not change along an axis (the readout, always; k1 and k2 where they are full), the Fourier
    transform along it commutes with P and leaves A^H A. What remains for each readout position on its own is

        (A^H A x)(r) = sum_c conj(S_c(r)) (psf * (S_c x))(r),   psf = F^-1 P,

    a Hadamard product of the coils' Gram matrix with the point spread function. Circular convolution commutes with
    shifts, so images stay centred and only the mask is put into FFT order, once.

    `normal` takes images as they are. Solvers avoid two copies per call with the inner layout, in which the
    undersampled axes come last (`enter`, `inner_normal`, `leave`).

    Parameters
    ----------
    mask
        True where measured, every axis broadcastable.
    csm
        Coil maps. Shapes: x (*batch, map, z, y, x), y (*batch, coil, k2, k1, k0).
    cut
        Whether the inner layout leaves out readout positions that no map reaches. Without it the work on one entry of a
        batch does not depend on the others' maps, not even by its rounding (wavelets see the layout's edges).

    Source: Pruessmann et al. 2001, doi:10.1002/mrm.1241, eq. 10, for the separate readout: Pruessmann 1999, section
    "2D-Fourier imaging"; ours measures which axes are separate.
    """

    mask: Tensor
    maps: Tensor
    maps_conj: Tensor
    response: Tensor
    turn: Tensor

    def __init__(
        self,
        mask: Bool[Tensor, "*#batch 1 #k2 #k1 #k0"],
        csm: Complex[Tensor, "*#batch map coil z y x"],
        *,
        cut: bool = True,
    ) -> None:
        super().__init__()
        self.dims = undersampled_axes(mask)
        full = tuple(d for d in (-3, -2, -1) if d not in self.dims)
        self._order = (*full, *self.dims)
        self.inner_dims = tuple(range(-len(self.dims), 0))
        """the undersampled axes in the inner layout; x along the others is independent of its neighbours"""
        csm = once(csm)
        self._shape = tuple(csm.shape[-3:])
        self._window = _support(csm, full if cut else ())
        self.register_buffer("mask", mask, persistent=False)
        self.register_buffer("maps", self.enter(csm), persistent=False)
        self.register_buffer("maps_conj", self.maps.conj().resolve_conj(), persistent=False)
        for dim in full:
            mask = mask.narrow(dim, 0, 1)
        response = self.enter(spectrum_order(mask, self.dims)).to(csm.real.dtype)
        self.register_buffer("response", response, persistent=False)
        self.samples = HybridSamples(mask, self.dims, self._shape, csm)
        self.register_buffer("turn", _turn([self._shape[d] for d in self.dims], csm), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return fft(self.leave(self._expand(self.enter(x), self.maps))) * self.mask

    def adjoint(self, y: Tensor) -> Tensor:
        return self.leave(self.inner_adjoint(y))

    def normal(self, x: Tensor) -> Tensor:
        """A^H A x by the point spread function."""
        return self.leave(self.inner_normal(self.enter(x)))

    def enter(self, x: Tensor) -> Tensor:
        """Image axes (z, y, x) to the inner layout; readout positions where no map reaches are left out."""
        dim, start, length = self._window
        if x.shape[dim] > 1:
            x = x.narrow(dim, start, length)
        return x.movedim(self._order, (-3, -2, -1)).contiguous()

    def leave(self, x: Tensor) -> Tensor:
        """The inverse of `enter`, with zeros where no map reaches."""
        dim, start, length = self._window
        x = x.movedim((-3, -2, -1), self._order)
        n = self._shape[dim]
        if length == n:
            return x.contiguous()
        before, after = list(x.shape), list(x.shape)
        before[dim], after[dim] = start, n - start - length
        return torch.cat([x.new_zeros(before), x, x.new_zeros(after)], dim)

    def inner_adjoint(self, y: Tensor) -> Tensor:
        """A^H y in the inner layout."""
        rows, _ = self._window_of(self.samples.rows(y))
        return _total(self._gathered(part, conj) for part, _, conj in self._coil_groups(rows)) * self.turn

    def residual(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """|A x - y| of each batch entry and A^H (A x - y); transforms along the undersampled axes alone (Parseval)."""
        rows, outside = self._window_of(self.samples.rows(y))
        x = self.enter(x) * self.turn.conj()
        n_batch = y.ndim - 4
        sizes, images = [norms(part, n_batch) for part in outside if part.numel()], list[Tensor]()
        for part, maps, maps_conj in self._coil_groups(rows):
            error = self.samples.pick(plain_fft(self._expand(x, maps), self.inner_dims)) - part
            sizes.append(norms(error, n_batch))
            images.append(self._gathered(error, maps_conj))
        return torch.stack(sizes).square().sum(0).sqrt(), self.leave(_total(images) * self.turn)

    def misfit(self, x: Tensor, y: Tensor) -> Tensor:
        """A x - y where something was measured, in an order of its own, (*batch, n): its norms and inner products are
        those of the samples (Parseval)."""
        rows, outside = self._window_of(self.samples.rows(y))
        x = self.enter(x) * self.turn.conj()
        n_batch = y.ndim - 4
        parts = [-part for part in outside]
        for part, maps, _ in self._coil_groups(rows):
            parts.append(self.samples.pick(plain_fft(self._expand(x, maps), self.inner_dims)) - part)
        return torch.cat([part.flatten(n_batch) for part in parts], -1)

    def _coil_groups(self, rows: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """(rows, maps, maps_conj) of a few coils at a time."""
        axis = len(self.dims) - 5
        one = rows.numel() // max(1, rows.shape[axis] * rows.shape[-1]) * self.samples.size
        step = max(1, self._chunk(rows) // max(1, one))
        yield from zip(
            _split(rows, axis, step), _split(self.maps, -4, step), _split(self.maps_conj, -4, step), strict=True
        )

    def _gathered(self, rows: Tensor, maps_conj: Tensor) -> Tensor:
        """Rows in hybrid space to an image in the inner layout that lacks the factor `turn`."""
        return self._combine(plain_ifft(self.samples.spread(rows), self.inner_dims), maps_conj)

    def _window_of(self, rows: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Rows at the readout positions that maps reach, and at those before and after them."""
        dim, start, length = self._window
        if length == self._shape[dim]:
            return rows, ()
        axis = self._order.index(dim) + len(self.dims) - 4
        after = start + length
        inside, end = rows.narrow(axis, start, length), self._shape[dim] - after
        return inside, (rows.narrow(axis, 0, start), rows.narrow(axis, after, end))

    def inner_normal(self, x: Tensor) -> Tensor:
        """A^H A x in the inner layout, a few readout positions (where there are none: a few coils) at a time."""
        apart = [d for d in range(-3, -len(self.dims)) if x.shape[d] > 1]
        if not apart:
            step = max(1, self._chunk(x) * self.maps.shape[-5] // x.numel())
            parts = zip(_split(self.maps, -4, step), _split(self.maps_conj, -4, step), strict=True)
            return _total(self._gram(x, *part, self.response) for part in parts)
        operands = (x, self.maps, self.maps_conj, self.response)
        axis = max(apart, key=lambda d: int(x.shape[d]))
        n_positions = x.shape[axis]
        step = max(1, self._chunk(x) * n_positions // (x.numel() * self.maps.shape[-4]))
        if step >= n_positions:
            return self._gram(*operands)
        parts = [self._gram(*(_cut(t, axis, i, step) for t in operands)) for i in range(0, n_positions, step)]
        return torch.cat(parts, axis)

    @staticmethod
    def _chunk(x: Tensor) -> int:
        return _CHUNK.get(x.device.type, _LARGE_CHUNK)

    def _gram(self, x: Tensor, maps: Tensor, maps_conj: Tensor, response: Tensor) -> Tensor:
        return self._combine(convolve(self._expand(x, maps), response, self.inner_dims), maps_conj)

    @staticmethod
    def _expand(x: Tensor, maps: Tensor) -> Tensor:
        return maps.squeeze(-5) * x if maps.shape[-5] == 1 else (maps * x.unsqueeze(-4)).sum(-5)

    @staticmethod
    def _combine(y: Tensor, maps_conj: Tensor) -> Tensor:
        if maps_conj.shape[-5] == 1:
            return (maps_conj.squeeze(-5) * y).sum(-4, keepdim=True)
        return (maps_conj * y.unsqueeze(-5)).sum(-4)


def _total(parts: Iterable[Tensor]) -> Tensor:
    """The sum of arrays that nobody else holds."""
    parts = iter(parts)
    total = next(parts)
    for part in parts:
        total = total.add_(part)
    return total


def _turn(sizes: Sequence[int], like: Tensor) -> Tensor:
    """Phases that centre the image of `plain_ifft` along the last axes."""
    turn = like.real.new_ones(())
    for n in sizes:
        turn = turn[..., None] * centring(n, like)[1]
    return turn


def _split(x: Tensor, axis: int, step: int) -> list[Tensor]:
    n = int(x.shape[axis])
    return [x.narrow(axis, i, min(step, n - i)) for i in range(0, n, step)]


def _cut(x: Tensor, axis: int, start: int, step: int) -> Tensor:
    """Positions start to start + step along an axis, unless x is the same along it."""
    n = x.shape[axis]
    return x if n == 1 else x.narrow(axis, start, min(step, n - start))
