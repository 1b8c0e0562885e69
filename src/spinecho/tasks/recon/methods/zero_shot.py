"""Adapts trained weights to one undersampled slice, by predicting some of its lines from the others; takes minutes.

Source: Yaman, Hosseini and Akcakaya 2022, arXiv:2102.07737 (ZS-SSL). The scan's lines are split into three parts: G is
never learned from, the others are divided again and again into T and L. The network learns to predict L from the image
of T (`parts.losses.ssdu`, weighted); how well the image of T and L predicts G decides when to stop, and the weights
that predict G best reconstruct the image from all lines. How we differ: it begins with weights of the package
(`hqs_net` or `varnet`), whose start is computed once for each division; whole lines are left out, never calibration
lines; weights are averaged over the last steps. A slice has few lines to learn from, and a network alone is not the
best reconstruction of it: the image is the mean of the candidates of `checked`, moved towards the same mean with the
trained network in it,

    x_0 + s (x_1 - x_0),    s = argmin |e_0 + s (e_1 - e_0)|^2,  0 <= s <= 1,

with e_0 and e_1 what both leave of G. `hqs_net` learns where that mean has it, behind `varnet` and `pnp`. If no step
predicts G better than the first weights, the image is x_0.

Named, as `ssdu`, in US patent application 17/075,411 (`parts.losses`).
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from spinecho.calib.centre import missing_calibration
from spinecho.calib.object_noise import with_object_noise
from spinecho.core.errors import DataError, setting
from spinecho.core.image import Image
from spinecho.core.job import Bar
from spinecho.core.kspace import KSpace
from spinecho.core.precision import full_precision, network_precision
from spinecho.core.state_header import read_metadata
from spinecho.methods.pretrained import open_learned, weights_file
from spinecho.tasks.recon.base import Recon
from spinecho.tasks.recon.guard import OUTSIDE
from spinecho.tasks.recon.limits import outside
from spinecho.tasks.recon.methods import checked, hqs_net, pnp, varnet
from spinecho.tasks.recon.methods._maps import maps
from spinecho.tasks.recon.methods._trained_further import Mean, Network
from spinecho.tasks.recon.parts.division import Divided, divide, outer_of
from spinecho.tasks.recon.parts.left_out import fold_without
from spinecho.tasks.recon.parts.losses import ssdu
from spinecho.tasks.recon.parts.splitting import Problem, problem
from spinecho.tasks.recon.slices import by_slices, no_slices, settled

_APART = ("slice", "contrast")
_FEWEST = 16
"""Outer lines below which nothing is learned: holding out some of fewer says nothing, and no line can be spared."""
_SPARE = 0.75
"""Share of the budget in which steps are begun: what follows takes some time too."""


@dataclass(frozen=True, kw_only=True)
class Config:
    start: str = "hqs_net"
    """weights of hqs_net or varnet to begin with, by name or file"""
    budget_min: float = 5.0
    """minutes for each slice; 0: no limit, so that steps alone decide and the same scan gives the same image"""
    steps: int = 120
    """of learning, at most"""
    held_out: float = 0.2
    """share of the outer lines that are only used to decide when to stop"""
    share: float = 0.3
    """share of the other outer lines that each division has predicted"""
    masks: int = 8
    """divisions, taken in turn"""
    rate: float = 1e-4
    """of learning (Adam)"""
    average: float = 0.8
    """how much of the averaged weights stays at each step"""
    every: int = 4
    """steps between looks at the lines that are held out"""
    patience: int = 5
    """looks in a row without a better one after which it stops"""
    alone: bool = False
    """the image is that of the trained network, without the candidates of `checked`"""
    exact: bool = False
    """learn in float32 even where the processor has units for bfloat16, which are two to three times faster"""
    seed: int = 0
    """of all that is drawn"""

    def __post_init__(self) -> None:
        for name in ("steps", "masks", "every", "patience"):
            if getattr(self, name) < 1:
                raise DataError(f"{setting(name)} is {getattr(self, name)}", do="give 1 or more")
        for name in ("held_out", "share"):
            if not 0 < getattr(self, name) < 1:
                raise DataError(f"{setting(name)} is {getattr(self, name):g}", do="give a share over 0 and below 1")
        if self.budget_min < 0 or not self.rate > 0 or not 0 <= self.average < 1:
            each = f"{setting('budget_min')}, {setting('rate')} or {setting('average')}"
            raise DataError(f"{each} is out of range", do="give minutes, a rate over 0, a share below 1")

    @property
    def untaught(self) -> str:
        """Whose image it is where nothing is learned."""
        return self.start if self.alone else "checked"


class Method(Recon):
    config: Config
    tells: ClassVar[bool] = True
    leans_on: ClassVar[tuple[tuple[str, str], ...]] = checked.Method.leans_on

    @classmethod
    def refusal(cls, kspace: KSpace) -> str | None:
        if not kspace.is_cartesian:
            return "its samples lie along a trajectory, and what is divided are lines on a grid"
        sizes = dict(zip(kspace.axes, kspace.samples.shape, strict=False))
        if frames := next((a for a, n in sizes.items() if n > 1 and a not in _APART), ""):
            return f"it learns from one slice alone, and there are {sizes[frames]} of the axis {frames}"
        return missing_calibration(kspace) or no_slices(kspace)

    def forward(self, kspace: KSpace) -> Image:
        told: list[str] = []
        part = Parts(self.tell, math.prod(kspace.samples.shape[:-4]) * kspace.samples.shape[-3])

        def one(scan: KSpace) -> tuple[Tensor, Tensor]:
            x, csm, words = self._each(scan, part)
            told.extend(words)
            return x, csm

        with torch.inference_mode(False):
            x, csm = by_slices(_own(settled(with_object_noise(kspace))), one)
        image = kspace.image(x, csm=csm)
        card = read_metadata(weights_file("recon", self.config.start))["card"]
        header = image.header.warned(*(f"{OUTSIDE}{self.config.start}: {way}" for way in outside(card, kspace)))
        return replace(image, header=header.noted(*dict.fromkeys(told)))

    def _each(self, scan: KSpace, part: Parts) -> tuple[Tensor, Tensor, list[str]]:
        """Image, coil maps and what was done, slice by slice: each learns for itself, if there is anything to learn."""
        axis = next((i for i, n in enumerate(scan.samples.shape[:-4]) if n > 1), None)
        if axis is None:
            made = self._one(scan, part)
            part.done += 1
            part.tell(0.0)
            return made
        parts = [self._each(scan.part(scan.axes[axis], i), part) for i in range(scan.samples.shape[axis])]
        x, csm = torch.cat([part[0] for part in parts], axis), torch.cat([part[1] for part in parts], axis)
        several = len({told for part in parts for told in part[2]}) > 1
        told = [f"{scan.axes[axis]} {i + 1}: {t}" if several else t for i, p in enumerate(parts) for t in p[2]]
        return x, csm, told

    def _one(self, scan: KSpace, part: Parts) -> tuple[Tensor, Tensor, list[str]]:
        clock, c = Clock(60 * self.config.budget_min or math.inf, part), self.config
        network, csm = _opened(c.start, scan.device), maps(scan, not c.alone)
        clock.tell()
        with torch.no_grad():
            mean = None if c.alone else Mean.of(scan, csm, c.start, exact=c.exact)
        clock.tell()
        n = int(outer_of(scan).sum())
        if n < _FEWEST:
            few = f"zero_shot: {n} lines lie outside the calibration block, too few to learn from ({_FEWEST})"
            return self._image(scan, csm, network, mean), csm, [f"{few}; the image is that of {c.untaught}"]
        learning = self._learning(network, scan, csm, mean)
        clock.tell()
        told = learning.told(learning.follow(clock))
        with torch.no_grad():
            if mean is None or not learning.best_step:
                return self._image(scan, csm, network, mean), csm, [told]
            x, share = mean.moved(network, fold_without(scan, learning.kept.left[0]))
        return x, csm, [f"{told}; the mean of checked moved by {100 * share:.0f} % towards the one with this network"]

    @torch.no_grad()
    def _image(self, scan: KSpace, csm: Tensor, network: Network, mean: Mean | None) -> Tensor:
        """The mean as it is, or without it the image of the network, in float32."""
        return View.of(network, scan, csm).image(network) if mean is None else mean.image()

    def _learning(self, network: Network, scan: KSpace, csm: Tensor, mean: Mean | None) -> Learning:
        """Of the scan, divided in three; it changes the network's weights."""
        c, rng = self.config, torch.Generator().manual_seed(self.config.seed)
        kept = divide(scan, c.held_out, 1, rng)
        rest = kept.seen(0)
        lessons = divide(rest, c.share, c.masks, rng)
        with torch.no_grad():
            look = View.of(network, rest, csm, mean)
            views = [View.of(network, lessons.seen(i), csm, mean) for i in range(c.masks)]
        return Learning(network, c, csm, lessons, views, kept, look)


