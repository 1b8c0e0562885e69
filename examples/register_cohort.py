"""A cohort's own template: everybody aligned to their common mean, with a map of where people differ.

python examples/register_cohort.py FOLDER OUT_FOLDER [ROUNDS [MORE OPTIONS OF spinecho groupwise ...]]

What to give: a folder of NIfTI volumes of one contrast, one for each person; any orientation, spacing and size.
How long: every round aligns everybody, which takes up to half a minute for a head of 2 mm on two cores.
Stopped, the same command goes on.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import spinecho
from spinecho.cli import main as command

folder, results = (Path(word) for word in sys.argv[1:3])
rounds, *more = sys.argv[3:] or ["4"]
people = sorted(folder.glob("*.nii*"))
template, transforms = results / "template.nii.gz", results / "to_people"
results.mkdir(parents=True, exist_ok=True)


def run(*words: str) -> None:
    """A command of spinecho; the script ends where that fails."""
    if command(words):
        raise SystemExit(f"spinecho {words[0]} ended with an error: see above")


# The template lies in the middle of all, whoever comes first. Each line says how far it still moved; it should settle.

run(
    *("groupwise", *map(str, people), "-o", str(template), "--transforms", str(transforms), "--rounds", rounds, *more),
)

# Bring everybody onto the template by the transforms that were found.

stack = []
for person in people:
    stem = person.name.split(".nii")[0]
    warped = results / f"{stem}_in_template.nii.gz"
    run("apply", str(transforms / f"{stem}.h5"), str(person), "--onto", str(template), "-o", str(warped))
    image = spinecho.read(warped)
    assert isinstance(image, spinecho.Image)
    values = spinecho.to_numpy(image)
    stack.append(values / np.percentile(values, 99))

# Where do people differ? The standard deviation over the cohort, on the template's grid (its affine is LPS, as all
# geometry here): bright at folds and ventricles.

mean = spinecho.read(template)
assert isinstance(mean, spinecho.Image)
spread = spinecho.from_numpy(np.std(stack, axis=0), "z y x", affine=mean.geometry.affine)
spinecho.write(spread, results / "spread.nii.gz")
print(f"{len(people)} people, template of {mean.geometry.shape} voxels (z, y, x) in {template}")
