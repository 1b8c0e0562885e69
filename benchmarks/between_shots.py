"""`python -m benchmarks.between_shots`: networks trained on motion between shots, beside one that saw none.

Simulated acquisitions of training heads, half of them in shots between which the head moved by up to 5 mm and 5 degrees
(`--acquire cartesian shots`); each network has the same seconds of the processor, from random weights. Still and moving
scans of other people judge. A section of docs/results.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import fmean

import torch

from benchmarks.families import FAMILIES, SETTINGS
from benchmarks.sections import circumstances, load_average, table
from benchmarks.small_training import RESULTS, publish, scans_of, scores, steps_within, trained
from spinecho.core.kspace import KSpace
from spinecho.sim.drawn.bucket import Ranges
from spinecho.tasks.recon.base import Recon
from spinecho.tasks.recon.examples.acquire import CARTESIAN, Shares
from spinecho.tasks.recon.methods import l1_wavelet
from spinecho.train.settings import Settings

ROOT = Path(__file__).parents[1]
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
    parser = argparse.ArgumentParser(prog="python -m benchmarks.between_shots", description=__doc__)
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared", help="folder that holds data/")
    parser.add_argument("--minutes", type=float, default=12.0, help="of the processor, for each network")
    parser.add_argument("--side", type=int, default=96, help="pixels along an axis")
    parser.add_argument("--judged", type=int, default=24, help="scans of other heads, still and moving")
    parser.add_argument("--arms", nargs="*", default=list(ARMS), choices=list(ARMS))
    parser.add_argument("--out", default=RESULTS, help="`-`: print only")
    return parser.parse_args()


def ranges(args: argparse.Namespace) -> Ranges:
    """Of all scans."""
    side = (args.side, args.side)
    return Ranges(matrix=side, coils=(6,), accel=(2.0, 4.0), snr=(20.0, 60.0), points=0.0, long=0.0)


def learnt(arm: str, args: argparse.Namespace) -> Recon:
    """A network after its time."""
    name, shares = ARMS[arm]
    torch.manual_seed(0)
    method = FAMILIES[name]()
    draw = scans_of([args.shared / "data" / "label_maps"], ranges(args), method, shares)[0]
    steps = steps_within(60 * args.minutes, FAMILIES[name](), name, SETTINGS, draw)
    return trained(method, name, Settings(**{**vars(SETTINGS), "steps": steps}), draw)


def judged(args: argparse.Namespace) -> list[list[KSpace]]:
    """Still scans, and moving ones, of people who do not train."""
    classical, folder = l1_wavelet.Method(l1_wavelet.Config()), [args.shared / "data" / "label_maps"]
    draws = [scans_of(folder, ranges(args), classical, shares)[1] for shares in (CARTESIAN, MOVING)]
    return [[draw(step, 0) for step in range(1, args.judged + 1)] for draw in draws]


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
    scans = judged(args)
    rows = {"l1_wavelet": [scores(l1_wavelet.Method(l1_wavelet.Config()), each) for each in scans]}
    for arm in args.arms:
        method = learnt(arm, args)
        rows[arm] = [scores(method, each) for each in scans]
        print(f"{arm}: {[round(fmean(v), 2) for v in rows[arm]]} dB", flush=True)
    told = f"{args.minutes:g} minutes of the processor each, {args.side} x {args.side} pixels, 6 coils, R = 2 to 4, "
    told += f"2 to 8 shots, SNR 20 to 60; {args.judged} still and {args.judged} moving scans of other heads. "
    text = page(rows, told + circumstances("benchmarks.between_shots", 1, before))
    publish(args.out, TITLE, text)


if __name__ == "__main__":
    main()
