"""How good are the methods on my own scans? Full scans are undersampled in the computer, so that the truth is known.

python examples/evaluate_on_my_scans.py [FOLDER [OUT_FOLDER [METHOD ...]]]

What to give: a folder of full Cartesian scans (fastMRI, MRD, twix, cfl, arrays), and the methods to be compared.
Without any, two simulated scans are taken, which says how to use it and nothing of your scans.
How long: some seconds for each slice, mask and method; stopped, the same command goes on.
"""

from __future__ import annotations

import csv
import sys
from collections import defaultdict
from pathlib import Path

from spinecho.cli import main as command

scans, folder, *methods = [*sys.argv[1:], *("sim:2", "evaluated")[len(sys.argv) - 1 :]]
methods = methods or ["zero_filled", "cg_sense", "l1_wavelet", "varnet"]
out = Path(folder)
out.mkdir(parents=True, exist_ok=True)

# Every fourth line is kept, in a pattern drawn from a seed. More `--accel` and `--seeds` give intervals one can trust.
# What is compared are images inside the object, each scaled to the truth there.

words = ["evaluate", "--data", scans, "--methods", *methods, "--baseline", methods[0], "--accel", "4", "--seeds", "0"]
words += ["--out", str(out / "rows.csv"), "--report", str(out / "report.html")]
if command(words):
    raise SystemExit("the evaluation ended with an error: see above")

# The table is a CSV file with a row for each scan and method, for figures of one's own:

with (out / "rows.csv").open(newline="") as file:
    rows = list(csv.DictReader(file))
scores = defaultdict(list)
for row in rows:
    scores[row["method"]].append(float(row["psnr_inside"]))
for method, values in sorted(scores.items(), key=lambda pair: -sum(pair[1]) / len(pair[1])):
    print(f"{method:<12} {sum(values) / len(values):6.2f} dB inside, mean of {len(values)}, worst {min(values):.2f}")

# The report shows the worst cases in pictures. Look at them before you believe a mean.

print(f"look at {out / 'report.html'}")
