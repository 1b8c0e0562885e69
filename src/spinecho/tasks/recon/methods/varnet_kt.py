"""A network for series: frames are denoised together along space and time, in turn with solved data consistency.

Source: Schlemper et al. 2018, doi:10.1109/TPAMI.2017.2760978, for networks of cine series with data consistency; Otazo,
Candes and Sodickson 2015, doi:10.1002/mrm.25240, for series as something low-rank and something sparse; Mohan et al.
2020, arXiv:1906.05478, for denoisers without biases. From a few iterations of `llr`, made consistent with the samples,
step k computes

    z_k = D(x_k-1, R (x_k-1 - z_k-1), s_k),           s_k = exp(a_k + c_k log(R / 4)) sigma,
    x_k = argmin |A x - y|^2 + w_k |x - z_k|^2,       w_k = exp(l_k) (sigma / s_k)^2,

nearly as `hqs_net` does for slices: R is the acceleration and sigma the scan's noise. How we differ: D is one network
for all steps, without biases (twice the series gives twice the result), and is trained on small moving pictures before
it is trained inside these steps. It sees what the samples have just changed: of frames with random lines, R times that
is where the series was wrong, and noise. It is the 2-D denoiser of the task `denoise`, behind each of whose stages
frames are mixed: with their neighbours, and with the mean of all (`nets.unet_kt`). Lines that are left out first say
how much of the change from the start to x_n is to be taken, of its mean over time and of the rest: none where it helps
not.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn

from spinecho.calib.centre import missing_calibration
from spinecho.calib.csm import estimate_csm
from spinecho.calib.object_noise import bright_readouts, cut_readout, with_object_noise
from spinecho.core.image import Image
from spinecho.core.kspace import KSpace
from spinecho.core.method import Method as AnyMethod
from spinecho.core.precision import full_precision, network_precision
from spinecho.methods.sizes import sizes_taken
from spinecho.nets.unet_kt import SeriesUNet
from spinecho.tasks.recon.base import Recon
from spinecho.tasks.recon.methods import llr
from spinecho.tasks.recon.methods.hqs_net import acceleration, bright
from spinecho.tasks.recon.parts.division import centred
from spinecho.tasks.recon.parts.left_out import best_shares, leave_out
from spinecho.tasks.recon.parts.refinement import Support
from spinecho.tasks.recon.parts.series import Series
from spinecho.tasks.recon.parts.splitting import Problem, problem
from spinecho.tasks.recon.slices import by_slices, no_slices

_FAST = 10.0
"""The few numbers a, c and l are kept divided by this, so that an optimiser moves them so much faster than weights."""
_FLOOR, _BEST = 0.05, 1e-3
"""Errors below this share of the noise (denoising), or of the start's (reconstructing), count no more."""
_MIDDLE = 0.3
"""Share in the loss of the images before the last, together"""
_LIFTS = 1.0, 5.0
"""Threshold of the start over that of the noise, in training; at work it is 1"""
_DECAY = 0.75
"""Of the start's threshold from one iteration to the next: few of them must suffice"""
_STRETCHES, _FEWEST = ((0.1875, 0.3125), (0.6875, 0.8125)), 96
"""Parts of the object along the readout that a trial sees; all of a shorter one. On hearts and boluses that judge
nothing twice as much chose no better, and one stretch of a third worse where contrast arrives"""
_TOWARDS_ONE = 0.5
"""Both shares are moved so far towards the best one for all: two of few lines differ too much (by trial, on hearts and
boluses that judge nothing)"""
_SMALL = 2**14
"""Pixels of all frames below which lower precision saves no time"""
_TOLD = "varnet_kt, by lines left out"


@dataclass(frozen=True, kw_only=True)
class Config:
    channels: tuple[int, ...] = (24, 48, 80)
    """of the network's levels, finest first"""
    blocks: tuple[int, ...] = (1, 2, 2)
    """residual blocks of each level"""
    reach: int = 2
    """frames to each side that one mixing along time sees"""
    n_steps: int = 3
    """denoisings, each followed by data consistency"""
    cg_iters: int = 4
    """conjugate-gradient iterations of each data consistency"""
    start_iters: int = 30
    """iterations of llr to start from"""
    apart: bool = False
    """denoise each frame alone: shows how much the others help"""


