"""A noisy scan of one's own, with less noise: what noise it has, which method suits it, and what was taken away.

python examples/denoise_my_scan.py SCAN OUT_FOLDER [TRUTH]

SCAN is any image (NIfTI, mgz, a DICOM folder) of any contrast and orientation. Nothing needs to be said: kind and level
of the noise are found, and the history says where they were measured. Look at the residual: it shall be noise alone,
without the shape of the head. Where somebody has a better scan of the same object, TRUTH tells how much was gained.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import spinecho
from spinecho.core.image import Image
from spinecho.metrics.head import psnr_head


def main(scan: Path, out: Path, truth: Path | None = None) -> dict[str, float]:
    """Denoise by what suits the scan and by a simple method; psnr of each where there is a truth."""
    out.mkdir(parents=True, exist_ok=True)
    noisy = spinecho.read(scan)
    assert isinstance(noisy, Image), f"{scan} holds raw data: reconstruct it first (spinecho recon)"
    known = spinecho.read(truth) if truth is not None else None
    gained: dict[str, float] = {}
    for method in ("wavelet", "auto"):
        quiet = spinecho.denoise(noisy, method)
        print(f"{method}:", *quiet.header.history[len(noisy.header.history) :], sep="\n  ")
        spinecho.write(quiet, out / f"{method}.nii.gz")
        taken = replace(noisy, values=noisy.values.float() - quiet.values.float())
        spinecho.write(taken, out / f"{method}_taken_away.nii.gz")
        if isinstance(known, Image):
            gained[method] = psnr_head(known.values[0].float(), quiet.values[0].float())
    if isinstance(known, Image):
        gained["noisy"] = psnr_head(known.values[0].float(), noisy.values[0].float())
        print(*(f"{name}: {value:.2f} dB in the head" for name, value in gained.items()), sep="\n")
    return gained


if __name__ == "__main__":
    main(*(Path(a) for a in sys.argv[1:4]))
