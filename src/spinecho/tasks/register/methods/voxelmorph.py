"""VoxelMorph: affine, then a trained network that sees both images and predicts the flow between them, in seconds.

Source: Balakrishnan et al. 2019, doi:10.1109/TMI.2019.2897538; a stationary velocity as in Dalca et al. 2019,
doi:10.1016/j.media.2019.07.006; labels and random contrasts in training as in Hoffmann et al. 2022 (SynthMorph),
doi:10.1109/TMI.2021.3116879. How we differ: the network looks at blocks of 2^3 voxels of 2 mm and answers at 4 mm;
beside the images it sees which way local correlation pulls, and corrects that; it looks again, several times, at both
images brought to the middle of the way; by default it learns the result of a few steps of optimisation on the pair
(`methods/velocity_loss.py`); the flow is made free of folds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from spinecho.core.errors import DataError
from spinecho.core.field import flow, in_mm, moved, sampling_grid
from spinecho.core.geometry import Geometry
from spinecho.core.header import WARNING
from spinecho.core.image import Image
from spinecho.core.precision import full_precision
from spinecho.core.transform import Transform, Velocity
from spinecho.nets.unet3d import UNet3d
from spinecho.ops.windows import block_mean, enlarged, gaussian
from spinecho.tasks.register.base import Register, Stage
from spinecho.tasks.register.limits import outside
from spinecho.tasks.register.parts.affine import linear_stages
from spinecho.tasks.register.parts.compare import contrast_agreement
from spinecho.tasks.register.parts.example import Example, PairBatch, seen
from spinecho.tasks.register.parts.flow import tapered, unfolded
from spinecho.tasks.register.parts.pair import Pair, matched, spaced_grid
from spinecho.tasks.register.parts.similarity import lncc
from spinecho.tasks.register.parts.velocity_loss import amortised, direct

_AFFINE = 0.6
"""Share of the work that is done after the affine"""
_MOST = 4_000_000
"""Voxels seen at once; of larger objects the network sees a coarser grid"""
_BLOCK = 2
"""Voxels of the images along one of the velocity's"""
_SETTLING = 0.75
"""Share of the passes, the last ones, that count less and less"""
_RADIUS, _PULL_SMOOTH = 2, 0.8
"""Of the local correlation that pulls, and the Gaussian on its force, in voxels"""


@dataclass(frozen=True, kw_only=True)
class Config:
    passes: int = 8
    """how often the network looks, each time at both images brought to the middle of the way found so far; the last
    passes count less and less"""
    channels: tuple[int, ...] = (32, 48, 64, 64)
    """of the network's levels, finest first"""
    spacing_mm: float = 2.0
    """of the grid on which the network sees the images; the velocity's voxels are twice as large"""
    smooth: float = 0.7
    """Gaussian on each predicted velocity, in its voxels"""
    train_passes: int = 4
    """training: passes at most, of which the last is trained; all count fully"""
    loss: Literal["amortised", "lncc", "mse"] = "amortised"
    """training: distance from what a few steps on the pair itself make of the velocity; or VoxelMorph's own, local
    correlation or squared difference of the warped image"""
    goal_steps: int = 8
    """training with amortised: steps on the pair"""
    gradient_weight: float = 1.0
    """training with lncc or mse: of the velocity's squared gradient"""
    label_weight: float = 0.5
    """training: of the labels' squared distance, where there are labels; images of one contrast count 1"""


