"""`python -m benchmarks.families`: families of networks after the same training time, from random weights.

All see the same simulated acquisitions of training heads, one a step, for the same seconds of the processor (drawing
included); scans of other people judge. A short training tells which family learns fast, not which is best in the end.
A section of docs/results.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from statistics import fmean

import torch

from benchmarks.sections import circumstances, load_average, table
from benchmarks.small_training import RESULTS, publish, scans_of, scores, steps_within, trained
from spinecho.core.kspace import KSpace
from spinecho.sim.drawn.bucket import Ranges
from spinecho.tasks.recon.base import Recon
from spinecho.tasks.recon.methods import cascade, hqs_net, l1_wavelet, transformer, unet, varnet, zero_filled
from spinecho.train.settings import Settings

ROOT = Path(__file__).parents[1]
TITLE = "Families of networks, equal training time, simulated"
FAMILIES: dict[str, Callable[[], Recon]] = {
    "unet": lambda: unet.Method(unet.Config()),
    "cascade": lambda: cascade.Method(cascade.Config()),
    "varnet": lambda: varnet.Method(varnet.Config()),
    "hqs_net": lambda: hqs_net.Method(hqs_net.Config()),
    "transformer": lambda: transformer.Method(transformer.Config()),
}
"""As they are by default."""
CLASSICAL: dict[str, Callable[[], Recon]] = {
    "zero_filled": lambda: zero_filled.Method(zero_filled.Config()),
    "l1_wavelet": lambda: l1_wavelet.Method(l1_wavelet.Config()),
}
RATES = (4.0, 8.0)
SETTINGS = Settings(steps=1, batch=1, rate=5e-4, ema=0.99, validate_every=0, precision="bfloat16")


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.families", description=__doc__)
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared", help="folder that holds data/")
    parser.add_argument("--minutes", type=float, default=12.0, help="of the processor, for each family")
    parser.add_argument("--side", type=int, default=96, help="pixels along an axis")
    parser.add_argument("--coils", type=int, default=6)
    parser.add_argument("--judged", type=int, default=24, help="scans of other heads at each rate")
    parser.add_argument("--families", nargs="*", default=list(FAMILIES), choices=list(FAMILIES))
    parser.add_argument("--out", default=RESULTS, help="`-`: print only")
    return parser.parse_args()


def ranges(args: argparse.Namespace, low: float, high: float) -> Ranges:
    """Of scans between two accelerations."""
    side = (args.side, args.side)
    return Ranges(matrix=side, coils=(args.coils,), accel=(low, high), snr=(20.0, 60.0), points=0.0, long=0.0)


def learnt(name: str, args: argparse.Namespace) -> tuple[Recon, int, int]:
    """A family's network after its time; its weights and steps."""
    torch.manual_seed(0)
    method = FAMILIES[name]()
    draw = scans_of([args.shared / "data" / "label_maps"], ranges(args, *RATES), method)[0]
    steps = steps_within(60 * args.minutes, FAMILIES[name](), name, SETTINGS, draw)
    n_weights = sum(p.numel() for p in method.parameters())
    chosen = Settings(**{**vars(SETTINGS), "steps": steps})
    return trained(method, name, chosen, draw), n_weights, steps


def page(rows: dict[str, list[list[float]]], sizes: dict[str, list[str]], told: str) -> str:
    """Mean psnr at each rate, and the gain over `l1_wavelet`, the least one too."""
    base = rows["l1_wavelet"]
    cells = []
    for name, each in rows.items():
        gains = [[a - b for a, b in zip(v, w, strict=True)] for v, w in zip(each, base, strict=True)]
        numbers = [f"{fmean(v):.2f}" for v in each] + [f"{fmean(v):+.2f} ({min(v):+.2f})" for v in gains]
        cells.append([f"`{name}`", *sizes.get(name, ["", ""]), *numbers])
    at = [f"R = {rate:g}" for rate in RATES]
    head = ["method", "weights", "steps", *(f"psnr inside, {a}, dB" for a in at)]
    return f"{told}\n\n{table([*head, *(f'over `l1_wavelet` (least), {a}' for a in at)], cells)}"


def judged(args: argparse.Namespace) -> list[list[KSpace]]:
    """At each rate, scans of people who do not train."""
    classical = CLASSICAL["l1_wavelet"]()
    folder = [args.shared / "data" / "label_maps"]
    draws = [scans_of(folder, ranges(args, rate, rate), classical)[1] for rate in RATES]
    return [[draw(step, 0) for step in range(1, args.judged + 1)] for draw in draws]


def main() -> None:
    """All families, then the section."""
    args, before = arguments(), load_average()
    torch.set_num_threads(1)
    scans = judged(args)
    rows = {name: [scores(made(), each) for each in scans] for name, made in CLASSICAL.items()}
    sizes: dict[str, list[str]] = {}
    for name in args.families:
        method, n_weights, steps = learnt(name, args)
        rows[name] = [scores(method, each) for each in scans]
        sizes[name] = [f"{n_weights:,}", f"{steps:,}"]
        print(f"{name}: {steps} steps, {[round(fmean(v), 2) for v in rows[name]]} dB", flush=True)
    told = f"{args.minutes:g} minutes of the processor each, {args.side} x {args.side} pixels, {args.coils} coils, "
    told += f"random lines, SNR 20 to 60, rate {SETTINGS.rate:g}; {args.judged} scans of other heads at each R. "
    text = page(rows, sizes, told + circumstances("benchmarks.families", 1, before))
    publish(args.out, TITLE, text)


if __name__ == "__main__":
    main()
