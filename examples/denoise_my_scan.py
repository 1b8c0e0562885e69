"""A noisy scan of one's own, with less noise: what noise it has, which method suits it, and what was taken away.

python examples/denoise_my_scan.py SCAN OUT_FOLDER [TRUTH]

What to give: any image (NIfTI, mgz, a DICOM folder) of any contrast and orientation. Kind and level of the noise are
found, and the history says where they were measured. Look at what was taken away: it should be noise alone, without the
shape of the head. A better scan of the same object as TRUTH says how much was gained.
How long: under a minute for a head of 1 mm.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

import spinecho


def main(scan: Path, out: Path, truth: Path | None = None) -> dict[str, float]:
    """Denoise by what suits the scan and by a simple method; psnr of each where there is a truth."""
    out.mkdir(parents=True, exist_ok=True)
    noisy = spinecho.read(scan)
    assert isinstance(noisy, spinecho.Image), f"{scan} holds raw data: reconstruct it first (spinecho recon)"
    known = spinecho.read(truth) if truth is not None else None
    gained: dict[str, float] = {}
    for method in ("wavelet", "auto"):
        quiet = spinecho.denoise(noisy, method)
        print(f"{method}:", *quiet.header.history[len(noisy.header.history) :], sep="\n  ")
        spinecho.write(quiet, out / f"{method}.nii.gz")
        taken = replace(noisy, values=noisy.values.float() - quiet.values.float())
        spinecho.write(taken, out / f"{method}_taken_away.nii.gz")
        if isinstance(known, spinecho.Image):
            gained[method] = psnr(known, quiet)
    if isinstance(known, spinecho.Image):
        gained["noisy"] = psnr(known, noisy)
        print(*(f"{name}: {value:.2f} dB" for name, value in gained.items()), sep="\n")
    return gained


def psnr(truth: spinecho.Image, image: spinecho.Image) -> float:
    """Within the box about the object, dB."""
    one, other = spinecho.to_numpy(truth), spinecho.to_numpy(image)
    box = tuple(slice(i.min(), i.max() + 1) for i in np.nonzero(one > 0.1 * one.max()))
    return float(20 * np.log10(one.max()) - 10 * np.log10(np.mean(np.square(one - other)[box])))


if __name__ == "__main__":
    main(*(Path(a) for a in sys.argv[1:4]))
