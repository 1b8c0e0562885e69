"""Makes thick slices thin with a small network that learns only from the scan's own in-plane detail.

The scan's slices are sharp along both of their axes. One of these is blurred like the scan's thick slices (with the
profile and distance of the third axis), and a network learns to undo that, separately for each scan. It is then applied
to the volume cut in the other two ways, in which the third axis is the blurred one, and both results are averaged.

Source: Zhao et al. 2021, SMORE, doi:10.1109/TMI.2020.3037187. How we differ: a network of parallel receptive fields on
the B-spline image instead of EDSR, no separate stage against aliasing, slices along two axes and their mean instead
of many angles and Fourier burst accumulation, agreement with the thick slices afterwards.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from spinecho.core.chance import integer
from spinecho.nets.multiscale import MultiScale
from spinecho.tasks.superres.base import Made, Superres, Target
from spinecho.tasks.superres.parts.degrade import Degradation, along
from spinecho.tasks.superres.parts.planes import refined
from spinecho.tasks.superres.parts.spline import enlarged, spline

_LEAST = 20
"""Pixels along a slice below which there is nothing to learn from"""
_LIKE = (0.6, 1.7)
"""Pixels that are so many times as long as the new distance between slices show the detail that is wanted"""
_FLOOR = 2e-3
_LEAST_LIGHT, _LOOKS = 0.05, 6
_NOTHING = 1
"""Numbers that the network gets for each axis: it knows only one degradation, and gets a zero"""

Pair = tuple[Tensor, Tensor]
"""Slices (n, rows, columns) interpolated and as they are; the rows were blurred"""


@dataclass(frozen=True, kw_only=True)
class Config:
    passes: float = 60.0
    """how often each pixel of the scan is learned from, in the mean"""
    most_steps: int = 1200
    """of learning, at most"""
    batch: int = 16
    """patches in each step"""
    patch: int = 64
    """pixels along a side of a patch"""
    rate: float = 3e-3
    """learning rate of Adam at its highest"""
    channels: int = 32
    """of the network"""
    width: int = 12
    """channels of each receptive field"""
    blocks: int = 5
    """of parallel receptive fields, one after another"""
    seed: int = 0
    """of first weights and patches"""


class Method(Superres):
    config: Config
    tells: ClassVar[bool] = True
    invents: ClassVar[str] = (
        "detail across the slices is drawn from the scan's own in-plane detail: what lay between them was not measured"
    )

    @classmethod
    def refusal(cls, values: Float[Tensor, "1 z y x"], target: Target) -> str | None:
        if len(target.finer) != 1 or target.degradations[target.finer[0]].name == "kspace":  # type: ignore[union-attr]
            return "it makes thick slices thin, along one axis alone"
        axis = target.finer[0]
        in_plane = [a for a in range(3) if a != axis]
        if min(target.geometry.shape[a] for a in in_plane) < _LEAST:
            return f"its slices have fewer than {_LEAST} pixels along a side"
        new = target.voxel_mm[axis] / target.factors[axis]
        if not all(_LIKE[0] <= target.voxel_mm[a] / new <= _LIKE[1] for a in in_plane):
            return f"its pixels are not about {new:.2g} mm wide, as the new slices would be"
        return None

    def forward(self, values: Float[Tensor, "1 z y x"], target: Target) -> Made:
        axis = target.finer[0]
        lost = target.degradations[axis]
        assert lost is not None
        with torch.inference_mode(False), torch.enable_grad():
            own = values[0].clone().movedim(axis, 0).contiguous()
            pairs = lessons(own, lost, target.factors[axis])
            network, told = self._learned(pairs, target)
        with torch.no_grad():
            thin = enlarged(own, (target.shape[axis], *own.shape[1:]))
            nothing = thin.new_zeros(3, _NOTHING)
            thin = (refined(network, thin, 1, nothing) + refined(network, thin, 2, nothing)) / 2
        return Made(thin.movedim(0, axis)[None], (told,))

    def _learned(self, pairs: tuple[Pair, Pair], target: Target) -> tuple[MultiScale, str]:
        """A network trained on these slices, and what is reported about that."""
        config, device = self.config, pairs[0][0].device
        rng = torch.Generator().manual_seed(config.seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            network = MultiScale(config.channels, config.width, config.blocks, 2 * _NOTHING).to(device)
        sides = [min(config.patch, *(min(slices.shape[-2:]) for _, slices in pairs))] * 2
        seen = config.batch * sides[0] * sides[1]
        steps = max(1, min(config.most_steps, math.ceil(config.passes * pairs[0][1].numel() / seen)))
        optimiser = torch.optim.Adam(network.parameters(), config.rate)
        nothing = torch.zeros(config.batch, 2 * _NOTHING, device=device)
        gains: list[float] = []
        for step in range(steps):
            optimiser.param_groups[0]["lr"] = config.rate * _schedule((step + 0.5) / steps)
            low, high = patches(pairs, sides[0], config.batch, rng)
            loss, gain = _loss(low, network(low, nothing), high)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            gains.append(gain)
            if target.tell is not None:
                target.tell(step + 1, steps)
        last = gains[-max(1, steps // 10) :]
        gain = sum(last) / len(last)
        return network.requires_grad_(
            False
        ), f"learned in {steps} steps, {gain:+.1f} dB over B-splines on its own slices"


def lessons(own: Float[Tensor, "slice y x"], lost: Degradation, factor: float) -> tuple[Pair, Pair]:
    """Its slices blurred along y, and along x (transposed), as the slices blur their own axis, beside themselves."""
    pairs: list[Pair] = []
    for turned in (own, own.transpose(1, 2)):
        rows = turned.shape[1]
        low = max(1, round(rows / factor))
        blurred = along(turned, [None, lost.matrix(low, rows), None])
        pairs.append((along(blurred, [None, spline(low, rows), None]), turned))
    return pairs[0], pairs[1]


def patches(pairs: tuple[Pair, Pair], side: int, number: int, rng: torch.Generator) -> Pair:
    """Squares (n, 1, side, side) of either pair, mirrored at random, few of them dark."""
    chosen: list[tuple[Tensor, Tensor]] = []
    for _ in range(number):
        low, high = pairs[integer(rng, 2)]
        for _ in range(_LOOKS):
            at, y, x = (integer(rng, n) for n in (len(high), high.shape[1] - side + 1, high.shape[2] - side + 1))
            box = (at, slice(y, y + side), slice(x, x + side))
            if float(high[box].mean()) > _LEAST_LIGHT:
                break
        flips = [axis for axis in (0, 1) if integer(rng, 2)]
        chosen.append((low[box].flip(flips), high[box].flip(flips)))
    lows, highs = zip(*chosen, strict=True)
    return torch.stack(lows)[:, None], torch.stack(highs)[:, None]


def _loss(low: Tensor, added: Tensor, high: Tensor) -> tuple[Tensor, float]:
    """log of the mean squared error of each patch, and the decibels gained on the interpolated patches."""
    error = (low + added - high).square().mean((1, 2, 3))
    before = (low - high).square().mean((1, 2, 3)) + _FLOOR**2
    loss = (error + _FLOOR**2).log().mean()
    return loss, float(10 * (before.log().mean() - loss.detach()) / math.log(10))


def _schedule(share: float) -> float:
    """Up over a twentieth of the steps, then down along a cosine."""
    return share / 0.05 if share < 0.05 else 0.5 * (1 + math.cos(math.pi * (share - 0.05) / 0.95))
