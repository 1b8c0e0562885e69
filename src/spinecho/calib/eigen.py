"""Leading eigenvectors of many small Hermitian matrices, one per pixel, with a phase that means something."""

from __future__ import annotations

import torch
from jaxtyping import Complex, Float
from torch import Tensor


def dominant_vectors(
    G: Complex[Tensor, "pixel coil coil"], n_maps: int
) -> list[tuple[Complex[Tensor, "pixel coil"], Float[Tensor, " pixel"]]]:
    """The n_maps leading eigenvectors and eigenvalues of each matrix, by squaring: G^64 (two maps: G^512).

    Eigenvalues lie in [0, 1], as those of a mean of projections do; vectors are zero where all of them nearly vanish.
    """
    pairs: list[tuple[Tensor, Tensor]] = []
    for _ in range(n_maps):
        B = G
        for i in range(6 if n_maps == 1 else 9):
            B = B @ B
            if i % 3 == 2:  # eight multiplications in between leave room above the smallest float
                trace = B.diagonal(dim1=-2, dim2=-1).real.sum(-1)
                gain = torch.where(trace > torch.finfo(trace.dtype).tiny, 1 / trace, 0.0)
                torch.view_as_real(B).mul_(gain[:, None, None, None])
        column = B.diagonal(dim1=-2, dim2=-1).real.T.contiguous().argmax(0)
        v = B[torch.arange(B.shape[0], device=B.device), :, column]
        v = torch.nn.functional.normalize(v, dim=-1, eps=torch.finfo(G.real.dtype).tiny)
        w = (G @ v[..., None]).squeeze(-1)
        value = (v.conj() * w).sum(-1).real
        pairs.append((v, value))
        if n_maps > 1:
            Q = torch.eye(G.shape[-1], dtype=G.dtype, device=G.device) - v[..., None] * v[..., None, :].conj()
            G = Q @ G @ Q
    return pairs


def with_zero_phase(
    v: Complex[Tensor, "*batch pixel coil"], reference: Complex[Tensor, "*batch coil"]
) -> Complex[Tensor, "*batch pixel coil"]:
    """v times the phase that makes reference^H v real and positive."""
    p = (v @ reference.conj()[..., None])[..., 0]
    return v * torch.where(p == 0, 1, torch.sgn(p)).conj()[..., None]


def principal_coil(calib: Complex[Tensor, "coil c2 c1 c0"]) -> Complex[Tensor, " coil"]:
    """The combination of coils with the most energy, as a unit vector.

    The sum of |z|^2 z over its data z is real and positive: that phase is decided by the strongest samples together: rounding, which differs between devices, cannot turn it.
    """
    y = calib.flatten(1)
    v = torch.linalg.eigh(y @ y.mH)[1][:, -1]
    z = v.conj() @ y
    return v * torch.sgn((z * z.abs().square()).sum())
