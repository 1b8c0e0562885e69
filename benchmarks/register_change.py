"""`python -m benchmarks.register_change`: volume changes of known size, found again; how often the interval holds them.

An IXI validation head (2 mm) is bent by a smooth warp of a few mm and scanned again (new bias field and noise); each
region's true change is the mean Jacobian determinant of that warp over it. One line: mean error, root mean square
error, slope of found over true, and the share of regions whose true change lies in the interval.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from spinecho.io.read import read_image
from spinecho.sim.splits import split
from spinecho.sim.warps import degrade, sample_warp
from spinecho.tasks.register.change import change, region_changes

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Simulate the follow-up visits, and look at them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared", help="folder that holds data/")
    parser.add_argument("--heads", type=int, default=1)
    parser.add_argument("--max-mm", type=float, default=3.0)
    parser.add_argument("--restarts", type=int, default=2)
    parser.add_argument("--voxels", type=int, default=1_500_000, help="working voxels of the registration")
    args = parser.parse_args()
    folder = args.shared / "data/ixi_2mm"
    ids = split("ixi_2mm", "validate")
    true, found, held = [], [], []
    for i, subject in enumerate(ids[: args.heads]):
        baseline, labels = (
            read_image(folder / "t1" / f"{subject}.nii.gz"),
            read_image(folder / f"labels/{subject}.nii.gz"),
        )
        generator = torch.Generator().manual_seed(i)
        warp = sample_warp(baseline.geometry, args.max_mm, generator)
        later = warp.inverse().warp(replace(baseline, values=baseline.values.float()))
        scans = [
            degrade(v.values[0].float(), baseline.geometry, generator, snr=40, bias=0.1) for v in (baseline, later)
        ]
        first, second = (replace(baseline, values=v[None]) for v in scans)
        begin = time.process_time()
        result = change(first, second, generator, settings={"voxels": args.voxels}, restarts=args.restarts)
        truth = warp.jacobian(baseline.geometry)
        places = labels.values[0].round().int()
        regions = [r for r in region_changes(result, labels) if int((places == r.label).sum()) >= 100]
        for r in regions:
            true.append(100 * (float(truth[places == r.label].mean()) - 1))
            found.append(r.percent)
            held.append(r.low <= true[-1] <= r.high)
        print(f"{subject}: {len(regions)} regions, {time.process_time() - begin:.0f} CPU s", flush=True)
    t, f = np.array(true), np.array(found)
    slope = float((t * f).sum() / (t * t).sum())
    print(
        f"true changes {t.min():.1f} to {t.max():.1f} % (root mean square {np.sqrt((t**2).mean()):.2f}); mean error "
        f"{(f - t).mean():+.2f}, root mean square {np.sqrt(((f - t) ** 2).mean()):.2f}; slope {slope:.2f}; "
        f"interval holds the truth in {np.mean(held):.0%} of {len(t)} regions"
    )


if __name__ == "__main__":
    main()
