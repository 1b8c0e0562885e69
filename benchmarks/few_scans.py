"""`python -m benchmarks.few_scans`: weights that know heads only, trained further on four scans of chests.

Networks of one shape, trained on heads; on chests; on heads, then on four full chest scans (as `--init` does: each step
undersamples them anew); on these four alone. Judged on chest slices and heads that none of them saw. The chest's one
file names nobody: a person may stand in more than one of its slices, those that train and those that judge. Goes on
where it was stopped. A section of docs/results.md.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory

import numpy as np
import torch

from benchmarks.sections import circumstances, load_average, table
from benchmarks.small_training import (
    N_COILS,
    SETTINGS,
    first,
    parser,
    publish,
    ranges,
    scores,
    supply,
    trained,
)
from spinecho.core.kspace import KSpace
from spinecho.sim.splits import CHEST
from spinecho.tasks.recon.base import Recon
from spinecho.tasks.recon.examples.draw import Seeded
from spinecho.tasks.recon.methods import l1_wavelet, varnet

ROOT = Path(__file__).parents[1]
TITLE = "Four scans of another part of the body, simulated"
NETWORK = varnet.Config(n_cascades=4, channels=(16, 32, 48), blocks=(1, 1, 1), start_iters=10)
FEW = (10, 30, 50, 70)
"""Chest slices, from 1, that the weights are trained further on; of those that train"""
TUNING = replace(SETTINGS, rate=3e-4)
"""Rate and number of steps were chosen with `--judge validate`, on chest slices that neither train nor judge"""
FROZEN = ("cascades.0", "cascades.1")
"""The first half of the network, in the row that keeps it"""


def arguments() -> argparse.Namespace:
    """The command line."""
    made = parser("few_scans", __doc__)
    made.add_argument("--steps", type=int, default=3000, help="on heads, and on chests")
    made.add_argument("--tuning", type=int, default=2000, help="steps on the four scans")
    made.add_argument("--rate", type=float, default=TUNING.rate, help="of these steps")
    made.add_argument("--judge", choices=("test", "validate"), default="test", help="whose scans judge")
    made.add_argument("--run", type=Path, default=ROOT / "runs/few_scans", help="folder of the trainings")
    return made.parse_args()


def scans(folder: str, args: argparse.Namespace) -> tuple[Seeded, list[KSpace]]:
    """Draws that train, and scans that judge."""
    paths, drawn, method = [args.shared / "data" / folder], ranges(args.side, 4.0, 6.0), varnet.Method(NETWORK)
    return supply(paths, "train", drawn, method), first(supply(paths, args.judge, drawn, method), args.judged)


def four(args: argparse.Namespace) -> Seeded:
    """Draws of four chest slices, undersampled anew each time."""
    assert set(FEW) <= set(CHEST["train"])
    pictures = np.load(args.shared / "data" / "chest" / "slices_100.npz")["images"]
    with TemporaryDirectory() as folder:
        np.savez(Path(folder) / "mine.npz", images=pictures[[i - 1 for i in FEW]])
        return supply([Path(folder)], "train", ranges(args.side, 4.0, 6.0), varnet.Method(NETWORK))


def begun() -> varnet.Method:
    """The network before any training; the same each time."""
    torch.manual_seed(0)
    return varnet.Method(NETWORK)


def tuned(method: Recon, few: Seeded, args: argparse.Namespace, freeze: Sequence[str] = ()) -> Recon:
    """A copy trained further on a few scans."""
    settings = replace(TUNING, steps=args.tuning, rate=args.rate, freeze=tuple(freeze))
    return trained(copy.deepcopy(method).train(), "varnet", settings, few)


def page(rows: dict[str, list[list[float]]], told: str) -> str:
    """Means on chests and heads, the share of the gap that is closed, and what is forgotten."""
    means = {name: [fmean(each) for each in values] for name, values in rows.items()}
    low, high = means["heads"][0], means["chests"][0]
    cells = []
    for name, (chest, head) in means.items():
        share = f"{100 * (chest - low) / (high - low):.0f} %" if high > low else "there is no gap"
        told_of = [share, f"{head - means['heads'][1]:+.2f}"] if name.startswith("heads, then") else ["", ""]
        cells.append([name, f"{chest:.2f}", f"{head:.2f}", *told_of])
    head = ["trained on", "chests, psnr inside, dB", "heads, psnr inside, dB", "of the gap", "heads forgotten, dB"]
    return f"{told}\n\n{table(head, cells)}"


def main() -> None:
    """All networks, then the section."""
    args, before = arguments(), load_average()
    torch.set_num_threads(1)
    (chests, chests_judge), (heads, heads_judge) = scans("chest", args), scans("label_maps", args)
    few = four(args)

    def judge(method: Recon) -> list[list[float]]:
        return [scores(method, each) for each in (chests_judge, heads_judge)]

    def learned(name: str, draw: Seeded) -> Recon:
        return trained(begun().train(), "varnet", replace(SETTINGS, steps=args.steps), draw, out=args.run / name)

    of_heads = learned("heads", heads)
    rows = {"nothing (`l1_wavelet`)": judge(l1_wavelet.Method(l1_wavelet.Config())), "heads": judge(of_heads)}
    rows["chests"] = judge(learned("chests", chests))
    rows["heads, then 4 chest scans"] = judge(tuned(of_heads, few, args))
    rows["heads, then 4 chest scans, first half frozen"] = judge(tuned(of_heads, few, args, FROZEN))
    rows["4 chest scans alone"] = judge(tuned(begun(), few, args))
    told = f"{args.steps} steps on heads and on chests, {args.tuning} on four scans, undersampled anew in each "
    told += f"(rate {args.rate:g}); {args.side} x {args.side} pixels, {N_COILS} coils, random lines, R = 4 to 6, "
    told += "SNR 20 to 60; "
    told += f"{args.judged} scans judge each. What was tuned has these steps more than what it is compared with. "
    told += "People may repeat among the chest slices, which name no one. "
    text = page(rows, told + circumstances("benchmarks.few_scans", 1, before))
    publish(args.out, TITLE, text)


if __name__ == "__main__":
    main()
