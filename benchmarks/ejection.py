"""`python -m benchmarks.ejection`: the ejection fraction that each method's series shows, by one fixed rule.

Chest slices of the test part with a bright chamber in a dark wall, 24 frames, R = 8. The rule: blood is as bright as
the middle of the chamber in the mean over time, wall as what lies around it; each pixel counts as the share of blood
that its brightness says, at most all; 1 minus the smallest area over the largest. A section of docs/results.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean

import torch
from jaxtyping import Float
from torch import Tensor

import spinecho
from benchmarks.moving import N_FRAMES, NETWORK, ROOT, SNRS, chests, is_ready, measured
from benchmarks.sections import circumstances, load_average, table
from spinecho.core.kspace import KSpace
from spinecho.evaluate.markdown import write_section
from spinecho.sim.moving import Beat, beating, sample_beat

TITLE = "Ejection fraction, simulated"
RATE = 8
METHODS = (*((NETWORK,) if is_ready() else ()), "llr", "hqs_net")
CHAMBER, WALL = 0.2, 0.5
"""Radii at rest, in halves of the picture's side"""
_BLOOD, _MUSCLE = 0.9, 0.3
_MIDDLE, _AROUND, _COUNTED = 0.08, (0.32, 0.38), 0.32
"""Radii of what blood is measured in, of what the wall is, and up to which pixels count"""


def with_chamber(picture: Float[Tensor, "y x"], beat: Beat) -> Float[Tensor, "y x"]:
    """The picture with a bright disc in a dark wall at the beat's centre."""
    r = radius(picture.shape[0], beat)
    return torch.where(r < CHAMBER, _BLOOD, torch.where(r < WALL, _MUSCLE, picture))


def radius(n: int, beat: Beat) -> Float[Tensor, "y x"]:
    """Distance of each pixel from the beat's centre, in halves of the side."""
    at = (torch.arange(n) - (n - 1) / 2) / (n / 2)
    return torch.hypot(at[:, None] - beat.centre[0], at[None] - beat.centre[1])


def ejection_fraction(frames: Float[Tensor, "t y x"], beat: Beat) -> float:
    """By the rule, in percent."""
    r, mean = radius(frames.shape[-1], beat), frames.mean(0)
    blood = mean[r < _MIDDLE].median()
    wall = mean[(r > _AROUND[0]) & (r < _AROUND[1])].median()
    areas = ((frames - wall) / (blood - wall)).clamp(0, 1)[:, r < _COUNTED].sum(1)
    return 100 * float(1 - areas.min() / areas.max())


def scenes(folder: Path, n: int) -> Iterator[tuple[Beat, KSpace]]:
    """Beats, and their scans."""
    for i, picture in enumerate(chests(folder, n)):
        rng = torch.Generator().manual_seed(3000 + i)
        beat = sample_beat(rng)
        yield beat, measured(beating(with_chamber(picture, beat), beat, N_FRAMES), RATE, SNRS[i % len(SNRS)], i, rng)


def main() -> None:
    """Run, and write the section."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ejection", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared")
    parser.add_argument("--n", type=int, default=5, help="scenes")
    parser.add_argument("--out", default=str(ROOT / "docs" / "results.md"), help="`-`: print only")
    args, before = parser.parse_args(), load_average()
    torch.set_num_threads(1)
    rows, errors = [], {name: list[float]() for name in METHODS}
    with torch.inference_mode():
        for i, (beat, scan) in enumerate(scenes(args.shared / "data", args.n)):
            assert scan.target is not None
            truth = ejection_fraction(scan.target[:, 0, 0].abs(), beat)
            row = [f"{i + 1}", f"{truth:.1f}"]
            for name in METHODS:
                shown = ejection_fraction(spinecho.recon(scan, name).values[:, 0, 0].abs(), beat)
                errors[name].append(shown - truth)
                row.append(f"{shown:.1f} ({shown - truth:+.1f})")
            print(row, file=sys.stderr)
            rows.append(row)
    rows.append(["mean size of the error", "", *(f"{fmean(map(abs, errors[name])):.1f}" for name in METHODS)])
    head = ["scene", "truth, %", *(f"`{name}`, % (error)" for name in METHODS)]
    told = f"{args.n} chest slices of the test part with a chamber, {N_FRAMES} frames, R = {RATE}."
    text = f"{told} {circumstances('benchmarks.ejection', 1, before)}\n\n{table(head, rows)}"
    print(f"## {TITLE}\n\n{text}")
    if args.out != "-":
        write_section(Path(args.out), TITLE, text)


if __name__ == "__main__":
    main()
