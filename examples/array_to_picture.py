"""An array of samples becomes a picture: read it, reconstruct it, look at it, hand it to other programs.

python examples/array_to_picture.py [SAMPLES AXES [OUT_FOLDER]]

What to give: complex samples (.npy, .npz, .mat, .h5), zero where nothing was measured, and the names of the array's
axes, such as "coil k1 k0": k0 is the readout, k1 and k2 are phase encodes. Without any, a sample is taken.
How long: some seconds for a slice.
"""

from __future__ import annotations

import sys
from importlib.resources import files
from pathlib import Path

import numpy as np

import spinecho

samples, axes, folder = (*sys.argv[1:4], *("", "coil k1 k0", "array_to_picture")[len(sys.argv) - 1 :])
out = Path(folder)
out.mkdir(parents=True, exist_ok=True)

# An array has no header, so its axes are named here. `voxel_mm=(x, y, z)` would set the proportions of the picture.
# Where no file is given, the array is that of a sample scan: eight coils, a third of the lines measured, the rest zero.

if samples:
    kspace = spinecho.read(samples, spinecho.ReadOptions(axes=axes))
else:
    scan = spinecho.read(str(files("spinecho.samples") / "cartesian_r4.mrd.h5"))
    assert isinstance(scan, spinecho.KSpace)
    kspace = spinecho.from_samples(scan.samples[:, 0].numpy(), axes)
assert isinstance(kspace, spinecho.KSpace)
print(f"{kspace.n_coils} coils, encoded matrix {kspace.encoding.matrix} (z, y, x)")

# Named no method, spinecho takes what suits the scan. The image's history says what that was, and all that was done.

image = spinecho.recon(kspace)
print(*image.header.history, sep="\n")
print("doubts:", *(image.header.warnings or ["none"]))

# The suffix decides on the format: a picture to look at, and a file for other programs.

spinecho.write(image, out / "picture.png")
spinecho.write(image, out / "picture.nii.gz")

# As an array again, magnitudes (z, y, x):

array = np.abs(spinecho.to_numpy(image))
print(f"an array of shape {array.shape}, brightest {array.max():.3g}; pictures are in {out}")
