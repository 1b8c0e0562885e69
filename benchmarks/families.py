"""`python -m benchmarks.families`: families of networks after the same training time, from random weights.

All see the same simulated acquisitions of training heads, one a step, for the same seconds of the processor (drawing
included); scans of other people judge. A short training tells which family learns fast, not which is best in the end.
A section of docs/results.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from statistics import fmean

import torch

from benchmarks.sections import circumstances, load_average, table
from benchmarks.small_training import N_COILS, SETTINGS, first, parser, publish, ranges, scans_of, scores, trained_for
from spinecho.tasks.recon.base import Recon
from spinecho.tasks.recon.methods import cascade, hqs_net, l1_wavelet, transformer, unet, varnet, zero_filled

TITLE = "Families of networks, equal training time, simulated"
FAMILIES: dict[str, Callable[[], Recon]] = {
    "unet": lambda: unet.Method(unet.Config()),
    "cascade": lambda: cascade.Method(cascade.Config()),
    "varnet": lambda: varnet.Method(varnet.Config(start_iters=60)),
    "hqs_net": lambda: hqs_net.Method(hqs_net.Config(start_iters=60)),
    "transformer": lambda: transformer.Method(transformer.Config()),
}
"""As they are by default, but for the start: its number of iterations, as when the table was made."""
CLASSICAL: dict[str, Callable[[], Recon]] = {
    "zero_filled": lambda: zero_filled.Method(zero_filled.Config()),
    "l1_wavelet": lambda: l1_wavelet.Method(l1_wavelet.Config()),
}
RATES = (4.0, 8.0)


def arguments() -> argparse.Namespace:
    """The command line."""
    made = parser("families", __doc__, "each family")
    made.add_argument("--families", nargs="*", default=list(FAMILIES), choices=list(FAMILIES))
    return made.parse_args()


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


def main() -> None:
    """All families, then the section."""
    args, before = arguments(), load_average()
    torch.set_num_threads(1)
    folder, classical = [args.shared / "data" / "label_maps"], CLASSICAL["l1_wavelet"]()
    judges = [first(scans_of(folder, ranges(args.side, at, at), classical)[1], args.judged) for at in RATES]
    rows = {name: [scores(made(), each) for each in judges] for name, made in CLASSICAL.items()}
    sizes: dict[str, list[str]] = {}
    for name in args.families:
        draw = scans_of(folder, ranges(args.side, *RATES), FAMILIES[name]())[0]
        method, steps = trained_for(args.minutes, FAMILIES[name], name, draw)
        rows[name] = [scores(method, each) for each in judges]
        sizes[name] = [f"{sum(p.numel() for p in method.parameters()):,}", f"{steps:,}"]
        print(f"{name}: {steps} steps, {[round(fmean(v), 2) for v in rows[name]]} dB", flush=True)
    told = f"{args.minutes:g} minutes of the processor each, {args.side} x {args.side} pixels, {N_COILS} coils, "
    told += f"random lines, SNR 20 to 60, rate {SETTINGS.rate:g}; {args.judged} scans of other heads at each R. "
    text = page(rows, sizes, told + circumstances("benchmarks.families", 1, before))
    publish(args.out, TITLE, text)


if __name__ == "__main__":
    main()