class Method(Recon):
    config: Config
    learned: ClassVar[bool] = True
    whole_series: ClassVar[bool] = True
    learns_patches: ClassVar[bool] = True
    tunable: ClassVar[tuple[str, ...]] = ("cg_iters", "start_iters", "apart")
    begins_from: ClassVar[tuple[tuple[str, str], ...]] = (("denoise", "unet"),)

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.network = SeriesUNet(5, 2, config.channels, config.blocks, config.reach)
        self.log_ratio = nn.Parameter(torch.linspace(math.log(3), 0, config.n_steps) / _FAST)
        self.per_accel = nn.Parameter(torch.zeros(config.n_steps))
        self.log_share = nn.Parameter(torch.zeros(config.n_steps))

    @classmethod
    def begun(cls, config: Config, other: AnyMethod) -> Method:
        """With the weights of a denoiser of slices, whose sizes it takes over: frames do not know of each other yet."""
        sizes = sizes_taken(Config(), config, other)
        method = cls(replace(config, **sizes))
        weights = {k.removeprefix("network."): w for k, w in other.state_dict().items()}
        enter = torch.zeros_like(method.network.still.enter.weight)
        enter[:, :3] = weights["enter.weight"]  # of what is new nothing is known yet
        method.network.still.load_state_dict({**weights, "enter.weight": enter})
        return method

    @classmethod
    def refusal(cls, kspace: KSpace) -> str | None:
        return llr.Method.refusal(kspace) or missing_calibration(kspace) or no_slices(kspace)

    def forward(self, kspace: KSpace) -> Image:
        told: list[str] = []

        def one(scan: KSpace) -> tuple[Tensor, Tensor]:
            scan = centred(scan)  # which else is looked for again and again
            csm = estimate_csm(scan)
            of_mean, of_rest = self.tried(scan, csm)
            solved = problem(scan, csm)
            start = self.start(scan, csm, solved)
            told.append(
                f"{_TOLD}: {100 * of_mean:.0f} % of a change's mean over time taken, {100 * of_rest:.0f} % of its rest"
            )
            change = self.last(solved, start, scan) - start
            mean = mean_over_time(change, scan)
            return start + of_mean * mean + of_rest * (change - mean), csm

        x, csm = by_slices(kspace, one)
        image = kspace.image(x, csm=csm)
        return replace(image, header=image.header.noted(*dict.fromkeys(told)))

    def tried(self, kspace: KSpace, csm: Tensor) -> tuple[float, float]:
        """The shares of the network's change (its mean over time, the rest) that predict left-out lines best."""
        if llr.frame_axis(kspace) is None:
            return 1.0, 1.0
        kspace, csm = two_stretches(kspace, csm)
        folds = leave_out(with_object_noise(kspace), 1, together=True)
        if not folds:
            return 1.0, 1.0
        fold = folds[0]
        solved = problem(fold.kspace, csm)
        start = self.start(fold.kspace, csm, solved)
        end = self.last(solved, start, fold.kspace)
        halfway = start + mean_over_time(end - start, kspace)
        before, between, after = (fold.errors(x, csm) for x in (start, halfway, end))
        one, two = best_shares([before, after]), best_shares([before, between, after])
        of_mean, of_rest = torch.lerp(torch.tensor(two), torch.tensor(one), _TOWARDS_ONE).tolist()
        return of_mean, of_rest

    def last(self, solved: Problem, start: Tensor, kspace: KSpace) -> Complex[Tensor, "*batch 1 z y x"]:
        """The series after all steps."""
        with network_precision(start, exact=start.numel() < _SMALL):
            *_, x = self.steps(solved, start, kspace)
        return x

    def start(
        self, kspace: KSpace, csm: Tensor, solved: Problem, lift: float = 1.0
    ) -> Complex[Tensor, "*batch 1 z y x"]:
        """Of llr, whose threshold is `lift` times that of the noise; of a frame alone, a few iterations of SENSE."""
        with full_precision(csm):
            if llr.Method.refusal(kspace) is not None:
                return solved.equations.start()
            settings = llr.Config(n_iters=self.config.start_iters)
            threshold = lift * llr.automatic_threshold(kspace, settings.block)
            return llr.solved(kspace, csm, settings, threshold, decay=_DECAY)

    def steps(self, solved: Problem, x: Tensor, kspace: KSpace) -> Iterator[Tensor]:
        """The series after each step, from any start."""
        axis, accel = llr.frame_axis(kspace), _mean_acceleration(kspace)
        sigma, level = solved.sigma, solved.level(x).detach()
        one = torch.ones((), device=x.device)
        before, after = x, x
        numbers = zip(self.log_ratio, self.per_accel, self.log_share, strict=True)
        for k, (a, c, share) in enumerate(numbers):
            s = (_FAST * (a + c * (accel / 4).log())).exp() * level
            weight = (_FAST * share).exp() * (sigma / s).square()
            if k == 0:
                with full_precision(x):
                    after = solved.equations.consistent(x, weight, one, self.config.cg_iters)
            before = self.denoised(after, accel * (after - before), s, solved.support, axis)
            with full_precision(x):
                after = solved.equations.consistent(before, weight, one, self.config.cg_iters)
            yield after

    def denoised(
        self, x: Tensor, change: Tensor, level: Tensor, support: Support, axis: int | None
    ) -> Complex[Tensor, "*batch 1 z y x"]:
        """All frames denoised within the box around the support; elsewhere the series stays as it is."""
        axis = None if self.config.apart else axis
        batch = x.shape[:-4] if axis is not None else (*x.shape[:-4], 1)
        axis = len(batch) - 1 if axis is None else axis

        def frames(image: Tensor) -> Tensor:
            box = support.cut(image)
            return box.reshape(*batch, *box.shape[-2:]).movedim(axis, -3)

        seen, also = frames(x), frames(change)
        levels = level.expand(*x.shape[:-4], 1, 1, 1, 1).reshape(batch).movedim(axis, -1)
        each = levels.reshape(-1, levels.shape[-1]).mean(1)
        flat = (-1, *seen.shape[-3:])
        clean = self.estimate(seen.reshape(flat), also.reshape(flat), each)
        box = clean.view_as(seen).movedim(-3, axis).reshape(support.cut(x).shape)
        return torch.where(support.where, support.put_back(box), x)

    def estimate(
        self, noisy: Complex[Tensor, "n t y x"], change: Complex[Tensor, "n t y x"], level: Float[Tensor, " n"]
    ) -> Complex[Tensor, "n t y x"]:
        """Less noise; `level` is the standard deviation of the complex noise, `change` as in `parts.series`."""
        x, also = (torch.view_as_real(v).movedim(-1, 2) for v in (noisy, change))
        told = (level / 2**0.5)[:, None, None, None, None].expand(*x.shape[:2], 1, *x.shape[3:])
        noise = self.network(torch.cat([x, told, also], 2)).float()
        return torch.view_as_complex((x - noise).movedim(2, -1).contiguous())

    def loss(self, example: KSpace | Series) -> Float[Tensor, ""]:
        """log of the squared error: of small series against their noise, of scans inside the object against the
        start's."""
        if isinstance(example, Series):
            estimate = self.estimate(example.noisy, example.change, example.level)
            error = (estimate - example.clean).abs().square().mean((-3, -2, -1))
            return ((error + (_FLOOR * example.level).square()) / example.level.square()).log().mean()
        if "example" in example.axes:  # series are long: nothing is won by a batch of them
            each = range(example.samples.shape[example.axes.index("example")])
            return torch.stack([self._scan_loss(example.take("example", [i])) for i in each]).mean()
        return self._scan_loss(example)

    def stages(self, kspace: KSpace, csm: Tensor) -> list[Tensor]:
        """The series after each step; several examples one by one."""
        at = kspace.axes.index("example") if "example" in kspace.axes else None
        if at is not None and (n := kspace.samples.shape[at]) > 1:
            each = [self.stages(kspace.take("example", [i]), csm.narrow(at, i, 1)) for i in range(n)]
            return [torch.cat(parts, at) for parts in zip(*each, strict=True)]
        solved, start = self._begun(kspace, csm, kspace.samples)
        return list(self.steps(solved, start, kspace))

    def _begun(self, kspace: KSpace, csm: Tensor, drawn: Tensor) -> tuple[Problem, Tensor]:
        """What training solves, and a start that follows from the values of `drawn`."""
        with full_precision(kspace.samples), torch.no_grad():
            solved = problem(kspace, csm, cut=False)
            return solved, self.start(kspace, csm, solved, _drawn_lift(drawn))

    def _scan_loss(self, scan: KSpace) -> Float[Tensor, ""]:
        assert scan.target is not None
        with full_precision(scan.samples), torch.no_grad():
            csm = estimate_csm(scan)
        solved, start = self._begun(scan, csm, scan.target)
        images = list(self.steps(solved, start, scan))
        with full_precision(start):
            truth = scan.target.abs() * solved.support.where
            where = bright(truth)
            before = _error(start, truth, where)
            *early, last = ((_error(x, truth, where) / before + _BEST).log() for x in images)
            return last + _MIDDLE * torch.stack(early or [last]).mean()


