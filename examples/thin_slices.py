"""Thick slices made thin, by a small network that learns from the scan itself and from nothing else.

python examples/thin_slices.py SCAN OUT.nii.gz

A 2-D scan has fine detail within its slices and little across them. Degraded copies of its own slices teach a network
what detail is lost by thick slices; it then adds such detail across them. What comes out, averaged over the thick
slices again, is the scan that went in. B-spline interpolation is written beside it, to compare.
Fine detail across the slices is a guess all the same: no finding may rest on it alone.

What to give: a scan with thick slices (NIfTI, mgz, a DICOM folder), and where the result goes.
How long: some minutes.
"""

from __future__ import annotations

import sys
from pathlib import Path

import spinecho


def main(scan: Path, out: Path, **settings: int) -> spinecho.Image:
    """Write the scan with thin slices, by `self` and by B-splines; the former is returned."""
    thick = spinecho.read(scan)
    assert isinstance(thick, spinecho.Image), f"{scan} holds raw data: reconstruct it first (spinecho recon)"
    sides = " x ".join(f"{mm:.2f}" for mm in thick.volume().geometry.voxel_mm)
    print(f"{scan.name}: voxels of {sides} mm")
    smooth = spinecho.superres(thick, "bspline")
    spinecho.write(smooth, out.with_name(f"bspline_{out.name}"))
    thin = spinecho.superres(thick, "self", tell=_tell, **settings)
    print(*thin.header.history[len(thick.header.history) :], sep="\n")
    spinecho.write(thin, out)
    return thin


def _tell(done: int, total: int) -> None:
    if done == total or done % 50 == 0:
        print(f"learned {done} of {total} steps", file=sys.stderr)


if __name__ == "__main__":
    main(*(Path(a) for a in sys.argv[1:3]))
