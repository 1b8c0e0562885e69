"""Plug and play: alternates a general denoiser with solved data consistency; any mask or trajectory.

Source: Venkatakrishnan, Bouman and Wohlberg 2013, doi:10.1109/GlobalSIP.2013.6737048, for the idea; Zhang et al. 2022,
doi:10.1109/TPAMI.2021.3088914, for half-quadratic splitting with a noise level that sinks from step to step. From the
image of `l1_wavelet` (along a trajectory: of `nufft_cg`), each step computes

    z = D(x, s),    x = argmin |W^(1/2) (A x - y)|^2 + v (sigma / s)^2 |x - z|^2

with s from `first` times the noise sigma down to `last` times. How we differ: the start, which already has much of the
image right; sigma is measured in the scan, so nothing is tuned to a picture; images are complex, and the denoiser
(`spinecho denoise --method unet`) handles both parts together.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Complex
from torch import Tensor

from spinecho.calib.centre import missing_calibration
from spinecho.core.errors import DataError, setting
from spinecho.core.image import Image
from spinecho.core.kspace import KSpace
from spinecho.tasks.recon.base import Recon
from spinecho.tasks.recon.methods import l1_wavelet, nufft_cg
from spinecho.tasks.recon.methods._maps import maps
from spinecho.tasks.recon.parts.denoisers import by_level, method_named, usual
from spinecho.tasks.recon.parts.splitting import Denoiser, Problem, problem, split
from spinecho.tasks.recon.slices import by_slices, no_slices


@dataclass(frozen=True, kw_only=True)
class Config:
    denoiser: str | None = None
    """a denoising method or its weights, by name or file; None: unet, or wavelet where the package has no weights"""
    n_steps: int = 20
    """denoisings, each followed by data consistency"""
    first: float = 5.0
    """noise that the first denoising takes away, relative to the scan's"""
    last: float = 1.0
    """noise that the last one takes away"""
    weight: float = 0.5
    """of the denoised image against the samples, relative to what the noise levels say"""
    cg_iters: int = 5
    """conjugate-gradient iterations of each data consistency"""
    start_iters: int | None = None
    """iterations of l1_wavelet to start from (of nufft_cg along a trajectory a third of them); None: as many as that
    method takes by itself (20)"""
    mend_maps: bool = False
    """on a grid: coil maps are made to cover the object and to explain all samples, as `checked` does"""

    def __post_init__(self) -> None:
        counts = {"n_steps": self.n_steps, "cg_iters": self.cg_iters, "start_iters": self.start_iters}
        for name in (n for n, value in counts.items() if value is not None and value < 1):
            raise DataError(f"{setting(name)} is {counts[name]}", do="give 1 or more")
        if not (self.first > 0 and self.last > 0 and self.weight > 0):
            each = f"{setting('first')}, {setting('last')} or {setting('weight')}"
            raise DataError(f"{each} is 0 or less", do="give numbers over 0")


class Method(Recon):
    config: Config
    leans_on: ClassVar[tuple[tuple[str, str], ...]] = (("denoise", "unet"),)

    @classmethod
    def refusal(cls, kspace: KSpace) -> str | None:
        return missing_calibration(kspace)

    def forward(self, kspace: KSpace) -> Image:
        name = self.config.denoiser or usual()
        denoiser = by_level(method_named(name, kspace.device))

        def one(scan: KSpace) -> tuple[Tensor, Tensor]:
            csm = maps(scan, self.config.mend_maps)
            return reconstruct(scan, csm, self.config, denoiser), csm

        apart = kspace.is_cartesian and no_slices(kspace) is None
        x, csm = by_slices(kspace, one) if apart else one(kspace)
        image = kspace.image(x, csm=csm)
        c = self.config
        step = (
            f"pnp: {c.n_steps} steps with {name}, noise {c.first:g} to {c.last:g} times the scan's, weight {c.weight:g}"
        )
        return replace(image, header=image.header.noted(step))


def reconstruct(
    kspace: KSpace, csm: Complex[Tensor, "*#batch 1 coil z y x"], config: Config, denoiser: Denoiser
) -> Complex[Tensor, "*batch 1 z y x"]:
    """The image for given coil maps."""
    solved = problem(kspace, csm)
    x = start(kspace, csm, solved, config.start_iters)
    *_, x = steps(solved, x, config, denoiser)
    return x


def steps(solved: Problem, x: Tensor, config: Config, denoiser: Denoiser) -> Iterator[Tensor]:
    """The image after each step from any start."""
    ratios = torch.logspace(0, 1, config.n_steps, base=config.last / config.first, device=x.device) * config.first
    share = torch.tensor(config.weight, device=x.device)
    return split(solved, x, ((denoiser, ratio, share) for ratio in ratios), config.cg_iters)


def start(
    kspace: KSpace, csm: Tensor, solved: Problem, n_iters: int | None, *, cut: bool = True
) -> Complex[Tensor, "*batch 1 z y x"]:
    """Of l1_wavelet on a grid, of nufft_cg along a trajectory (`cut`: as in `Support`)."""
    if kspace.is_cartesian:
        return l1_wavelet.reconstruct(kspace, csm, l1_wavelet.Config(n_iters=n_iters), cut=cut)
    l2 = nufft_cg.weight_from_noise(kspace, solved.equations.rhs)
    return solved.equations.start(l2, 20 if n_iters is None else -(-n_iters // 3))