def _drawn_lift(values: Tensor) -> float:
    """In training starts differ; which one follows from the bits of the largest value, so that a scan always trains in
    the same way."""
    low, high = _LIFTS
    bits = int(values.abs().max().float().view(torch.int32))
    return low * (high / low) ** (bits % 1024 / 1024)


def mean_over_time(x: Tensor, kspace: KSpace) -> Tensor:
    """Of all frames, for each of them."""
    axis = llr.frame_axis(kspace)
    return x if axis is None else x.mean(axis, keepdim=True).expand_as(x)


def two_stretches(kspace: KSpace, csm: Tensor) -> tuple[KSpace, Tensor]:
    """The scan and its maps at a quarter of the readout positions that hold the object: how well lines are predicted is
    seen there as well, in a quarter of the time. As they are where readouts are not whole, or the object is short."""
    stretch = bright_readouts(kspace) if kspace.calib is None else None
    if stretch is None or stretch[1] - stretch[0] < _FEWEST:
        return kspace, csm
    first, n = stretch[0], stretch[1] - stretch[0]
    parts = [torch.arange(first + round(a * n), first + round(b * n), device=csm.device) for a, b in _STRETCHES]
    positions = torch.cat(parts)
    return cut_readout(with_object_noise(kspace), positions), csm[..., positions]


def _mean_acceleration(kspace: KSpace) -> Float[Tensor, ""]:
    """Of all frames together."""
    return 1 / (1 / acceleration(kspace)).mean()


def _error(x: Tensor, truth: Tensor, where: Tensor) -> Float[Tensor, ""]:
    """Mean square inside; never 0, whose logarithm is none."""
    square = ((x.abs() - truth) * where).square().sum() / where.sum().clamp_min(1)
    return square + torch.finfo(square.dtype).tiny
