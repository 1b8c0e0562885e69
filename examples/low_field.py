"""A low-field scan from raw samples to a picture: reconstructed, lifted towards 1.5 T, and both side by side.

python examples/low_field.py OUT_FOLDER [SCAN [WEIGHTS]]

What to give: where the results go. Without SCAN it takes the real slice at 0.055 T that is in the package.
How long: some seconds.

What is lifted was learned from simulated
scans: it has less noise and sharper edges, and where it sharpens it guesses. So the plain image is written beside it,
and so is the difference: look there for structures before believing any.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from importlib.resources import as_file, files
from pathlib import Path

import torch

import spinecho


def main(out: Path, scan: Path | None = None, weights: Path | None = None) -> spinecho.Image:
    """Write the plain image, the lifted one and their difference as NIfTI, and a picture of all three."""
    out.mkdir(parents=True, exist_ok=True)
    with as_file(files("spinecho.samples") / "low_field.mrd.h5") as sample:
        plain = spinecho.recon(spinecho.read(scan or sample)).magnitude()
    settings = {} if weights is None else {"weights": str(weights)}
    lifted = spinecho.superres(plain, "lowfield", **settings)
    print(*lifted.header.history[len(plain.header.history) :], sep="\n")
    smooth = spinecho.superres(plain, "bspline", spacing_mm=lifted.geometry.voxel_mm, agree=False)
    images = {"plain": smooth, "lifted": lifted, "difference": _difference(lifted, smooth)}
    for name, image in images.items():
        spinecho.write(image, out / f"{name}.nii.gz")
        spinecho.write(image, out / f"{name}.png")
    return lifted


def _difference(lifted: spinecho.Image, smooth: spinecho.Image) -> spinecho.Image:
    """Absolute, at the scale where both are nearest."""
    one, other = lifted.values, smooth.values
    scale = float((one * other).sum() / other.square().sum())
    return replace(lifted, values=torch.as_tensor(one - scale * other).abs())


if __name__ == "__main__":
    main(*(Path(a) for a in sys.argv[1:4]))
