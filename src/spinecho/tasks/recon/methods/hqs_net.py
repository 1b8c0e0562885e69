"""Unrolled half-quadratic splitting: a denoiser trained further inside a few steps of it; needs trained weights.

Source: Xin et al. 2022, HQS-Net, arXiv:2112.09760, for networks unrolled from half-quadratic splitting; Aggarwal et al.
2019, doi:10.1109/TMI.2018.2865356, for weights shared by the steps and data consistency by conjugate gradients.
From the image of `l1_wavelet`, step k computes

    z = D_k(x, s_k),                                  s_k = exp(a_k + c_k log(R / 4)) sigma,
    x = argmin |W^(1/2) (A x - y)|^2 + w_k |x - z|^2,    w_k = exp(l_k) (sigma / s_k)^2,

with R the acceleration and sigma the scan's noise. How we differ: D is the bias-free denoiser of the task `denoise`,
which takes the noise level as input, so that nothing depends on the scale; the first `early` steps share a copy of it
that is trained end to end, the others keep the original denoiser: it learned fine detail from images alone, and no
mask, coil or simulated phase can mislead it. The early network may have further coarse levels (`reach`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn
from torch.nn import functional as F

from spinecho.calib.centre import missing_calibration
from spinecho.calib.csm import estimate_csm
from spinecho.core.errors import DataError, setting
from spinecho.core.image import Image
from spinecho.core.kspace import KSpace
from spinecho.core.method import Method as AnyMethod
from spinecho.core.precision import full_precision
from spinecho.methods import registry
from spinecho.methods.sizes import sizes_taken
from spinecho.tasks.recon.base import Recon
from spinecho.tasks.recon.methods import pnp
from spinecho.tasks.recon.methods._maps import maps
from spinecho.tasks.recon.parts.splitting import Denoiser, Problem, problem, split
from spinecho.tasks.recon.slices import by_slices, no_slices

_IMAGE = (-4, -3, -2, -1)
_MIDDLE = 0.3
"""Share in the loss of the last early step's image; that of the last step's is 1."""
_FAST = 10.0
"""The few numbers a, c and l are kept divided by this, so that an optimiser moves them so much faster than weights."""
_IN_TRAINING = 60
"""Iterations of the start where the Config names none: as many for each example, whatever others are in the batch."""
_BEST = 1e-3
"""Errors below this share of the start's count no more."""


@dataclass(frozen=True, kw_only=True)
class Config:
    channels: tuple[int, ...] = (24, 48, 80)
    """of the denoiser's levels, finest first"""
    blocks: tuple[int, ...] = (1, 2, 2)
    """residual blocks of each level"""
    reach: tuple[int, ...] = ()
    """channels of further, coarser levels that the early steps' network has"""
    n_steps: int = 6
    """denoisings, each followed by data consistency"""
    early: int = 2
    """steps whose network is trained; the others have the denoiser that training began from"""
    cg_iters: int = 5
    """conjugate-gradient iterations of each data consistency"""
    start_iters: int | None = None
    """iterations of l1_wavelet to start from (of nufft_cg along a trajectory: a third); None: as many as that takes by
    itself; 0: of CG-SENSE, faster"""
    mend_maps: bool = False
    """on a grid: coil maps are made to cover the object and to explain all samples, as in `checked` (twice the time)"""

    def __post_init__(self) -> None:
        if not 0 <= self.early <= self.n_steps:
            raise DataError(f"{setting('early')} is {self.early}", do=f"give 0 to {self.n_steps}, the number of steps")


