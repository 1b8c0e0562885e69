"""Draw docs/learned.png: the real 7-coil slice at R = 8 by three methods, beside the truth, errors beneath.

All images have the same noise floor, that of all coils, as the truth has it; scores are inside the object, without. The
picture says no seconds, so that it comes out the same on any machine.

python tools/readme_picture.py [--shared ../shared] [--out docs/learned.png]
"""

from __future__ import annotations

import argparse
import math
from dataclasses import replace
from pathlib import Path

from spinecho.calib.noise import with_noise_power
from spinecho.core.kspace import KSpace
from spinecho.io.options import ReadOptions
from spinecho.io.read import read
from spinecho.tasks.recon.judge.case import Case, Result, run_method, shows_floor
from spinecho.tasks.recon.judge.overview import write_overview
from spinecho.tasks.recon.judge.protocol import floor_of
from spinecho.tasks.recon.retrospective import undersample

MASK = "random:8:0.04:0"


def main() -> None:
    """Read, undersample, reconstruct, draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--out", type=Path, default=Path("docs/learned.png"))
    given = parser.parse_args()
    path = given.shared / "data/kspace/brain_t1_7coil_images.npz"
    full = read(path, ReadOptions(axes="y x coil", domain="coil-images", readout="y"))
    assert isinstance(full, KSpace)
    scan = undersample(full, MASK)
    results = tuple(floored(scan, method) for method in ("zero_filled", "l1_wavelet", "checked"))
    title = f"Real T1 slice, 7 coils, every eighth line on average ({MASK}); scores inside the head"
    write_overview(given.out, Case(title=title, kspace=scan, results=results))


def floored(scan: KSpace, method: str, **settings: object) -> Result:
    """A result scored without a noise floor, and shown with that of all coils."""
    made = run_method(scan, method, **settings, **({"noise_floor": False} if shows_floor(method) else {}))
    values = with_noise_power(made.image.values, floor_of(scan, "real"))
    return replace(made, image=replace(made.image, values=values), seconds=math.nan)


if __name__ == "__main__":
    main()
