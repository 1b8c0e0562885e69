"""Draw docs/learned.png: the real 7-coil slice at R = 8 by three methods, beside the truth, errors beneath.

python tools/readme_picture.py [--shared ../shared] [--weights FILE] [--out docs/learned.png]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from spinecho.core.kspace import KSpace
from spinecho.io.options import ReadOptions
from spinecho.io.read import read
from spinecho.tasks.recon.judge.case import Case, run_method
from spinecho.tasks.recon.judge.overview import write_overview
from spinecho.tasks.recon.retrospective import undersample

MASK = "random:8:0.04:0"


def main() -> None:
    """Read, undersample, reconstruct, draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--weights", type=Path, help="instead of those in the package")
    parser.add_argument("--out", type=Path, default=Path("docs/learned.png"))
    given = parser.parse_args()
    path = given.shared / "data/kspace/brain_t1_7coil_images.npz"
    full = read(path, ReadOptions(axes="y x coil", domain="coil-images", readout="y"))
    assert isinstance(full, KSpace)
    scan = undersample(full, MASK)
    settings = {"weights": given.weights} if given.weights else {}
    results = (
        run_method(scan, "zero_filled"),
        run_method(scan, "l1_wavelet"),
        run_method(scan, "varnet", **settings),
    )
    title = f"Real T1 slice, 7 coils, every eighth line on average ({MASK})"
    write_overview(given.out, Case(title=title, kspace=scan, results=results))


if __name__ == "__main__":
    main()