@dataclass
class Parts:
    """How far all slices are, told as one: a slice's share is what it says of itself."""

    bar: Bar
    total: int
    done: int = 0

    def tell(self, share: float) -> None:
        self.bar(100 * self.done + round(100 * share), 100 * self.total)


class Clock:
    """When a slice began, and how much of its time it may take."""

    def __init__(self, budget_s: float, part: Parts) -> None:
        self.began, self.budget_s, self.part = time.perf_counter(), budget_s, part

    @property
    def passed(self) -> float:
        """Seconds since it began."""
        return time.perf_counter() - self.began

    def tell(self, share: float = 0.0) -> None:
        """That a share of the steps is done, or of the time, whichever is more."""
        self.part.tell(max(share, min(1.0, self.passed / self.budget_s)))


@dataclass(frozen=True, eq=False)
class View:
    """A scan with its coil maps and what a network starts from, computed once.

    Parameters
    ----------
    solved
        Of hqs_net; varnet solves for itself.
    """

    kspace: KSpace
    csm: Tensor
    start: Tensor
    solved: Problem

    @classmethod
    def of(cls, network: Network, kspace: KSpace, csm: Tensor, mean: Mean | None = None) -> View:
        """With the start that the network takes by itself, or in a mean."""
        solved = problem(kspace, csm)
        if mean is not None:
            return cls(kspace, csm, mean.before(kspace, network), solved)
        return cls(kspace, csm, pnp.start(kspace, csm, solved, network.config.start_iters), solved)

    def image(self, network: Network) -> Tensor:
        """The network's image, with gradients where they are wanted."""
        if isinstance(network, varnet.Method):
            x = network.images(self.kspace, self.csm, start=self.start)[-1]
            return torch.where(self.solved.support.where, x, self.start)
        *_, x = network.steps(self.solved, self.start, hqs_net.acceleration(self.kspace))
        return x


