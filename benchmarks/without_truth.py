"""Training without a truth beside training with one: the same simulated acquisitions, first weights, steps and network.

    python -m benchmarks.without_truth [--shared ../shared] [--steps 150] [--accel 6] [--arms ...]

Undersampled scans of the training label maps, some dozens and no more; psnr inside the head of scans of others. Every
arm goes through `train.loop`. Writes a section of RESULTS-LEARNED.md.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

import torch

from benchmarks.held_out import score
from benchmarks.sections import OUT, circumstances, load_average, table, write_section
from spinecho.core.kspace import KSpace
from spinecho.methods.pretrained import open_learned
from spinecho.sim.drawn.bucket import Ranges
from spinecho.tasks.recon.examples.draw import Seeded
from spinecho.tasks.recon.examples.sources import Ways, sources
from spinecho.tasks.recon.examples.without_truth import WithoutTruth
from spinecho.tasks.recon.methods import l1_wavelet, varnet
from spinecho.tasks.recon.parts.losses import SUPERVISED, How, rule
from spinecho.train.loop import train
from spinecho.train.run import Run
from spinecho.train.settings import Settings
from spinecho.train.supply import Context
from spinecho.train.team import Team

ROOT = Path(__file__).parents[1]
ARMS: dict[str, tuple[str, How]] = {
    "supervised": (SUPERVISED, How()),
    "ssdu, plain": ("ssdu", How(weighted=False)),
    "ssdu, weighted": ("ssdu", How()),
    "ssdu, weighted, 3 masks": ("ssdu", How(masks=3)),
    "equivariant": ("equivariant", How(equivariance=0.3)),
    "dropout": ("dropout", How()),
}
"""Name of the loss, and its settings."""
SNR = 40.0
NETWORK = varnet.Config(n_cascades=2, channels=(12, 24), blocks=(1, 1), start_iters=20)


@dataclass(frozen=True)
class Same:
    """A few scans again and again, as a person's folder holds them; each keeps its mask and its noise."""

    scans: Sequence[KSpace]

    def __call__(self, step: int, index: int) -> KSpace:
        return self.scans[(2 * step + index) % len(self.scans)]


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.without_truth", description=__doc__)
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared", help="folder that holds data/")
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--accel", type=float, default=6.0)
    parser.add_argument("--side", type=int, default=80, help="pixels along an axis")
    parser.add_argument("--coils", type=int, default=4)
    parser.add_argument("--scans", type=int, default=48, help="that train")
    parser.add_argument("--judged", type=int, default=12, help="scans of other heads")
    parser.add_argument("--rate", type=float, default=1e-3, help="of learning")
    parser.add_argument("--arms", nargs="*", default=list(ARMS), choices=list(ARMS))
    parser.add_argument("--out", type=Path, default=OUT)
    return parser.parse_args()


def scans(args: argparse.Namespace) -> tuple[Seeded, Seeded]:
    """Those that train, and those that are judged: of other heads (`sim.splits`: train, validate)."""
    side, accel = (args.side, args.side), (args.accel, args.accel)
    ranges = Ranges(matrix=side, coils=(args.coils,), accel=accel, snr=(SNR, SNR), points=0.0, long=0.0)
    context = Context(
        method=varnet.Method(NETWORK),
        task="recon",
        name="varnet",
        settings=Settings(),
        device=torch.device("cpu"),
        team=Team(),
        on_broken="stop",
        say=print,
    )
    made = sources([args.shared / "data" / "label_maps"], Ways(ranges=ranges), context)
    return Seeded(made[0], 0), Seeded(made[1], 0, "validate")


def trained(arm: str, same: Same, args: argparse.Namespace) -> varnet.Method:
    """A network after all steps of an arm, with its averaged weights."""
    loss, how = ARMS[arm]
    torch.manual_seed(0)
    method = varnet.Method(NETWORK)
    settings = Settings(steps=args.steps, batch=2, rate=args.rate, ema=0.97, validate_every=0)
    example = same if loss == SUPERVISED else WithoutTruth(same, 0, loss, how)
    with tempfile.TemporaryDirectory() as folder:
        run = Run(
            method=method,
            task="recon",
            name="varnet",
            settings=settings,
            out=Path(folder),
            rule=None if loss == SUPERVISED else rule(loss).loss,
        )
        for step in train(run, example):
            if step.step % 50 == 0:
                print(f"{arm}: step {step.step}, loss {step.loss:.4g}, {step.seconds:.2f} s", flush=True)
        best = open_learned("recon", run.weights)
    assert isinstance(best, varnet.Method)
    return best


def scores(method: varnet.Method | l1_wavelet.Method, judged: Sequence[KSpace]) -> list[float]:
    """psnr inside, dB, of each scan."""
    with torch.inference_mode():
        return [score(method(replace(k, target=None)).values, k.target) for k in judged if k.target is not None]


def page(args: argparse.Namespace, rows: dict[str, list[float]], how: str) -> str:
    """Mean psnr of each arm, and what it gains over the network as it began."""
    base = rows["network before training"]
    lines = [[name, f"{fmean(v):.2f}", f"{fmean(v) - fmean(base):+.2f}"] for name, v in rows.items()]
    told = (
        f"{args.scans} simulated acquisitions train, R = {args.accel:g}, {args.side} x {args.side} pixels, "
        f"{args.coils} coils, SNR {SNR:g}; {args.steps} steps of 2; {args.judged} acquisitions of other heads judge. "
        f"varnet with {NETWORK.n_cascades} cascades from {NETWORK.start_iters} iterations of l1_wavelet, "
        f"channels {NETWORK.channels}, rate {args.rate:g}."
    )
    return "\n\n".join([told, table(["trained by", "psnr inside, dB", "gain, dB"], lines), how])


def main() -> None:
    """All arms, then the section."""
    args, before = arguments(), load_average()
    torch.set_num_threads(1)
    draw, other = scans(args)
    same = Same([draw(step, 0) for step in range(1, args.scans + 1)])
    judged = [other(step, 0) for step in range(1, args.judged + 1)]
    torch.manual_seed(0)
    rows = {"network before training": scores(varnet.Method(NETWORK).eval(), judged)}
    rows["l1_wavelet (no training)"] = scores(l1_wavelet.Method(l1_wavelet.Config()), judged)
    for arm in args.arms:
        rows[arm] = scores(trained(arm, same, args), judged)
        print(f"{arm}: {fmean(rows[arm]):.2f} dB", flush=True)
    text = page(args, rows, circumstances("benchmarks.without_truth", 1, before))
    write_section(args.out, "without a truth", f"## Trained without a truth (simulated)\n\n{text}")
    print(text)


if __name__ == "__main__":
    main()
