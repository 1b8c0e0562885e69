"""Training without a truth beside training with one: the same simulated acquisitions, first weights, steps and network.

    python -m benchmarks.without_truth [--shared ../shared] [--steps 1200] [--accel 6] [--arms ...]

Undersampled scans of the training label maps, each seen twice; psnr inside the head of scans of others. The network is
`hqs_net`, begun from the denoiser in the package: so many steps from random weights do not pass `l1_wavelet` even with
the truth. Every arm goes through `train.loop`; a run that was stopped goes on with the arms that it lacks. A section of
docs/results.md.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from statistics import fmean, stdev

import torch

from benchmarks.sections import circumstances, load_average, table
from benchmarks.small_training import RESULTS, Same, publish, scans_of, scores, trained
from spinecho.core.kspace import KSpace
from spinecho.methods.pretrained import weights_file
from spinecho.sim.drawn.bucket import Ranges
from spinecho.tasks.recon.base import Recon
from spinecho.tasks.recon.examples.draw import Seeded
from spinecho.tasks.recon.methods import hqs_net, l1_wavelet
from spinecho.tasks.recon.parts.losses import SUPERVISED, How
from spinecho.train.first import first
from spinecho.train.settings import Settings

ROOT = Path(__file__).parents[1]
PLAIN = "ssdu, plain"
ARMS: dict[str, tuple[str, How]] = {
    "supervised": (SUPERVISED, How()),
    PLAIN: ("ssdu", How(weighted=False)),
    "ssdu, weighted": ("ssdu", How()),
    "ssdu, weighted, 3 masks": ("ssdu", How(masks=3)),
    "equivariant": ("equivariant", How(equivariance=0.3)),
    "dropout": ("dropout", How()),
}
"""Name of the loss, and its settings."""
TITLE = "Trained without a truth, simulated"
HEADS = ["trained by", "psnr inside, dB", "gain, dB", f"over {PLAIN}, dB (standard error)"]
SNR = 40.0
NETWORK = hqs_net.Config(n_steps=3, early=3, cg_iters=4, start_iters=20)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.without_truth", description=__doc__)
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared", help="folder that holds data/")
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--accel", type=float, default=6.0)
    parser.add_argument("--side", type=int, default=80, help="pixels along an axis")
    parser.add_argument("--coils", type=int, default=4)
    parser.add_argument("--scans", type=int, default=1200, help="that train")
    parser.add_argument("--judged", type=int, default=12, help="scans of other heads")
    parser.add_argument("--rate", type=float, default=3e-4, help="of learning")
    parser.add_argument("--arms", nargs="*", default=list(ARMS), choices=list(ARMS))
    parser.add_argument("--kept", type=Path, default=ROOT / "runs/benchmarks/without_truth.jsonl", help="finished arms")
    parser.add_argument("--out", default=RESULTS, help="`-`: print only")
    return parser.parse_args()


def scans(args: argparse.Namespace) -> tuple[Seeded, Seeded]:
    """Those that train, and those that are judged."""
    side, accel = (args.side, args.side), (args.accel, args.accel)
    ranges = Ranges(matrix=side, coils=(args.coils,), accel=accel, snr=(SNR, SNR), points=0.0, long=0.0)
    return scans_of([args.shared / "data" / "label_maps"], ranges, begun())


def begun() -> Recon:
    """The network before training, with the denoiser's weights."""
    method = first("recon", "hqs_net", NETWORK, str(weights_file("denoise", "unet")), 0)
    assert isinstance(method, Recon)
    return method


def arm(name: str, same: Same, args: argparse.Namespace) -> Recon:
    """A network after all steps of an arm."""
    loss, how = ARMS[name]
    settings = Settings(steps=args.steps, batch=2, rate=args.rate, ema=0.97, validate_every=0)
    return trained(begun().train(), "hqs_net", settings, same, loss, how)


def page(args: argparse.Namespace, rows: dict[str, list[float]], how: str) -> str:
    """Mean psnr of each arm, what it gains over the network as it began, and over plain ssdu."""
    base, plain = rows["network before training"], rows.get(PLAIN)
    lines = [
        [name, f"{fmean(v):.2f}", f"{fmean(v) - fmean(base):+.2f}", "" if plain is None else difference(v, plain)]
        for name, v in rows.items()
    ]
    told = (
        f"{args.scans} simulated acquisitions train, R = {args.accel:g}, {args.side} x {args.side} pixels, "
        f"{args.coils} coils, SNR {SNR:g}; {args.steps} steps of 2; {args.judged} acquisitions of other heads judge. "
        f"hqs_net with {NETWORK.n_steps} steps from {NETWORK.start_iters} iterations of l1_wavelet, begun from "
        f"denoise/unet, rate {args.rate:g}."
    )
    return "\n\n".join([told, table(HEADS, lines), how])


def difference(values: Sequence[float], others: Sequence[float]) -> str:
    """Mean of what each scan gains, and its standard error."""
    gains = [a - b for a, b in zip(values, others, strict=True)]
    return f"{fmean(gains):+.2f} ({stdev(gains) / len(gains) ** 0.5:.2f})"


class Kept:
    """Scores of finished rows in a file, one JSON line each; those of other settings do not count."""

    def __init__(self, file: Path, args: argparse.Namespace) -> None:
        self.file, self.asked = (
            file,
            [args.steps, args.accel, args.side, args.coils, args.scans, args.judged, args.rate],
        )
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        held = [json.loads(line) for line in lines]
        self.rows: dict[str, list[float]] = {h["row"]: h["psnr"] for h in held if h["asked"] == self.asked}

    def row(self, name: str, make: Callable[[], Recon], judged: Sequence[KSpace]) -> list[float]:
        """Scores of a row, made now or by an earlier run."""
        if name not in self.rows:
            self.rows[name] = scores(make(), judged)
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with self.file.open("a", encoding="utf-8") as out:
                out.write(json.dumps({"row": name, "asked": self.asked, "psnr": self.rows[name]}) + "\n")
        print(f"{name}: {fmean(self.rows[name]):.2f} dB", flush=True)
        return self.rows[name]


def main() -> None:
    """All arms, then the section."""
    args, before = arguments(), load_average()
    torch.set_num_threads(1)
    draw, other = scans(args)
    judged = [other(step, 0) for step in range(1, args.judged + 1)]
    kept = Kept(args.kept, args)
    rows = {"network before training": kept.row("network before training", lambda: begun().eval(), judged)}
    classical = lambda: l1_wavelet.Method(l1_wavelet.Config())  # noqa: E731
    rows["l1_wavelet (no training)"] = kept.row("l1_wavelet (no training)", classical, judged)

    @cache
    def acquired() -> Same:
        return Same([draw(step, 0) for step in range(1, args.scans + 1)])

    for name in args.arms:
        rows[name] = kept.row(name, lambda name=name: arm(name, acquired(), args), judged)
    text = page(args, rows, circumstances("benchmarks.without_truth", 1, before))
    publish(args.out, TITLE, text)


if __name__ == "__main__":
    main()
