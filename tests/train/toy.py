"""A learned method of a few weights, and a source of small scans, for tests of the training loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import nn

from spinecho.core.kspace import KSpace
from spinecho.ops.coils import root_sum_of_squares
from spinecho.ops.fourier import ifft
from spinecho.sim.draws import Draws, acquire_random, fine_shape, sample_shape
from spinecho.tasks.recon.base import Recon
from spinecho.tasks.recon.examples.draw import Seeded
from spinecho.train.run import Run
from spinecho.train.settings import Settings
from spinecho.train.supply import Context
from spinecho.train.team import Team


@dataclass(frozen=True, kw_only=True)
class Config:
    channels: int = 4


class Method(Recon):
    """Zero-filled, then two convolutions; one weight is used for scans with several coils only."""

    learned: ClassVar[bool] = True

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.net = nn.Sequential(
            nn.Conv2d(1, config.channels, 3, padding=1), nn.SiLU(), nn.Conv2d(config.channels, 1, 3, padding=1)
        )
        self.many = nn.Parameter(torch.tensor(0.1))

    def forward(self, kspace: KSpace):
        x = root_sum_of_squares(ifft(kspace.samples))
        change = self.net(x.reshape(-1, 1, *x.shape[-2:])).float().reshape(x.shape)
        return kspace.image(x + change * (1 + self.many if kspace.n_coils > 1 else 1))

    def loss(self, kspace: KSpace):
        return relative_error(self(kspace).values, kspace)


def relative_error(values: torch.Tensor, kspace: KSpace) -> torch.Tensor:
    """Mean squared error over mean squared truth of each scan, mean over the scans."""
    assert kspace.target is not None
    n = len(values) if "example" in kspace.axes else 1
    error, size = ((v.square().reshape(n, -1)).mean(-1) for v in (values - kspace.target, kspace.target))
    return (error / size).mean()


def disc(shape: tuple[int, ...]) -> torch.Tensor:
    """A bright shell around a grey core with a dark hole."""
    grid = torch.meshgrid(*(torch.linspace(-1, 1, n) for n in shape), indexing="ij")
    radius = torch.stack(grid).square().sum(0).sqrt()
    return (radius < 0.8) * (0.4 + 0.6 * (radius > 0.6)) * (radius > 0.2)


class Phantoms:
    """A disc, scanned at random."""

    draws = Draws(matrix=(20, 32), coils=(1, 2, 4), masks=("random", "equispaced"), accel=(1.5, 2.5))

    def scan(self, rng: torch.Generator) -> KSpace:
        shape = sample_shape(rng, self.draws)
        return acquire_random(disc(fine_shape(shape)), shape, rng, self.draws)


def draw(seed: int = 0, part: str = "train") -> Seeded:
    return Seeded(Phantoms(), seed, part)


def run(out: Path, team: Team | None = None, **settings) -> Run:
    chosen = Settings(**{"steps": 8, "batch": 2, "save_every": 3, "validate_every": 0, "warmup": 0.2, **settings})
    torch.manual_seed(chosen.seed)
    out.mkdir(exist_ok=True)
    return Run(method=Method(Config()), task="recon", name="toy", settings=chosen, out=out, team=team or Team())


def context(
    say: Callable[[str], None] = print, on_broken: str = "stop", method=None, task="recon", keep=None, **settings
) -> Context:
    """What a task's `gather` gets from the command."""
    return Context(
        method=method or Method(Config()),
        task=task,
        name="toy",
        settings=Settings(**settings),
        device=torch.device("cpu"),
        team=Team(),
        on_broken=on_broken,
        say=say,
        keep=keep,
    )
