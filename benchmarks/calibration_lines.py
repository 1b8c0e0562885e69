"""`python -m benchmarks.calibration_lines`: what coil maps of few calibration lines cost on real slices, dB inside.

Each real multi-coil slice is undersampled as in the tables of reconstruction, and reconstructed twice: with coil maps
of its own centre, and with maps of a block of the full scan, which no user has. A section of docs/results.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import torch

import spinecho
from benchmarks.sections import circumstances, load_average, table
from benchmarks.transfer import SLICES, listed
from spinecho.core.kspace import KSpace
from spinecho.evaluate.markdown import write_section
from spinecho.metrics.inside import score_inside
from spinecho.sim.mask_spec import MaskSpec
from spinecho.tasks.recon.retrospective import undersample

ROOT = Path(__file__).parents[1]
TITLE = "What few calibration lines cost"
METHODS = ("l1_wavelet", "pnp")
RATES = ((4, 0.08), (8, 0.04))
BLOCK = 32
"""Lines, and samples of each, of the full scan's centre."""


def block_of(kspace: KSpace, width: int = BLOCK) -> torch.Tensor:
    """The centre of a full scan of one slice, (*batch, coil, 1, width, width), or as much as there is."""
    samples = kspace.samples
    for axis in (-2, -1):
        n = samples.shape[axis]
        samples = samples.narrow(axis, max(0, n // 2 - width // 2), min(n, width))
    return samples


def figures(full: KSpace, spec: MaskSpec, methods: Sequence[str] = METHODS) -> list[tuple[float, float]]:
    """(psnr with the scan's own maps, with those of the block) for each method, dB."""
    scan = undersample(full, spec)
    assert scan.target is not None
    truth, scans = scan.target[..., 0, 0, :, :], (scan, replace(scan, calib=block_of(full)))

    def score(kspace: KSpace, method: str) -> float:
        return score_inside(truth, spinecho.recon(kspace, method).values.abs()[..., 0, 0, :, :]).psnr

    return [(score(scans[0], m), score(scans[1], m)) for m in methods]


def main() -> None:
    """Run, and write the section."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.calibration_lines", description=__doc__)
    parser.add_argument("--masks", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--out", default=str(ROOT / "docs" / "results.md"), help="`-`: print only")
    args, before = parser.parse_args(), load_average()
    torch.set_num_threads(1)
    rows = []
    with torch.inference_mode():
        for slice_ in listed(SLICES):
            full = slice_.load(0)
            for rate, centre in RATES:
                scores = [figures(full, MaskSpec("random", rate, centre, seed)) for seed in args.masks]
                row = [slice_.name, f"{rate}"]
                for pairs in zip(*scores, strict=True):
                    own, whole = (fmean(side) for side in zip(*pairs, strict=True))
                    row.append(f"{own:.2f}, {whole:.2f} ({whole - own:+.2f})")
                print(row, file=sys.stderr)
                rows.append(row)
    head = ["slice", "R", *(f"`{m}`: own maps, the block's" for m in METHODS)]
    centres = " and ".join(f"R = {r} with {100 * c:g} % of the centre" for r, c in RATES)
    masks = ", ".join(map(str, args.masks))
    told = f"""{centres}, random lines, masks {masks}. psnr inside the object, dB, mean over the masks: with maps of the
scan's own centre, and with those of {BLOCK} x {BLOCK} samples of the full scan, which no user has. Both echoes are
of one abdomen. {circumstances("benchmarks.calibration_lines", 1, before)}"""
    text = f"{told}\n\n{table(head, rows)}"
    print(f"## {TITLE}\n\n{text}")
    if args.out != "-":
        write_section(Path(args.out), TITLE, text)


if __name__ == "__main__":
    main()
