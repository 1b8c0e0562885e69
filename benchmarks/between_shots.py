"""`python -m benchmarks.between_shots`: networks trained on motion between shots, beside one that saw none.

Simulated acquisitions of training heads, half of them in shots between which the head moved by up to 5 mm and 5 degrees
(`--acquire cartesian shots`); each network has the same seconds of the processor, from random weights. Still and moving
scans of other people judge. A section of docs/results.md.
"""

from __future__ import annotations

import argparse
from statistics import fmean

import torch

from benchmarks.families import FAMILIES
from benchmarks.sections import circumstances, load_average, table
from benchmarks.small_training import N_COILS, first, parser, publish, ranges, scans_of, scores, trained_for
from spinecho.tasks.recon.examples.acquire import CARTESIAN, Shares
from spinecho.tasks.recon.methods import l1_wavelet

TITLE = "Motion between shots, simulated"
MOVING: Shares = (("shots", 1.0),)
BOTH: Shares = (("cartesian", 0.5), ("shots", 0.5))
ARMS: dict[str, tuple[str, Shares]] = {
    "varnet, still scans only": ("varnet", CARTESIAN),
    "varnet": ("varnet", BOTH),
    "hqs_net": ("hqs_net", BOTH),
    "transformer": ("transformer", BOTH),
}
"""The network, and what it trains on."""


def arguments() -> argparse.Namespace:
    """The command line."""
    made = parser("between_shots", __doc__, "each network")
    made.add_argument("--arms", nargs="*", default=list(ARMS), choices=list(ARMS))
    return made.parse_args()


def page(rows: dict[str, list[list[float]]], told: str) -> str:
    """Means of still and of moving scans, and what the moving ones gain over `l1_wavelet`."""
    base = rows["l1_wavelet"]
    cells = []
    for name, (still, moving) in rows.items():
        gains = [a - b for a, b in zip(moving, base[1], strict=True)]
        over = f"{fmean(still) - fmean(base[0]):+.2f}", f"{fmean(gains):+.2f}", f"{min(gains):+.2f}"
        cells.append([f"`{name}`", f"{fmean(still):.2f}", f"{fmean(moving):.2f}", *over])
    head = ["method", "still, psnr inside, dB", "moving, dB", "over `l1_wavelet`, still", "moving", "moving, least"]
    return f"{told}\n\n{table(head, cells)}"


def main() -> None:
    """All networks, then the section."""
    args, before = arguments(), load_average()
    torch.set_num_threads(1)
    folder, scans = [args.shared / "data" / "label_maps"], ranges(args.side, 2.0, 4.0)
    classical = l1_wavelet.Method(l1_wavelet.Config())
    judges = [first(scans_of(folder, scans, classical, way)[1], args.judged) for way in (CARTESIAN, MOVING)]
    rows = {"l1_wavelet": [scores(classical, each) for each in judges]}
    for arm in args.arms:
        name, shares = ARMS[arm]
        draw = scans_of(folder, scans, FAMILIES[name](), shares)[0]
        method, _ = trained_for(args.minutes, FAMILIES[name], name, draw)
        rows[arm] = [scores(method, each) for each in judges]
        print(f"{arm}: {[round(fmean(v), 2) for v in rows[arm]]} dB", flush=True)
    told = f"{args.minutes:g} minutes of the processor each, {args.side} x {args.side} pixels, {N_COILS} coils, "
    told += f"R = 2 to 4, 2 to 8 shots, SNR 20 to 60; {args.judged} still and as many moving scans of others. "
    text = page(rows, told + circumstances("benchmarks.between_shots", 1, before))
    publish(args.out, TITLE, text)


if __name__ == "__main__":
    main()