class Method(Register):
    config: Config
    learned: ClassVar[bool] = True
    tunable: ClassVar[tuple[str, ...]] = ("passes",)

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        counts = {name: getattr(config, name) for name in ("passes", "train_passes", "goal_steps")}
        if min(counts.values()) < 1 or not config.spacing_mm > 0:
            counted = ", ".join(f"{name} {n}" for name, n in counts.items())
            do = "give at least one pass and step, and a spacing over 0"
            raise DataError(f"{counted}, spacing_mm {config.spacing_mm:g}", do=do)
        self.unet = UNet3d(2 * _BLOCK**3 + 6, config.channels)
        self.leave = nn.Conv3d(config.channels[0], 3, 3, padding=1)
        for p in self.leave.parameters():  # it begins with the pulls alone
            nn.init.zeros_(p)
        self.step = nn.Parameter(torch.tensor([-1.0, -1.5]))
        """How far both pulls go, in voxels of the velocity"""

    def stages(self, fixed: Image, moving: Image) -> Iterator[Stage]:
        affine: Transform | None = None
        for stage in linear_stages(fixed, moving, "affine"):
            affine = stage.transform
            yield replace(stage, done=stage.done * _AFFINE)
        assert affine is not None
        for doubt in outside(self.card, fixed, moving):
            yield Stage("check", affine, _AFFINE, note=WARNING + doubt)
        grid = self._grid(fixed)
        pair = matched(fixed, moving, affine, grid)
        images = [pair.fixed, pair.moving]
        if pair.weight is not None:  # outside of the mask, or of one of both images, there is nothing to be seen
            images = [image * pair.weight for image in images]
        if doubt := self._unlike(pair):
            yield Stage("flow", affine, 1.0, note=WARNING + doubt)
            return
        velocity = self.velocity(seen(images[0]), seen(images[1]), self.config.passes)
        # on the finer grid the flow and its inverse fit each other three times better
        velocity = unfolded(tapered(enlarged(velocity, _BLOCK) * _BLOCK, 2 * _BLOCK))
        mm = grid.voxel_mm[0]
        told = f"seen at {mm:.3g} mm, passes: {self.config.passes}"
        warp = affine @ Velocity(in_mm(velocity, grid.affine), grid)
        yield Stage(f"flow at {_BLOCK * mm:.3g} mm", warp, 1.0, note=told)

    def velocity(
        self, fixed: Float[Tensor, "1 z y x"], moving: Float[Tensor, "1 z y x"], passes: int, learning: bool = False
    ) -> Float[Tensor, "3 z2 y2 x2"]:
        """The velocity in voxels of the grid of blocks, fixed to moving.

        Parameters
        ----------
        fixed, moving
            As `methods.example.seen` makes them, on one grid; sizes are multiples of 4.
        learning
            Whether the last pass can be differentiated; those before it are what it is given, and all count fully.
        """
        return self._velocities([(fixed, moving)], passes, learning)[0]

    def _velocities(self, pairs: Sequence[tuple[Tensor, Tensor]], passes: int, learning: bool) -> list[Tensor]:
        """One for each pair; the network sees all pairs at once."""
        shape = [n // _BLOCK for n in pairs[0][0].shape[1:]]
        velocities = [fixed.new_zeros(3, *shape) for fixed, _ in pairs]
        for k in range(passes):
            share = 1.0 if learning else share_of_pass(k, passes)
            with torch.set_grad_enabled(learning and k == passes - 1):
                seen = [midway(*pair, v) if k else pair for pair, v in zip(pairs, velocities, strict=True)]
                velocities = [v + share * change for v, change in zip(velocities, self._look(seen), strict=True)]
        return velocities

    def loss(self, example: Example | PairBatch) -> Float[Tensor, ""]:
        """What a step of training lowers: of 1 to `train_passes` passes (the examples' own chance decides) the last."""
        config = self.config
        examples = example.examples if isinstance(example, PairBatch) else (example,)
        passes = 1 + min(int(examples[0].chance * config.train_passes), config.train_passes - 1)
        velocities = self._velocities([(e.fixed, e.moving) for e in examples], passes, learning=True)
        with full_precision(velocities[0]):
            return torch.stack([self._distance(*one) for one in zip(velocities, examples, strict=True)]).mean()

    def _distance(self, velocity: Tensor, example: Example) -> Float[Tensor, ""]:
        config = self.config
        if config.loss == "amortised":
            return amortised(velocity, example, config.goal_steps, config.label_weight)
        return direct(velocity, example, config.loss, config.gradient_weight, config.label_weight)

    def _look(self, pairs: Sequence[tuple[Tensor, Tensor]]) -> list[Tensor]:
        with torch.no_grad():
            pulled = [pulls(*pair) for pair in pairs]
            shown = [torch.cat([_blocks(torch.cat(pair)), *own]) for pair, own in zip(pairs, pulled, strict=True)]
        changes = self.leave(self.unet(torch.stack(shown)))
        return [
            gaussian(change.to(fine.dtype) + self.step[0] * fine + self.step[1] * coarse, self.config.smooth)
            for change, (fine, coarse) in zip(changes, pulled, strict=True)
        ]

    def _grid(self, fixed: Image) -> Geometry:
        """Around the fixed foreground; large enough for the network's coarsest level to hold two voxels."""
        grid = spaced_grid(fixed, self.config.spacing_mm)
        if (n := math.prod(grid.shape)) > _MOST:
            grid = spaced_grid(fixed, self.config.spacing_mm * math.ceil(2 * (n / _MOST) ** (1 / 3)) / 2)
        least = 2 * _BLOCK * self.unet.coarsest
        z, y, x = (max(n, least) for n in grid.shape)
        return grid.cropped([-((m - n) // 2) for n, m in zip(grid.shape, (z, y, x), strict=True)], (z, y, x))

    def _unlike(self, pair: Pair) -> str:
        """What the weights' card says against two contrasts; empty where it takes them."""
        least = self.card.get("contrast_agreement", -1.0)
        agreement = contrast_agreement(block_mean(pair.fixed, 2), block_mean(pair.moving, 2))
        if agreement >= least:
            return ""
        return (
            f"the contrasts agree to {agreement:.2f}, the network was trained for {least:g} and more: the result is "
            "the affine alone; hybrid takes any two contrasts"
        )


def share_of_pass(k: int, passes: int) -> float:
    """How much of pass k, from 0, is taken: pulls have a fixed length, and would else go to and fro at the end."""
    return min(1.0, (passes - k) / (_SETTLING * passes))


def midway(fixed: Tensor, moving: Tensor, velocity: Tensor) -> tuple[Tensor, Tensor]:
    """Both images at the middle of the way that a velocity on the grid of blocks goes."""
    coarse, fine = _sampling(velocity), _sampling(fixed)
    there, back = (enlarged(flow(velocity * half, coarse), _BLOCK) * _BLOCK for half in (0.5, -0.5))
    return moved(fixed, back, fine), moved(moving, there, fine)


def pulls(fixed: Tensor, moving: Tensor) -> tuple[Tensor, Tensor]:
    """Where local correlation pulls at 2 and at 4 voxels of the images: forces on the grid of blocks, smoothed, of unit
    size (the root mean square, each voxel weighted by its own square)."""
    compare = lncc(_RADIUS)
    forces: list[Tensor] = []
    for factor in (_BLOCK, 2 * _BLOCK):
        _, force = compare(block_mean(fixed, factor), block_mean(moving, factor), None)
        force = gaussian(force, _PULL_SMOOTH)
        size = force.square().sum(0).sqrt()
        tiny = torch.finfo(size.dtype).tiny
        typical = (size.pow(4).sum() / size.square().sum().clamp_min(tiny)).sqrt().clamp_min(tiny)
        forces.append(enlarged(force / typical, factor // _BLOCK))
    return forces[0], forces[1]


def _blocks(x: Float[Tensor, "c z y x"]) -> Float[Tensor, "c8 z2 y2 x2"]:
    """Cubes of 2^3 voxels as channels."""
    c, *shape = x.shape
    z, y, w = (n // _BLOCK for n in shape)
    return x.reshape(c, z, _BLOCK, y, _BLOCK, w, _BLOCK).permute(0, 2, 4, 6, 1, 3, 5).reshape(-1, z, y, w)


def _sampling(like: Tensor) -> Tensor:
    return sampling_grid((like.shape[1], like.shape[2], like.shape[3]), like)
