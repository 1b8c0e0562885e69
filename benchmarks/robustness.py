"""`python -m benchmarks.robustness`: scans unlike those in training, against zero-filling on the same ones.

Goes on where it was stopped: the outcomes stand in a file, one line a case.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, median

import torch

from benchmarks.ledger import Entry, Outcome, fill
from benchmarks.sections import OUT, circumstances, load_average, table, write_section
from benchmarks.specs import usable
from benchmarks.subjects import subject_names
from benchmarks.unlike import SNR_OF_CARD, Drawn, draw, restored

ROOT = Path(__file__).parents[1]
BASELINE = "zero_filled"
WORDS = {"64 coils": "coils", "R = 16": "undersampled", "noise x4": "noise"}
"""What was kept out of training, and the word by which a method's remark on its card tells it."""

ROUNDING = 0.005
"""dB by which an image may lie below zero-filling and still count as equal to it."""

PROTOCOL = """psnr inside the object (`metrics.inside`): truth is the root sum of squares of the noise-free
(prewhitened) coil images, the magnitude image is scaled to it there, its maximum is the range. `gain`: psnr less that
of zero-filling on the same case; `below`: by more than 0.005 dB. A case without an image (refused or failed) counts as
below zero-filling and not in the mean gain. `noise x4`: signal-to-noise ratio {quiet:g}, a fourth of the {snr:g} of the
noisiest scans in training; `x1`: {snr:g} to 60. At least 4 central lines, 0.32/R of all where that is more (2-D: a
block of at most 24x24 and of a fourth of the points). **All simulated**, of test subjects: label maps in random
contrasts, IXI heads, an MS patient without skull (gains are large where the background is empty), chest slices."""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """A method over some cases, against zero-filling."""

    n: int
    below: int
    failed: int
    mean: float
    middle: float
    least: float

    @property
    def cells(self) -> list[str]:
        """Of a table."""
        share = f"{self.below} ({100 * self.below / max(self.n, 1):.1f} %)"
        return [str(self.n), share, str(self.failed), *(f"{v:+.2f}" for v in (self.mean, self.middle, self.least))]


CELLS = ["cases", "below zero-filled", "without image", "mean gain dB", "median", "least"]


def gain(entry: Entry, method: str) -> float:
    """psnr less that of zero-filling; NaN without an image."""
    return entry.outcomes[method].psnr - entry.outcomes[BASELINE].psnr


def summary(entries: list[Entry], method: str) -> Summary:
    """Over all these cases."""
    gains = [gain(e, method) for e in entries]
    found = [g for g in gains if math.isfinite(g)]
    return Summary(
        n=len(gains),
        below=sum(not g >= -ROUNDING for g in gains),
        failed=len(gains) - len(found),
        mean=fmean(found) if found else math.nan,
        middle=median(found) if found else math.nan,
        least=min(found, default=math.nan),
    )


PROPERTIES: dict[str, Callable[[Drawn], object]] = {
    "coils": lambda d: d.n_coils,
    "R": lambda d: d.accel,
    "mask": lambda d: d.mask,
    "matrix": lambda d: f"{d.matrix[0]}x{d.matrix[1]}",
    "noise": lambda d: f"x{d.noise}",
    "data": lambda d: d.dataset,
}


def by_property(entries: list[Entry], method: str) -> list[list[str]]:
    """One row for each value of each property."""
    drawn = [(restored(e.case), e) for e in entries]
    lines = []
    for name, of in PROPERTIES.items():
        for value in dict.fromkeys(sorted((of(d) for d, _ in drawn), key=lambda v: (isinstance(v, str), v))):
            lines.append([name, str(value), *summary([e for d, e in drawn if of(d) == value], method).cells])
    return lines


def card(entries: list[Entry], method: str) -> str:
    """Of how many cases that were kept out of training the method named that reason, and of others any."""
    told = [(restored(e.case), e.outcomes[method]) for e in entries]
    parts = []
    for fact, word in WORDS.items():
        kept = [o for d, o in told if fact in d.beyond]
        parts.append(f"{fact} {sum(word in o.outside for o in kept)} of {len(kept)}")
    rest = [o for d, o in told if not d.beyond]
    others = f"{sum(bool(o.outside) for o in rest)} of {len(rest)}"
    return f"Named outside the card: {', '.join(parts)}; of the others {others}."


def worst(entries: list[Entry], method: str, n: int = 8) -> list[list[str]]:
    """The cases with the least gain, those without an image first."""
    ranked = sorted(entries, key=lambda e: g if math.isfinite(g := gain(e, method)) else -math.inf)
    lines = []
    for e in ranked[:n]:
        d, o = restored(e.case), e.outcomes[method]
        what = f"{d.dataset} {d.subject}, {d.matrix[0]}x{d.matrix[1]}, {d.n_coils} coils, {d.sampling}, SNR {d.snr:g}"
        zero = e.outcomes[BASELINE].psnr
        lines.append([str(d.index), what, f"{zero:.2f}", f"{o.psnr:.2f}", f"{gain(e, method):+.2f}", _said(o)])
    return lines


def _said(o: Outcome) -> str:
    return (o.failed or o.outside or "-").replace("|", "/").replace("\n", " ")[:160]


def report(entries: list[Entry], methods: list[str]) -> str:
    """All tables."""
    text = table(["method", *CELLS], [[m, *summary(entries, m).cells] for m in methods])
    for method in methods:
        text += f"\n### {method}\n\n{card(entries, method)}\n\n"
        text += table(["property", "value", *CELLS], by_property(entries, method))
        text += "\nLeast gain:\n\n"
        text += table(["case", "what", "zero-filled dB", "dB", "gain", "said"], worst(entries, method))
    return text


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.robustness", description=__doc__)
    parser.add_argument(
        "--methods",
        nargs="*",
        default=["l1_wavelet", "varnet", "hqs_net", "checked"],
        help="NAME or 'NAME(FIELD=VALUE, ...)'",
    )
    parser.add_argument("--n", type=int, default=200, help="cases")
    parser.add_argument("--card-snr", type=float, default=SNR_OF_CARD, help="of the noisiest scans in training")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared", help="folder that holds data/")
    parser.add_argument("--ledger", type=Path, default=ROOT / "runs/benchmarks/robustness-inside.jsonl")
    parser.add_argument("--out", type=Path, default=OUT, help="`-`: print only")
    return parser.parse_args()


def main() -> None:
    """Run what is missing and write the section."""
    args = arguments()
    torch.set_num_threads(args.threads)
    before = load_average()
    data, methods = args.shared / "data", usable(args.methods)
    cases = [asdict(d) for d in draw(args.n, subject_names, args.card_snr)]
    entries = []
    for entry in fill(args.ledger, cases, [BASELINE, *methods], lambda c: restored(c).kspace(data)):
        entries.append(entry)
        d = restored(entry.case)
        gains = "  ".join(f"{m} {gain(entry, m):+.2f}" for m in methods)
        print(f"{d.index:3d} {d.dataset} {d.matrix} {d.n_coils} coils {d.sampling} SNR {d.snr:g}: {gains}", flush=True)
    text = "## Robustness\n\n" + circumstances("benchmarks.robustness", args.threads, before) + " "
    text += PROTOCOL.format(snr=args.card_snr, quiet=args.card_snr / 4) + "\n\n" + report(entries, methods)
    print(text)
    if str(args.out) != "-":
        write_section(args.out, "robustness", text)


if __name__ == "__main__":
    main()
