"""Several reconstructions, checked on samples they have not seen, and averaged with the best weights.

Source: Stone 1974, doi:10.1111/j.2517-6161.1974.tb00994.x (cross-validation); Breiman 1996, doi:10.1007/BF00117832
(weights from it). Some of the outer lines are left out, each candidate reconstructs without them and predicts them:

    e_i = A' x_i - y',    w = argmin |sum_i w_i e_i|^2,  w >= 0, sum w = 1   (all folds, each image by itself),

and the image is sum_i w_i x_i of reconstructions from all lines, after one more data consistency. Candidates are
`l1_wavelet`, `varnet`, and what refines each of them in turns: from the first `hqs_net` and the last steps of `pnp`
(without `varnet` `hqs_net` once more); from `varnet` these steps of `pnp` (with half the weight after a network), then
`hqs_net`, then `pnp`. Each prior mends what the one before left or brought in. On a grid networks take part outside
their cards as well, and the history says so: of real heads at R = 16 that gained 0.1 to 2.4 dB (docs/results.md).
Along a trajectory `nufft_cg` and `modl` stand in place of the first two, with `pnp` in two strengths behind the first
and in the usual one behind the second.
How we differ: candidates share coil maps, noise level and starts. On a grid the maps are first made to cover the object
and to explain all samples (`_maps.mended`), those left out later among them: on four real slices at R = 8 that lowered
|e_i|^2 by 0.4 % at most, and the order of candidates stayed. A candidate without weight is not run in full; where lines
are left out all of them run shorter (half the steps of pnp and half the iterations of l1_wavelet).
If there are too few lines to spare, the image is that of `l1_wavelet` and `pnp`, which need no check.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from spinecho.calib.centre import missing_calibration
from spinecho.calib.noise import noise_sigma
from spinecho.calib.object_noise import with_object_noise
from spinecho.core.errors import DataError, setting
from spinecho.core.image import Image
from spinecho.core.kspace import KSpace
from spinecho.solve.simplex import simplex_weights
from spinecho.tasks.recon.base import Recon
from spinecho.tasks.recon.limits import brightest
from spinecho.tasks.recon.methods import pnp
from spinecho.tasks.recon.methods._candidates import Candidates, Tools, tools
from spinecho.tasks.recon.methods._maps import maps, mendable
from spinecho.tasks.recon.parts.left_out import leave_out
from spinecho.tasks.recon.slices import by_slices, no_slices, settled

_LEAST = 0.02
"""Weights below it are left out: the image they would add is not worth its time."""
_BAD, _HEARD = 0.85, 1.5
"""A warning is given where even the mean leaves this share of the signal in left-out samples unpredicted, provided that
their energy is so many times the noise's. Set on four real slices at R = 2 to 24: all eight cases below 24 dB inside
are warned of, and one of ten above (28 dB; an abdomen whose outer lines hold little)."""

_DROWNED = 0.11
"""Where the noise is over this part of the brightest pixel (as in no scan that the networks were trained on), the last
data consistency is left out: it brings back noise. Of simulated heads with a signal-to-noise ratio of 1.25 it cost up
to 2.4 dB."""

_MENDED = "coil maps made to cover the object and to explain all samples"


@dataclass(frozen=True, kw_only=True)
class Config:
    folds: int | None = None
    """times that every sixth line is left out, 1 to 6: each costs about half of the reconstruction; None: 2; where
    these are fewer than 12 lines 2 to 4 times every fourth; 1 where the mask scatters 1000 points and more"""
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
    start_iters: int | None = None
    """iterations of l1_wavelet (of nufft_cg a third of them); None: that method's own default (20)"""
    mend_maps: bool = True
    """on a grid: coil maps are made to cover the object and to explain all samples, not the calibration lines alone"""
    exact: bool = False
    """networks in float32 even where the processor is two to three times faster in bfloat16"""

    def __post_init__(self) -> None:
        if self.folds is not None and self.folds < 1:
            raise DataError(f"{setting('folds')} is {self.folds}", do="give 1 or more")


class Method(Recon):
    config: Config
    leans_on: ClassVar[tuple[tuple[str, str], ...]] = (
        ("recon", "varnet"),
        ("recon", "modl"),
        ("recon", "hqs_net"),
        ("denoise", "unet"),
    )

    @classmethod
    def refusal(cls, kspace: KSpace) -> str | None:
        return missing_calibration(kspace)

    def forward(self, kspace: KSpace) -> Image:
        c, chosen = self.config, tools_of(kspace, self.config)
        whole = settled(with_object_noise(kspace)) if kspace.is_cartesian else kspace
        level = noise_sigma(whole)  # where the object is; that of the receiver alone is what errors are measured in
        receiver = noise_sigma(kspace) / level if level > 0 else 1.0

        def one(scan: KSpace) -> tuple[Tensor, ...]:
            return best_mean(scan, maps(scan, c.mend_maps), chosen, c.folds, receiver)

        apart = kspace.is_cartesian and no_slices(kspace) is None
        x, csm, weights, sizes = by_slices(whole, one) if apart else one(whole)
        image = kspace.image(x, csm=csm)
        done = [_MENDED] if c.mend_maps and mendable(kspace) else []
        header = image.header.noted(*chosen.notes, *done, _told(chosen, weights, sizes)).warned(*_doubts(sizes))
        return replace(image, header=header)


def tools_of(kspace: KSpace, config: Config) -> Tools:
    """What a prepared scan is reconstructed with."""
    c = config
    steps = pnp.Config(n_steps=c.n_steps, first=c.first, start_iters=c.start_iters)
    return tools(kspace, c.network, c.hqs_net, c.denoiser, steps, exact=c.exact)