class Learning:
    """Steps of one network on one slice, and the best weights so far by the held-out lines."""

    def __init__(
        self,
        network: Network,
        config: Config,
        csm: Tensor,
        lessons: Divided,
        views: list[View],
        kept: Divided,
        look: View,
    ) -> None:
        self.network, self.config, self.csm = network, config, csm
        self.lessons, self.views, self.kept, self.look = lessons, views, kept, look
        self.parameters = [p for p in network.parameters() if p.requires_grad]
        self.mean = [p.detach().clone() for p in self.parameters]
        self.best, self.best_step, self.step = [p.clone() for p in self.mean], 0, 0
        self.before = self.least = self.missed()

    def follow(self, clock: Clock) -> str:
        """All steps, then the best weights; why it stopped."""
        c, idle, reason = self.config, 0, "all steps done"
        optimiser = torch.optim.Adam(self.parameters, c.rate)
        first = clock.passed
        while self.step < c.steps:
            each = (clock.passed - first) / self.step if self.step else 0.0
            if self.step and clock.passed + each > _SPARE * clock.budget_s:
                reason = f"{c.budget_min:g} minutes were over"
                break
            self.advance(optimiser)
            clock.tell(self.step / c.steps)
            if self.step % c.every == 0:
                idle = 0 if self.better() else idle + 1
            if idle == c.patience:
                reason = "the held-out lines were predicted no better any more"
                break
        if self.step % c.every:
            self.better()
        self._put(self.best)
        return reason

    def advance(self, optimiser: torch.optim.Optimizer) -> None:
        """One division: its image predicts what it left out."""
        i = self.step % len(self.views)
        optimiser.zero_grad()
        with torch.enable_grad():
            with network_precision(self.csm, exact=self.config.exact):
                x = self.views[i].image(self.network)
            with full_precision(x):
                ssdu.distance(x, self.csm, self.lessons, i).mean().backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        optimiser.step()
        self.step += 1
        share = max(1 / self.step, 1 - self.config.average)
        for mean, p in zip(self.mean, self.parameters, strict=True):
            mean.lerp_(p.detach(), share)

    def better(self) -> bool:
        """Whether the averaged weights predict the held-out lines better than any before; they are kept then."""
        own = [p.detach().clone() for p in self.parameters]
        self._put(self.mean)
        missed = self.missed()
        self._put(own)
        if not missed < self.least:
            return False
        self.least, self.best_step, self.best = missed, self.step, [m.clone() for m in self.mean]
        return True

    @torch.no_grad()
    def missed(self) -> float:
        """Share of the held-out lines' size that the image of all others does not predict."""
        with network_precision(self.csm, exact=self.config.exact):
            x = self.look.image(self.network)
        with full_precision(x):
            return float(ssdu.distance(x, self.csm, self.kept, 0).mean())

    def told(self, reason: str) -> str:
        """What came of it, in words."""
        name, before, after = self.config.start, 100 * self.before, 100 * self.least
        if not self.best_step:
            told = f"zero_shot: none of {self.step} steps predicted held-out lines better than {name}"
            return f"{told} ({before:.2f} % missed); the image is that of {self.config.untaught}"
        told = f"zero_shot: after {self.best_step} of {self.step} steps from {name}, held-out lines missed by"
        return f"{told} {after:.2f} % ({before:.2f} % before); {reason}"

    @torch.no_grad()
    def _put(self, values: list[Tensor]) -> None:
        for p, value in zip(self.parameters, values, strict=True):
            p.copy_(value)


def _opened(start: str, device: torch.device) -> Network:
    """A network of one's own with the weights, ready to learn.

    Raises
    ------
    DataError
        If there are no such weights, or they are of another method.
    """
    network = open_learned("recon", start)
    if not isinstance(network, (hqs_net.Method, varnet.Method)):
        raise DataError(f"{start} holds weights of another method", do=f"give {setting('start')} hqs_net or varnet")
    if reason := network.no_stages():
        raise DataError(f"{start} cannot learn without a truth: {reason}", do=f"give {setting('start', 'varnet')}")
    return network.requires_grad_(True).to(device)


def _own(kspace: KSpace) -> KSpace:
    """With tensors that gradients may run through, though the scan came from inference."""
    names = ("samples", "mask", "calib", "noise_cov", "object_noise")
    return replace(kspace, target=None, **{n: None if (t := getattr(kspace, n)) is None else t.clone() for n in names})
