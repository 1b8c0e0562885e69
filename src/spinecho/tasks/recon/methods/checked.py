"""Several reconstructions, checked on samples that they have not seen, and their best mean; the learned default.

Source: Stone 1974, doi:10.1111/j.2517-6161.1974.tb00994.x (cross-validation); Breiman 1996, doi:10.1007/BF00117832
(weights from it). Some of the outer lines are left out, each candidate reconstructs without them and predicts them:

    e_i = A' x_i - y',    w = argmin |sum_i w_i e_i|^2,  w >= 0, sum w = 1   (all folds, each image by itself),

and the image is sum_i w_i x_i of reconstructions from all lines, after one more data consistency. Candidates are
`l1_wavelet`, `varnet` where the scan is inside its card, and from each of them `hqs_net` (where there are weights) and
the last steps of `pnp`; along a trajectory `nufft_cg` and `modl` in place of the first two. How we differ: coil maps,
noise level and starts are shared by candidates, and none is run in full that has no weight.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from spinecho.calib.centre import missing_calibration
from spinecho.calib.csm import estimate_csm
from spinecho.calib.noise import noise_sigma
from spinecho.core.errors import DataError, setting
from spinecho.core.image import Image
from spinecho.core.kspace import KSpace
from spinecho.solve.simplex import simplex_weights
from spinecho.tasks.recon.base import Recon
from spinecho.tasks.recon.methods import pnp
from spinecho.tasks.recon.methods._candidates import Candidates, Tools, tools
from spinecho.tasks.recon.parts.left_out import leave_out
from spinecho.tasks.recon.slices import by_slices, no_slices, settled

_LEAST = 0.02
"""Weights below it are left out: the image they would add is not worth its time."""
_BAD = 0.5
"""Share of the left-out samples' energy above the noise from which a prediction is called bad."""


@dataclass(frozen=True, kw_only=True)
class Config:
    folds: int = 2
    """times that lines are left out, 1 to 6: each costs about as much as the reconstruction"""
    denoiser: str | None = None
    """of pnp: a denoising method or its weights, by name or file; None: unet; none: without pnp"""
    hqs_net: str | None = None
    """weights of hqs_net by name or file; None: those of the package; none: without it"""
    network: str | None = None
    """weights of varnet (modl along a trajectory) by name or file; None: those of the package; none: without it"""
    n_steps: int = 10
    """steps of pnp"""
    first: float = 4.0
    """noise that the first of them takes away, relative to the scan's"""
    start_iters: int = 60
    """iterations of l1_wavelet (of nufft_cg a third)"""

    def __post_init__(self) -> None:
        if self.folds < 1:
            raise DataError(f"{setting('folds')} is {self.folds}", do="give 1 or more")


class Method(Recon):
    config: Config

    @classmethod
    def refusal(cls, kspace: KSpace) -> str | None:
        return missing_calibration(kspace)

    def forward(self, kspace: KSpace) -> Image:
        c = self.config
        steps = pnp.Config(n_steps=c.n_steps, first=c.first, start_iters=c.start_iters)
        chosen = tools(kspace, c.network, c.hqs_net, c.denoiser, steps)
        whole = settled(kspace) if kspace.is_cartesian else kspace

        def one(scan: KSpace) -> tuple[Tensor, ...]:
            return best_mean(scan, chosen, c.folds)

        apart = kspace.is_cartesian and no_slices(kspace) is None
        x, csm, weights, sizes = by_slices(whole, one) if apart else one(whole)
        image = kspace.image(x, csm=csm)
        header = image.header.noted(*chosen.notes, _told(chosen.names, weights, sizes)).warned(*_doubts(sizes))
        return replace(image, header=header)


def best_mean(kspace: KSpace, chosen: Tools, n_folds: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The image, its coil maps, the weights (*batch, n, 1, 1, 1), and the sizes that `_held_out` says."""
    csm = estimate_csm(kspace)
    batch = kspace.samples.shape[:-4]
    weights, sizes = _held_out(kspace, csm, chosen, n_folds)
    weights = torch.where(weights < _LEAST, 0, weights)
    weights = (weights / weights.sum(-1, keepdim=True)).expand(*batch, len(chosen.names))
    made = Candidates(kspace, csm, chosen)
    shares = {n: w.reshape(*batch, 1, 1, 1, 1) for n, w in zip(chosen.names, weights.unbind(-1), strict=True)}
    total = sum((w.to(csm.real.dtype) * made[name] for name, w in shares.items() if bool(w.any())), torch.zeros(()))
    numbers = (v.expand(*batch, v.shape[-1])[..., None, None, None].float() for v in (weights, sizes))
    return made.consistent(total), csm, *numbers


def _held_out(kspace: KSpace, csm: Tensor, chosen: Tools, n_folds: int) -> tuple[Tensor, Tensor]:
    """Weights (*batch, n), and over all folds (*batch, n + 3): |e_i|^2 of each candidate and |sum_i w_i e_i|^2, |y'|^2,
    and what the noise alone would give. Zeros, and all weight to the first, where nothing can be left out."""
    n = len(chosen.names)
    folds = leave_out(kspace, n_folds) if n > 1 else []
    if not folds:
        return torch.eye(n, device=kspace.device)[0], torch.zeros(n + 3, device=kspace.device)
    gram, energy, noise = torch.zeros((), dtype=torch.float64, device=kspace.device), 0.0, 0.0
    for fold in folds:
        made = Candidates(fold.kspace, csm, chosen)
        errors = torch.stack([fold.errors(made[name], csm) for name in chosen.names], -2)
        parts = torch.view_as_real(errors).flatten(-2).double()
        gram = gram + parts @ parts.mT
        energy = energy + fold.energy
        noise = noise + fold.count * noise_sigma(kspace) ** 2
    weights = simplex_weights(gram)
    best = (weights * (gram @ weights[..., None])[..., 0]).sum(-1)
    batch = best.shape
    others = [torch.as_tensor(v, device=best.device).expand(batch) for v in (best, energy, noise)]
    return weights, torch.cat([gram.diagonal(dim1=-2, dim2=-1), torch.stack(others, -1)], -1)


def _told(names: tuple[str, ...], weights: Tensor, sizes: Tensor) -> str:
    """The held-out errors and the weights, of the mean of all images."""
    n = len(names)
    totals = sizes.double().flatten(0, -5).sum(0).flatten(1).sum(-1) if sizes.ndim > 4 else sizes.flatten()
    noise = float(totals[n + 2])
    if not bool(totals.any()):
        why = "there is no other candidate" if n == 1 else "there are too few lines to leave any out"
        return f"checked: took {names[0]} unchecked, since {why}"
    unit, scale = ("x the noise's variance", noise) if noise > 0 else ("of their energy", float(totals[n + 1]))
    mean = weights.double().reshape(-1, n, *weights.shape[-3:]).mean((0, 2, 3, 4))
    each = ", ".join(f"{a} {t / scale:.3g} (weight {w:.2f})" for a, t, w in zip(names, totals, mean, strict=False))
    return f"checked: error on samples left out, {unit}: {each}; of their weighted mean {totals[n] / scale:.3g}"


def _doubts(sizes: Tensor) -> list[str]:
    """A warning where even the mean predicts badly."""
    return []
