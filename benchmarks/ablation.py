"""What each part of `superres/multiscale` brings: kernels, width and depth, one changed at a time.

    python -m benchmarks.ablation --steps 1200

Each network has the same steps from the same seed on the same slices, and is judged on the same slices of the part
that validates; nothing of the test part is used. The chest slices name no one, so that people may repeat there. The
paper's kernels of several sizes are dilations here, so that the first rows compare kernels: alone, by two, by three,
by four, as many channels together.

Source: the ablation of Liu et al. 2018, doi:10.1186/s12938-018-0546-9 (kernel size, width, depth).
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean, median, stdev

import torch
from torch import Tensor

from benchmarks.sections import circumstances, load_average, table
from benchmarks.small_training import PRECISION, context_of, publish
from spinecho.methods.pretrained import open_learned
from spinecho.tasks.superres.examples import slices
from spinecho.tasks.superres.methods.multiscale import MARGIN, Config, Method
from spinecho.tasks.superres.parts.lesson import N_CONDITIONS, Lesson
from spinecho.train.held_out import resting
from spinecho.train.loop import train
from spinecho.train.run import Run
from spinecho.train.settings import Settings

TITLE = "Ablation of multiscale: kernels, width and depth"
SETTINGS = Settings(steps=1, batch=1, rate=2e-3, ema=0.99, validate_every=0, precision=PRECISION)
VARIANTS: dict[str, Config] = {
    "as it is: dilations 1 2 4, width 16, 7 blocks, 48 channels": Config(),
    "kernels: 3 x 3 alone": Config(dilations=(1,), width=48),
    "kernels: dilated by 4 alone": Config(dilations=(4,), width=48),
    "kernels: dilations 1 2": Config(dilations=(1, 2), width=24),
    "kernels: dilations 1 2 4 8": Config(dilations=(1, 2, 4, 8), width=12),
    "width 8": Config(width=8),
    "width 24": Config(width=24),
    "channels 24": Config(channels=24),
    "depth: 3 blocks": Config(blocks=3),
    "depth: 11 blocks": Config(blocks=11),
}
_SIDE, _REPEATS = 256, 5
"""Pixels of the slice that is timed, and how often"""


def arguments() -> argparse.Namespace:
    """What a person may set."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.ablation", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--shared", type=Path, default=Path(__file__).parents[2] / "shared", help="folder with data/")
    parser.add_argument("--steps", type=int, default=1200, help="of each network")
    parser.add_argument("--judged", type=int, default=40, help="examples of 16 slices that judge")
    parser.add_argument("--only", nargs="*", help="words of the rows to make: others are left out")
    parser.add_argument("--run", type=Path, default=Path("runs/ablation"), help="folder of the runs, which go on there")
    parser.add_argument("--out", default=str(Path(__file__).parents[1] / "docs" / "results.md"), help="`-`: print only")
    return parser.parse_args()


def supply(args: argparse.Namespace) -> tuple[slices.Drawn, list[Lesson]]:
    """What trains, and what judges."""
    context = context_of(Method(Config()), "superres", "multiscale")
    paths = [args.shared / "data" / name for name in ("anatomy_hd", "ms_1mm", "chest")]
    ones, others = (slices.gathered(paths, part, context) for part in ("train", "validate"))
    held = slices.Drawn(others, slices.PATCH, slices.PATCHES, 0, "validate")
    return slices.Drawn(ones, slices.PATCH, slices.PATCHES, 0), [held(0, i) for i in range(args.judged)]


def gains(method: Method, judged: Sequence[Lesson]) -> list[float]:
    """psnr over B-splines, dB: mean over the slices of each example, the edges left out as in training."""
    with resting(method):
        return [fmean(_gains(method.estimate(example), example)) for example in judged]


def _gains(made: Tensor, example: Lesson) -> list[float]:
    kept = (..., slice(MARGIN, -MARGIN), slice(MARGIN, -MARGIN))
    left, begun = ((x - example.high)[kept].square().flatten(1).mean(1) for x in (made, example.interpolated))
    there = begun > 0
    return (10 * (begun / left.clamp_min(1e-12))[there].log10()).tolist()


def slice_ms(method: Method) -> float:
    """Of one slice through the network."""
    seen, told = torch.rand(1, 1, _SIDE, _SIDE), torch.zeros(1, 2 * N_CONDITIONS)
    times = list[float]()
    with resting(method):
        for _ in range(_REPEATS):
            begun = time.perf_counter()
            method.network(seen, told)
            times.append(1000 * (time.perf_counter() - begun))
    return median(times)


def learned(config: Config, name: str, draw: slices.Drawn, args: argparse.Namespace) -> Method:
    """A network after all steps, with its averaged weights."""
    torch.manual_seed(0)
    folder = args.run / "".join(c if c.isalnum() else "_" for c in name)
    settings = replace(SETTINGS, steps=args.steps)
    run = Run(method=Method(config), task="superres", name="multiscale", settings=settings, out=folder, rule=None)
    for step in train(run, draw):
        if step.step % 100 == 0:
            print(f"{name}: step {step.step}, loss {step.loss:.4g}, {step.seconds:.2f} s", flush=True)
    method = open_learned("superres", run.weights)
    assert isinstance(method, Method)
    return method


def page(rows: Mapping[str, tuple[Method, list[float], float]], told: str) -> str:
    """A row for each network; differences are paired, with a standard error over the examples."""
    (_, first, _), cells = next(iter(rows.values())), list[list[str]]()
    for name, (method, values, ms) in rows.items():
        off = [b - a for a, b in zip(first, values, strict=True)]
        error = stdev(off) / math.sqrt(len(off)) if len(off) > 1 else math.nan
        beside = f"{fmean(off):+.3f} +- {error:.3f}" if any(off) else ""
        thousands = sum(p.numel() for p in method.parameters()) / 1000
        sees = str(2 * method.network.radius + 1)
        cells.append([name, f"{thousands:.0f}", sees, f"{fmean(values):.3f}", beside, f"{ms:.0f}"])
    head = ["network", "weights, thousands", "sees, pixels", "over B-splines, dB", "beside the first, dB"]
    return f"{told}\n\n{table([*head, f'a slice of {_SIDE} x {_SIDE}, ms'], cells)}"


def main() -> None:
    """All networks, then the section."""
    args, before = arguments(), load_average()
    torch.set_num_threads(1)
    draw, judged = supply(args)
    rows = dict[str, tuple[Method, list[float], float]]()
    for name, config in VARIANTS.items():
        if not args.only or any(word in name for word in args.only):
            method = learned(config, name, draw, args)
            rows[name] = (method, gains(method, judged), slice_ms(method))
            print(f"{name}: {fmean(rows[name][1]):.3f} dB over B-splines", flush=True)
    told = f"{args.steps} steps of 16 patches of {slices.PATCH} pixels each, one seed: the packaged weights have many "
    told += f"more. {args.judged} examples of 16 slices of the part that validates judge (its chest slices name no "
    told += "one, so that people may repeat there), every degradation of the training "
    told += "drawn; differences are paired, with one standard error over the examples, which says nothing of another "
    told += "seed. " + circumstances("benchmarks.ablation", 1, before)
    publish(args.out, TITLE, page(rows, told))


if __name__ == "__main__":
    main()
