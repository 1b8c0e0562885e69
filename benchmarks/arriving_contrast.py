"""`python -m benchmarks.arriving_contrast`: `varnet_kt` that learned contrast's arrival from undersampled series alone.

Shells of three tissues, R = 8, 8 coils, other ones than those that judge (`benchmarks.moving`). No image without
undersampling is ever seen: the weights begin at random and learn to predict lines left out (`--loss ssdu`), from strips
of the readout. Scenes that judge are whole; psnr inside the object, and each tissue's mean brightness over time. A
section of docs/results.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from statistics import fmean

import torch
from jaxtyping import Integer
from torch import Tensor
from torch.nn import functional as F

import spinecho
from benchmarks.moving import SNRS, bolus, boluses, measured, of_number, score
from benchmarks.sections import circumstances, load_average, table
from benchmarks.small_training import RESULTS, SETTINGS, publish, trained
from spinecho.calib.object_noise import cut_readout
from spinecho.calib.prepare import prepare
from spinecho.core.chance import integer
from spinecho.core.geometry import Geometry
from spinecho.core.kspace import KSpace
from spinecho.tasks.recon.methods import varnet_kt
from spinecho.tasks.recon.parts.losses import How
from spinecho.tasks.recon.slices import settled
from spinecho.train.draw import generator

ROOT = Path(__file__).parents[1]
TITLE = "Contrast arriving, trained without a truth, simulated"
RATE, TISSUES = 8, (1, 2, 3)
STRIP = 40
"""Columns of the readout that one training example has"""
NETWORK = varnet_kt.Config(channels=(16, 32, 48), blocks=(1, 1, 1))
_OTHERS = 10_000
"""Number of the first series that trains; those that judge have the first ones"""
_EDGE = 3
"""Pixels from a tissue's border that its curve leaves out"""
_LEARNED, _SHIPPED = "varnet_kt, ssdu on undersampled series", "varnet_kt, as it is in the package"


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.arriving_contrast", description=__doc__)
    parser.add_argument("--steps", type=int, default=1200, help="of training")
    parser.add_argument("--rate", type=float, default=1e-3, help="of learning")
    parser.add_argument("--series", type=int, default=40, help="undersampled series that train")
    parser.add_argument("--judged", type=int, default=3, help="scenes that judge")
    parser.add_argument("--run", type=Path, default=ROOT / "runs/arriving_contrast", help="folder of the training")
    parser.add_argument("--out", default=RESULTS, help="`-`: print only")
    return parser.parse_args()


@dataclass(frozen=True)
class Strips:
    """Training examples by number: some columns of an undersampled series, all its frames and lines.

    Parameters
    ----------
    n
        Series to draw from.
    """

    n: int

    def __call__(self, step: int, index: int) -> KSpace:
        rng = generator(0, "strip", step, index)
        scan = undersampled(integer(rng, self.n))
        at = integer(rng, scan.samples.shape[-1] - STRIP + 1)
        strip = cut_readout(scan, torch.arange(at, at + STRIP))
        return replace(strip, geometries=(Geometry.unknown(strip.encoding.matrix),))


@cache
def undersampled(i: int) -> KSpace:
    """Series i of those that train, without a truth."""
    rng = of_number(_OTHERS + i)
    scan = measured(bolus(rng)[1], RATE, SNRS[i % len(SNRS)], 700 + i, rng)
    return replace(settled(prepare(scan)[0]), target=None)


def scenes(n: int) -> Iterator[tuple[Integer[Tensor, "y x"], KSpace]]:
    """Tissues on the scan's grid (0: none, or near a border), and the scan: those of `benchmarks.moving`."""
    scans = (scan for _, rate, scan in boluses(n) if rate == RATE)
    for i, scan in enumerate(scans):
        yield inner(bolus(of_number(i))[0]), scan


def inner(tissues: Integer[Tensor, "v u"]) -> Integer[Tensor, "y x"]:
    """Tissues on half the grid; 0 within some pixels of a border."""
    kept = torch.zeros_like(tissues[::2, ::2])
    for label in TISSUES:
        other = (tissues != label).float()[None, None]
        far = F.max_pool2d(other, 4 * _EDGE + 1, 1, 2 * _EDGE)[0, 0, ::2, ::2] == 0
        kept[far] = label
    return kept


def curve_errors(values: Tensor, truth: Tensor, tissues: Tensor) -> Mapping[int, float]:
    """For each tissue, the root mean square over time of its mean brightness less the true one, in percent of the true
    curve's maximum."""
    x, t = (v.abs().reshape(-1, *v.shape[-2:]) for v in (values, truth))
    x = x * (x * t).sum() / x.square().sum()
    found: dict[int, float] = {}
    for label in TISSUES:
        if (where := tissues == label).any():
            made, true = x[:, where].mean(1), t[:, where].mean(1)
            found[label] = 100 * float((made - true).square().mean().sqrt() / true.max())
    return found


def learned(args: argparse.Namespace) -> Path:
    """Weights after the training, or after what an earlier run of it left to do."""
    torch.manual_seed(0)
    settings = replace(SETTINGS, steps=args.steps, rate=args.rate, save_every=25)
    draw = Strips(args.series)
    trained(varnet_kt.Method(NETWORK).train(), "varnet_kt", settings, draw, "ssdu", How(), args.run)
    return args.run / "weights.safetensors"


def page(rows: Mapping[str, list[tuple[float, Mapping[int, float]]]], told: str) -> str:
    """Means, gains over `llr`, and the largest error of a curve."""
    base, cells = [p for p, _ in rows["llr"]], list[list[str]]()
    for name, each in rows.items():
        gains = [p - b for (p, _), b in zip(each, base, strict=True)]
        curves = [[e[label] for _, e in each if label in e] for label in TISSUES]
        shown = [f"{fmean(c):.1f} ({max(c):.1f})" if c else "" for c in curves]
        cells.append([name, f"{fmean(p for p, _ in each):.2f}", f"{fmean(gains):+.2f}", f"{min(gains):+.2f}", *shown])
    head = ["method", "psnr inside, dB", "over `llr`", "least", *(f"curve of {t}" for t in ("tissue 1", "2", "blood"))]
    return f"{told}\n\n{table(head, cells)}"


def main() -> None:
    """Train, judge, and write the section."""
    args, before = arguments(), load_average()
    torch.set_num_threads(1)
    weights = learned(args)
    rows: dict[str, list[tuple[float, Mapping[int, float]]]] = {}
    ways = {"llr": ("llr", {}), _LEARNED: ("varnet_kt", {"weights": str(weights)}), _SHIPPED: ("varnet_kt", {})}
    with torch.inference_mode():
        for tissues, scan in scenes(args.judged):
            assert scan.target is not None
            for name, (method, settings) in ways.items():
                image = spinecho.recon(scan, method, **settings)
                errors = curve_errors(image.values, scan.target, tissues)
                rows.setdefault(name, []).append((score(image.values, scan.target), errors))
                print(name, rows[name][-1], flush=True)
    told = f"{args.judged} scenes, 24 frames of 128 x 128, R = {RATE}, 8 coils, SNR 15, 30, 60; {args.series} other "
    told += f"series train, {args.steps} steps of one strip of {STRIP} columns. Curves: error of a tissue's mean "
    told += "brightness (root mean square over time, percent of its maximum), mean and largest. "
    text = page(rows, told + circumstances("benchmarks.arriving_contrast", 1, before))
    publish(args.out, TITLE, text)


if __name__ == "__main__":
    main()
