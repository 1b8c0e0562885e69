"""A noisy head is denoised, and then what it might look like in another contrast is guessed; both are looked at.

python examples/denoise_and_translate.py [HEAD CONTRAST WANTED [OUT_FOLDER]]

What to give: an image of a head (NIfTI, mgz, a DICOM folder), its contrast, and the one that is wanted: t1, t2, flair
or pd. Without any, noise is added to the sample brain, a T1.
How long: under a minute for a head of 1 mm; seconds for the sample.
"""

from __future__ import annotations

import sys
from importlib.resources import files
from pathlib import Path

import numpy as np

import spinecho

file, contrast, wanted, folder = (*sys.argv[1:5], *("", "t1", "t2", "translated")[len(sys.argv) - 1 :])
out = Path(folder)
out.mkdir(parents=True, exist_ok=True)

# Where no head is given: the sample brain, an average of 152 people, with the noise of a magnitude image (Rician).

if not file:
    brain = spinecho.read(str(files("spinecho.samples") / "head_t1.nii.gz"))
    assert isinstance(brain, spinecho.Image)
    noise = np.random.default_rng(0).normal(0, 12, (2, *spinecho.to_numpy(brain).shape))
    noisy = np.hypot(spinecho.to_numpy(brain) + noise[0], noise[1])
    file = str(out / "noisy.nii.gz")
    spinecho.write(spinecho.from_numpy(noisy, "z y x", affine=brain.geometry.affine), file)

# Kind and level of the noise are found in the image. Denoise first: other steps make noise look like detail.

head = spinecho.read(file)
assert isinstance(head, spinecho.Image)
quiet = spinecho.denoise(head)
print(*quiet.header.history[len(head.header.history) :], sep="\n")

# What was taken away should be grain, without the shape of the head.

taken = np.abs(spinecho.to_numpy(head) - spinecho.to_numpy(quiet))
print(f"taken away: {taken.mean():.3g} on average, {taken.max():.3g} at most")

# Another contrast is a guess, and says so: what the given one does not show cannot be in it. Never diagnose from it.

guess = spinecho.translate(quiet, to=wanted, contrast=contrast)
print(*guess.header.history[len(quiet.header.history) :], sep="\n")

# Pictures to look at, and files for other programs.

for name, image in (("before", head), ("denoised", quiet), (f"guessed_{wanted}", guess)):
    spinecho.write(image, out / f"{name}.nii.gz")
    spinecho.write(image, out / f"{name}.png")
print(f"pictures are in {out}")