class Method(Recon):
    config: Config
    learned: ClassVar[bool] = True
    tunable: ClassVar[tuple[str, ...]] = ("cg_iters", "start_iters", "mend_maps")
    begins_from: ClassVar[tuple[tuple[str, str], ...]] = (("denoise", "unet"),)

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        c = config
        if c.early:
            self.trained = _network((*c.channels, *c.reach), (*c.blocks, *(1 for _ in c.reach)))
        if c.early < c.n_steps:
            self.kept = _frozen(_network(c.channels, c.blocks))
        self.log_ratio = nn.Parameter(torch.linspace(math.log(4), 0, c.n_steps) / _FAST)
        self.per_accel = nn.Parameter(torch.zeros(c.n_steps))
        self.log_share = nn.Parameter(torch.full((c.n_steps,), math.log(0.5) / _FAST))

    @classmethod
    def begun(cls, config: Config, other: AnyMethod) -> Method:
        """With the weights of a denoiser, whose sizes it takes over; before training it is a short `pnp`."""
        sizes = sizes_taken(Config(), config, other)
        method = cls(replace(config, **sizes))
        weights = other.state_dict()
        if config.early < config.n_steps:
            method.kept.load_state_dict(weights)
        if config.early:
            _widened(method.trained, weights, len(sizes["channels"]))
        return method

    @classmethod
    def refusal(cls, kspace: KSpace) -> str | None:
        if kspace.is_cartesian:
            return missing_calibration(kspace) or no_slices(kspace)
        if kspace.encoding.matrix[0] > 1:
            return "its trajectory is that of a volume, and the network was trained on slices (use pnp)"
        return None

    def forward(self, kspace: KSpace) -> Image:
        x, csm = by_slices(kspace, self.slices) if kspace.is_cartesian else self.slices(kspace)
        return kspace.image(x, csm=csm)

    def slices(self, kspace: KSpace) -> tuple[Tensor, Tensor]:
        """Image and coil maps of a scan of slices."""
        csm = maps(kspace, self.config.mend_maps)
        solved = problem(kspace, csm)
        *_, x = self.steps(solved, self.start(kspace, csm, solved, self.config.start_iters), acceleration(kspace))
        return x, csm

    def start(
        self, kspace: KSpace, csm: Tensor, solved: Problem, n_iters: int | None, *, cut: bool = True
    ) -> Complex[Tensor, "*batch 1 z y x"]:
        """Where the first step begins (`n_iters`: as `start_iters` of the Config)."""
        if n_iters == 0:
            return solved.equations.start()
        return pnp.start(kspace, csm, solved, n_iters, cut=cut)

    def steps(self, solved: Problem, x: Tensor, accel: Float[Tensor, "*#batch 1 1 1 1"]) -> Iterator[Tensor]:
        """The image after each step, from any start."""
        numbers = zip(self.log_ratio, self.per_accel, self.log_share, strict=True)
        steps = (
            (self.denoiser(k), (_FAST * (a + c * (accel / 4).log())).exp(), (_FAST * share).exp())
            for k, (a, c, share) in enumerate(numbers)
        )
        return split(solved, x, steps, self.config.cg_iters)

    def denoiser(self, step: int) -> Denoiser:
        """D_k for slices and the standard deviation of their complex noise."""
        network: Any = self.trained if step < self.config.early else self.kept
        return lambda slices, level: network.estimate(slices, level / 2**0.5)

    def loss(self, kspace: KSpace) -> Float[Tensor, ""]:
        """log of the squared error inside the object against the start's, of the last step and the last early one."""
        assert kspace.target is not None
        with full_precision(kspace.samples), torch.no_grad():
            csm = estimate_csm(kspace)
        solved, start = self._begun(kspace, csm)
        images = list(self.steps(solved, start, acceleration(kspace)))
        with full_precision(start):
            truth = kspace.target.abs() * solved.support.where
            where = bright(truth)
            before = _error(start, truth, where)
            middle, last = (
                (_error(images[i], truth, where) / before + _BEST).log().mean() for i in (self.config.early - 1, -1)
            )
            return last + _MIDDLE * middle

    def stages(self, kspace: KSpace, csm: Tensor) -> list[Tensor]:
        """The image after each step."""
        return list(self.steps(*self._begun(kspace, csm), acceleration(kspace)))

    def _begun(self, kspace: KSpace, csm: Tensor) -> tuple[Problem, Tensor]:
        """What training solves, and where it starts: no part of it depends on other scans of the batch."""
        with full_precision(kspace.samples), torch.no_grad():
            solved = problem(kspace, csm, cut=False)
            n_iters = _IN_TRAINING if self.config.start_iters is None else self.config.start_iters
            return solved, self.start(kspace, csm, solved, n_iters, cut=False)


def acceleration(kspace: KSpace) -> Float[Tensor, "*#batch 1 1 1 1"]:
    """Voxels over measured positions: of the mask, or along a trajectory."""
    if kspace.mask is not None:
        return 1 / kspace.mask.float().mean(_IMAGE, keepdim=True).clamp_min(1e-6)
    grid = math.prod(kspace.encoding.matrix) / math.prod(kspace.samples.shape[-3:])
    return torch.full((1, 1, 1, 1), max(1.0, grid), device=kspace.device)


def bright(truth: Float[Tensor, "*batch 1 z y x"]) -> Tensor:
    """Pixels where the truth's mean over 7 x 7 is over 5 % of the largest such mean."""
    flat = truth.reshape(-1, 1, *truth.shape[-2:])
    smooth = F.avg_pool2d(flat, 7, 1, 3).reshape(truth.shape)
    return smooth > 0.05 * smooth.amax(_IMAGE, keepdim=True)


def _error(x: Tensor, truth: Tensor, where: Tensor) -> Float[Tensor, "*batch 1 1 1 1"]:
    """Mean square inside; never 0, whose logarithm is none."""
    square = ((x.abs() - truth) * where).square().sum(_IMAGE, keepdim=True)
    tiny = torch.finfo(square.dtype).tiny
    return square / where.sum(_IMAGE, keepdim=True).clamp_min(1) + tiny


def _network(channels: tuple[int, ...], blocks: tuple[int, ...]) -> AnyMethod:
    module = registry.load("denoise", "unet")
    return module.Method(module.Config(channels=channels, blocks=blocks))


def _frozen(module: AnyMethod) -> AnyMethod:
    """With buffers in place of parameters: kept and saved, but nothing that training could change."""
    for part in list(module.modules()):
        for name, weight in list(part.named_parameters(recurse=False)):
            delattr(part, name)
            part.register_buffer(name, weight.detach())
    return module


def _widened(module: AnyMethod, weights: dict[str, Tensor], levels: int) -> None:
    """A denoiser's weights for a network with further coarse levels, which add nothing at first.

    What was the bottom becomes the last stage before the first new level; the way up from there starts at zero.
    """
    if not any(f"finer.{levels - 1}." in name for name in module.state_dict()):
        module.load_state_dict(weights)
        return
    moved = {name.replace("network.bottom.", f"network.down.{levels - 1}."): w for name, w in weights.items()}
    result = module.load_state_dict(moved, strict=False)
    assert not result.unexpected_keys
    with torch.no_grad():
        module.get_parameter(f"network.finer.{levels - 1}.weight").zero_()