def best_mean(
    kspace: KSpace, csm: Tensor, chosen: Tools, n_folds: int | None, receiver: float = 1.0
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The image, its coil maps, the weights (*batch, n, 1, 1, 1), and the sizes that `held_out` says."""
    made = Candidates(kspace, csm, chosen)
    weights, sizes = held_out(kspace, csm, chosen, n_folds, receiver)
    weights = counted(weights, kspace)
    x = last_consistency(made, mean(made, weights))
    weights, sizes = (
        v.expand(*weights.shape[:-1], v.shape[-1])[..., None, None, None].float() for v in (weights, sizes)
    )
    return x, csm, weights, sizes


def counted(weights: Float[Tensor, "*#batch n"], kspace: KSpace) -> Float[Tensor, "*batch n"]:
    """Those of `held_out` that are worth an image, for each entry of the batch."""
    weights = torch.where(weights < _LEAST, 0, weights)
    weights = weights / weights.sum(-1, keepdim=True).clamp_min(_LEAST)
    return weights.expand(*kspace.samples.shape[:-4], weights.shape[-1])


def mean(made: Candidates, weights: Float[Tensor, "*batch n"]) -> Complex[Tensor, "*batch 1 z y x"]:
    """The candidates' weighted mean; without weights the safe one."""
    batch, total = weights.shape[:-1], made.csm.new_zeros(())
    shares = dict(zip(made.tools.names, weights.unbind(-1), strict=True)) if bool(weights.any()) else {}
    for name, share in (shares or {made.tools.safe: weights.new_ones(batch)}).items():
        if bool(share.any()):
            total = total + share.reshape(*batch, 1, 1, 1, 1).to(made.csm.real.dtype) * made[name]
    return total


def last_consistency(made: Candidates, x: Complex[Tensor, "*batch 1 z y x"]) -> Complex[Tensor, "*batch 1 z y x"]:
    """A mean of candidates made consistent with the samples, where these are not drowned in noise."""
    drowned = _drowned(made.kspace)
    return x if bool(drowned.all()) else torch.where(drowned, x, made.consistent(x))


def _drowned(kspace: KSpace) -> Bool[Tensor, "*#batch 1 1 1 1"]:
    """Which images on a grid are so noisy that samples say less of them than their reconstruction does."""
    if not kspace.is_cartesian:
        return torch.zeros((1, 1, 1, 1), dtype=torch.bool, device=kspace.device)
    return noise_sigma(kspace) > _DROWNED * brightest(kspace)


def held_out(
    kspace: KSpace, csm: Tensor, chosen: Tools, n_folds: int | None, receiver: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Weights (*batch, n), and over all folds (*batch, n + 3): |e_i|^2 of each candidate, |sum_i w_i e_i|^2, |y'|^2,
    and what the receiver's noise alone, `receiver` times that of the scan, would give. All are zeros where there is no
    choice, or nothing can be left out."""
    n = len(chosen.names)
    folds = leave_out(kspace, n_folds) if n > 1 else []
    if not folds:
        return torch.zeros(n, device=kspace.device), torch.zeros(n + 3, device=kspace.device)
    gram, energy, noise = torch.zeros((), dtype=torch.float64, device=kspace.device), 0.0, 0.0
    for fold in folds:
        made = Candidates(fold.kspace, csm, chosen.hurried(kspace))
        errors = torch.stack([fold.errors(made[name], csm) for name in chosen.names], -2)
        parts = torch.view_as_real(errors).flatten(-2).double()
        gram = gram + parts @ parts.mT
        energy = energy + fold.energy
        noise = noise + fold.count * (receiver * noise_sigma(kspace)) ** 2
    weights = simplex_weights(gram)
    best = (weights * (gram @ weights[..., None])[..., 0]).sum(-1)
    batch = best.shape
    others = [torch.as_tensor(v, device=best.device).expand(batch) for v in (best, energy, noise)]
    return weights, torch.cat([gram.diagonal(dim1=-2, dim2=-1), torch.stack(others, -1)], -1)


def _told(chosen: Tools, weights: Tensor, sizes: Tensor) -> str:
    """The held-out errors of all images together, and the mean of their weights."""
    totals = _totals(sizes)
    *errors, mean, energy, noise = totals.tolist()
    if not bool(totals.any()):
        why = "there is no other candidate" if len(chosen.names) == 1 else "there are too few lines to leave any out"
        return f"checked: took {chosen.safe} unchecked, since {why}"
    unit, one = ("x the noise's variance", noise) if noise > 0 else ("of their energy", energy)
    shares = weights.double().reshape(-1, len(errors), *weights.shape[-3:]).mean((0, 2, 3, 4)).tolist()
    rows = zip(chosen.names, errors, shares, strict=True)
    each = ", ".join(f"{name} {error / one:.3g} (weight {share:.2f})" for name, error, share in rows)
    return f"checked: error on samples left out, {unit}: {each}; of their weighted mean {mean / one:.3g}"


def _totals(sizes: Tensor) -> Tensor:
    """Sums over all images: (*batch, n, 1, 1, 1), where the slices of a split volume stand on one of the last axes."""
    return sizes.double().reshape(-1, *sizes.shape[-4:]).sum((0, 2, 3, 4))


def _doubts(sizes: Tensor) -> list[str]:
    """A warning where even the mean predicts badly."""
    *_, mean, energy, noise = _totals(sizes).tolist()
    share = (mean - noise) / (energy - noise) if energy > _HEARD * noise else 0.0
    if share < _BAD:
        return []
    return [f"{100 * share:.0f} % of the signal in samples left out was not predicted: details may be wrong or missing"]
