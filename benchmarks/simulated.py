"""`python -m benchmarks.simulated`: the simulated test split, 8 coils, R = 4, 8 and 12, gains over l1_wavelet.

Goes on where it was stopped: the outcomes stand in a file, one line a case.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import torch

from benchmarks.ledger import Entry, fill
from benchmarks.sections import OUT, circumstances, load_average, table, write_section
from benchmarks.specs import LEARNED, usable
from benchmarks.subjects import Subject, fov_mm, scanned, subject_names
from spinecho.core.kspace import KSpace
from spinecho.sim.scan import Scan, sample_scan

ROOT = Path(__file__).parents[1]
BASELINE = "l1_wavelet"
N_COILS = 8
JUDGED = "checked"
GOALS = {4: 1.5, 8: 2.0, 12: 2.0}
"""Acceleration -> gain over `l1_wavelet`, dB, that the default of learned reconstruction shall reach."""

PROTOCOL = """In the simulator only, no raw data. Heads of the test label maps, rendered in the sequences' contrasts and
in random ones, {n} slices, each at every acceleration; 8 coils, matrices of 256 to 320, SNR 10 to 60, smooth phase;
random lines, 0.32/R of them central. Truth: root sum of squares of the noise-free (prewhitened) coil images; psnr and
ssim inside the object (`metrics.inside`), magnitude images scaled to the truth there. Gains are paired differences, +-
the standard error of their mean."""


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """One slice at one acceleration."""

    subject: str
    at: float
    accel: int
    scan: Scan

    def kspace(self, data: Path) -> KSpace:
        """The scan, with its truth."""
        return scanned(data, Subject(dataset="label_maps", name=self.subject, at=self.at), self.scan)


def draw(n: int, names: list[str]) -> list[Drawn]:
    """n slices, subject after subject, each with its own contrast, matrix, phase, SNR, coils; at every R."""
    found = []
    for i in range(n):
        rng = torch.Generator().manual_seed(8_000_000 + i)
        y, x = (2 * int(torch.randint(128, 161, (1,), generator=rng)) for _ in range(2))
        base = sample_scan(rng, Scan(matrix=(1, y, x), fov_mm=fov_mm((y, x))))
        at = float(torch.rand(1, generator=rng))
        for accel in GOALS:
            sampling = f"random:{accel}:{0.32 / accel:.4f}:{base.seed % 1000}"
            scan = replace(base, n_coils=N_COILS, sampling=sampling)
            found.append(Drawn(subject=names[i % len(names)], at=at, accel=accel, scan=scan))
    return found


def restored(case: dict[str, Any]) -> Drawn:
    """A case from its JSON."""
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in case["scan"].items()}
    return Drawn(**{**case, "scan": Scan(**fields)})


def with_error(values: list[float]) -> str:
    """Mean and its standard error; values without an image (NaN) are left out and told."""
    found = [v for v in values if math.isfinite(v)]
    if not found:
        return "no image"
    error = stdev(found) / len(found) ** 0.5 if len(found) > 1 else math.nan
    lost = f" ({len(values) - len(found)} without image)" if len(found) < len(values) else ""
    return f"{fmean(found):+.2f} +- {error:.2f}{lost}"


def lines(entries: list[Entry], methods: list[str]) -> list[list[str]]:
    """One row for each acceleration and method."""
    rows = []
    for accel, goal in GOALS.items():
        chosen = [e for e in entries if e.case["accel"] == accel]
        for method in dict.fromkeys([BASELINE, *methods]):
            ours = [e.outcomes[method] for e in chosen]
            base = [e.outcomes[BASELINE] for e in chosen]
            images = [o for o in ours if not o.failed]
            row = [str(accel), method]
            row += (
                [f"{fmean(o.psnr for o in images):.2f}", f"{fmean(o.ssim for o in images):.4f}"]
                if images
                else ["-"] * 2
            )
            if method == BASELINE:
                row += ["-", "-", "-", "-"]
            else:
                gains = [o.psnr - b.psnr for o, b in zip(ours, base, strict=True)]
                found = [g for g in gains if math.isfinite(g)]
                similar = [o.ssim - b.ssim for o, b in zip(ours, base, strict=True) if not o.failed and not b.failed]
                row += [with_error(gains), f"{min(found):+.2f}" if found else "-"]
                row += [f"{fmean(similar):+.4f}" if similar else "-", f"{goal:+g}" if method == JUDGED else "-"]
            rows.append(row)
    return rows


HEADINGS = ["R", "method", "psnr inside dB", "ssim inside", "psnr gain dB", "least", "ssim gain", "wanted dB"]


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.simulated", description=__doc__)
    parser.add_argument("--methods", nargs="*", default=list(LEARNED), help="NAME or 'NAME(FIELD=VALUE, ...)'")
    parser.add_argument("--n", type=int, default=20, help="slices")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared", help="folder that holds data/")
    parser.add_argument("--ledger", type=Path, default=ROOT / "runs/benchmarks/simulated-inside.jsonl")
    parser.add_argument("--out", type=Path, default=OUT, help="`-`: print only")
    return parser.parse_args()


def main() -> None:
    """Run what is missing and write the section."""
    args = arguments()
    torch.set_num_threads(args.threads)
    before = load_average()
    data, methods = args.shared / "data", usable(args.methods)
    cases = [asdict(d) for d in draw(args.n, subject_names("label_maps"))]
    entries = []
    for entry in fill(args.ledger, cases, [BASELINE, *methods], lambda c: restored(c).kspace(data)):
        entries.append(entry)
        told = "  ".join(f"{m} {o.psnr:.2f}" for m, o in entry.outcomes.items())
        print(
            f"{entry.case['subject']} {entry.case['scan']['matrix'][1:]} R = {entry.case['accel']}: {told}", flush=True
        )
    text = "## Simulated test split\n\n" + circumstances("benchmarks.simulated", args.threads, before) + " "
    text += PROTOCOL.format(n=args.n) + "\n\n" + table(HEADINGS, lines(entries, methods))
    print(text)
    if str(args.out) != "-":
        write_section(args.out, "simulated", text)


if __name__ == "__main__":
    main()
