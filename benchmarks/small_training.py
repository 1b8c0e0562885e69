"""Small trainings for benchmarks: simulated scans of the training subjects, `train.loop`, scores on other people."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Literal

import torch

from benchmarks.held_out import score
from spinecho.core.kspace import KSpace
from spinecho.core.method import Method
from spinecho.core.precision import multiplies_bfloat16
from spinecho.evaluate.markdown import write_section
from spinecho.methods.pretrained import open_learned
from spinecho.sim.drawn.bucket import Ranges
from spinecho.sim.splits import Part
from spinecho.tasks.recon.base import Recon
from spinecho.tasks.recon.examples.acquire import CARTESIAN, Shares
from spinecho.tasks.recon.examples.draw import Seeded
from spinecho.tasks.recon.examples.sources import Ways, mixed
from spinecho.tasks.recon.examples.without_truth import WithoutTruth
from spinecho.tasks.recon.parts.losses import SUPERVISED, How, rule
from spinecho.train.draw import Examples
from spinecho.train.first import frozen
from spinecho.train.loop import train
from spinecho.train.run import Run
from spinecho.train.settings import Settings
from spinecho.train.supply import Context
from spinecho.train.team import Team

RESULTS = str(Path(__file__).parents[1] / "docs" / "results.md")
N_COILS, SNR = 6, (20.0, 60.0)
PRECISION: Literal["float32", "bfloat16"] = "bfloat16" if multiplies_bfloat16() else "float32"
SETTINGS = Settings(steps=1, batch=1, rate=5e-4, ema=0.99, validate_every=0, precision=PRECISION)
_WARM_UP, _MEASURED = 3, 8
"""Steps made before the clock counts, and those it counts"""


@dataclass(frozen=True)
class Same:
    """A few scans again and again, as a person's folder holds them; each keeps its mask and its noise."""

    scans: Sequence[KSpace]
    batch: int = 2

    def __call__(self, step: int, index: int) -> KSpace:
        return self.scans[(self.batch * step + index) % len(self.scans)]


def scans_of(paths: Sequence[Path], ranges: Ranges, method: Recon, shares: Shares = CARTESIAN) -> tuple[Seeded, Seeded]:
    """Those that train, and those that are judged: of other people (`sim.splits`: train, test).

    Parameters
    ----------
    shares
        Of the acquisitions (`examples.acquire`).
    """
    return supply(paths, "train", ranges, method, shares), supply(paths, "test", ranges, method, shares)


def supply(paths: Sequence[Path], part: Part, ranges: Ranges, method: Recon, shares: Shares = CARTESIAN) -> Seeded:
    """Scans of one part of what lies under the paths."""
    made = mixed(paths, part, Ways(ranges=ranges, shares=shares), context_of(method, "recon", "varnet"))
    assert made is not None
    return Seeded(made, 0, part)


def context_of(method: Method, task: str, name: str) -> Context:
    """Of one process on the processor that stops at a broken file."""
    return Context(
        method=method,
        task=task,
        name=name,
        settings=Settings(),
        device=torch.device("cpu"),
        team=Team(),
        on_broken="stop",
        say=print,
    )


def trained(
    method: Recon,
    name: str,
    settings: Settings,
    draw: Examples,
    loss: str = SUPERVISED,
    how: How | None = None,
    out: Path | None = None,
) -> Recon:
    """The network after all steps, with its averaged weights; says where it is every 50 steps.

    Parameters
    ----------
    out
        Folder of the run, which goes on there; None: one that is thrown away.
    """
    example = draw if loss == SUPERVISED else WithoutTruth(draw, settings.seed, loss, how or How())
    with tempfile.TemporaryDirectory() as temporary:
        folder = out or Path(temporary)
        run = Run(
            method=frozen(method, settings.freeze),
            task="recon",
            name=name,
            settings=settings,
            out=folder,
            rule=None if loss == SUPERVISED else rule(loss).loss,
        )
        for step in train(run, example):
            if step.step % 50 == 0:
                print(f"{name}, {loss}: step {step.step}, loss {step.loss:.4g}, {step.seconds:.2f} s", flush=True)
        best = open_learned("recon", run.weights)
    assert isinstance(best, Recon)
    return best


def parser(name: str, told: str | None, minutes: str | None = None) -> argparse.ArgumentParser:
    """The command line that these benchmarks share; `minutes`: of what the time on the processor is, if it counts."""
    made = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=told)
    made.add_argument("--shared", type=Path, default=Path(__file__).parents[2] / "shared", help="folder with data/")
    if minutes:
        made.add_argument("--minutes", type=float, default=12.0, help=f"of the processor, for {minutes}")
    made.add_argument("--side", type=int, default=96, help="pixels along an axis")
    made.add_argument("--judged", type=int, default=24, help="scans of each kind that judge")
    made.add_argument("--out", default=RESULTS, help="`-`: print only")
    return made


def ranges(side: int, low: float, high: float) -> Ranges:
    """Of scans between two accelerations."""
    return Ranges(matrix=(side, side), coils=(N_COILS,), accel=(low, high), snr=SNR, points=0.0, long=0.0)


def first(draw: Seeded, n: int) -> list[KSpace]:
    """Its first scans."""
    return [draw(step, 0) for step in range(1, n + 1)]


def trained_for(minutes: float, make: Callable[[], Recon], name: str, draw: Examples) -> tuple[Recon, int]:
    """A network after so many minutes of the processor, from the same first weights each time; and its steps."""
    torch.manual_seed(0)
    steps = steps_within(60 * minutes, make(), name, SETTINGS, draw)
    torch.manual_seed(0)
    return trained(make(), name, replace(SETTINGS, steps=steps), draw), steps


def steps_within(cpu_s: float, method: Recon, name: str, settings: Settings, draw: Examples) -> int:
    """How many steps fit into so many seconds of the processor, drawing of scans included; the method is spoilt."""
    with tempfile.TemporaryDirectory() as folder:
        few = replace(settings, steps=_WARM_UP + _MEASURED)
        run = Run(method=method, task="recon", name=name, settings=few, out=Path(folder), rule=None)
        clock, each = time.process_time(), list[float]()
        for _ in train(run, draw):
            now = time.process_time()
            each.append(now - clock)
            clock = now
    return max(1, round(cpu_s / median(each[_WARM_UP:])))


def publish(out: str, title: str, text: str) -> None:
    """Print a section, and write it where `out` says (`-`: print only)."""
    print(f"## {title}\n\n{text}")
    if out != "-":
        write_section(Path(out), title, text)


def scores(method: Recon, judged: Sequence[KSpace]) -> list[float]:
    """psnr inside, dB, of each scan."""
    with torch.inference_mode():
        return [score(method(replace(k, target=None)).values, k.target) for k in judged if k.target is not None]
