"""Weights that are in the package learn on from my full scans; then both are judged on people whom neither has seen.

python examples/fine_tune.py TRAINING_FOLDER TEST_FOLDER OUT_FOLDER [STEPS [MORE OPTIONS OF spinecho train ...]]

What to give: full Cartesian scans (fastMRI, MRD, twix, cfl, arrays) in two folders, no person in both.
How long: the usual 1000 steps take from some minutes (small slices) to some hours (large ones) on two cores.
Stopped, the same command goes on.
"""

from __future__ import annotations

import sys
from pathlib import Path

from spinecho.cli import main as command

training, test, folder = sys.argv[1:4]
steps, *more = sys.argv[4:] or ["1000"]
out = Path(folder)
weights = out / "run" / "weights.safetensors"


def run(*words: str) -> None:
    """A command of spinecho; the script ends where that fails."""
    if command(words):
        raise SystemExit(f"spinecho {words[0]} ended with an error: see above")


# Start from the package's varnet, with a rate a tenth as large as for a new one. Each step draws a scan, a mask and a
# slice anew; `out/run/pictures` shows how validation scans look on the way.

every = str(max(1, int(steps) // 4))
run(
    *("train", "recon/varnet", "--data", training, "--init", "varnet", "--out", str(out / "run")),
    *("--steps", steps, "--rate", "1e-4", "--validate-every", every, "--validation-examples", "2", *more),
)

# Did it help? The same scans and masks for both, and a method that has learned nothing. The interval of the difference
# decides, not the mean: where it holds zero, keep the weights of the package.

run(
    *("evaluate", "--data", test, "--methods", "l1_wavelet", "varnet", f"varnet={weights}", "--baseline", "varnet"),
    *("--accel", "4", "--seeds", "0", "1", "--report", str(out / "report.html")),
)

# The new weights serve wherever a method's name stands: `spinecho recon scan.h5 -o brain.nii.gz --weights ...`

print(f"weights in {weights}; the comparison is in {out / 'report.html'}")
