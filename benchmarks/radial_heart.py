"""`python -m benchmarks.radial_heart`: how well methods predict the spokes of a real heart that were left out.

25 spokes of 12 coils, a scan without a truth: every fifth is left out, as often as folds are asked for, reconstructed
without, and predicted. A section of docs/results.md.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.sections import circumstances, load_average, table
from spinecho.calib.csm import estimate_csm
from spinecho.calib.noise import noise_sigma
from spinecho.calib.prepare import prepare
from spinecho.core.kspace import KSpace
from spinecho.evaluate.judge import Asked
from spinecho.evaluate.markdown import write_section
from spinecho.evaluate.methods import asked
from spinecho.io.options import ReadOptions
from spinecho.io.read import read
from spinecho.tasks.recon.parts.left_out import Fold, leave_out
from spinecho.tasks.recon.run import build

ROOT = Path(__file__).parents[1]
TITLE = "Radial heart, real: spokes left out"
METHODS = (
    *(f"nufft_cg:n_iters={n}" for n in (5, 6, 7, 20)),
    "modl",
    "hqs_net",
    "pnp",
    *(f"pnp:weight={w}" for w in (2, 5, 10)),
    "checked",
)
PROTOCOL = """Mean |A' x - y'|^2 over the samples left out, in units of the noise's variance (density-weighted; 1 would
be the noise alone). `as given`: spokes lie where the file says, `found`: where their crossings say, with the phases of
eddy currents taken out, as `spinecho recon` does by itself. The choice of a method's settings by the same spokes, as
in the rows of `nufft_cg` and `pnp`, flatters them a little; `checked` sees only the spokes it is given. Delays and
phases, five numbers, are those of all spokes."""


def error(folds: list[Fold], wanted: Asked) -> float:
    """Of the samples left out, over that of noise alone."""
    total = count = 0.0
    for fold in folds:
        image = build(wanted.name, wanted.settings)(fold.kspace)
        csm = image.extras["csm"] if "csm" in image.extras else estimate_csm(fold.kspace)
        total += float(torch.view_as_real(fold.errors(image.values, csm)).double().square().sum())
        count += float(fold.count.sum()) * noise_sigma(fold.kspace) ** 2
    return total / count


def main() -> None:
    """Run, and write the section."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.radial_heart", description=__doc__)
    parser.add_argument("--methods", nargs="*", default=METHODS)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared", help="folder that holds data/")
    parser.add_argument("--out", default=str(ROOT / "docs/results.md"), help="`-`: print only")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    before = load_average()
    given = read(args.shared / "data/kspace/cardiac_radial_12coil.mat", ReadOptions(axes="k0 k1 coil"))
    assert isinstance(given, KSpace)
    exact = replace(given, encoding=replace(given.encoding, is_exact=True))
    ways = [leave_out(prepare(scan)[0], args.folds) for scan in (exact, given)]
    rows = []
    with torch.inference_mode():
        for method in args.methods:
            wrong, right = (error(folds, asked(method)) for folds in ways)
            rows.append([f"`{method}`", f"{wrong:.2f}", f"{right:.2f}"])
            print(rows[-1], flush=True)
    made = table(["method", "as given", "found"], rows)
    text = circumstances("benchmarks.radial_heart", args.threads, before) + f"\n{PROTOCOL}\n\n{made}\n"
    print(text)
    if args.out != "-":
        write_section(Path(args.out), TITLE, text)


if __name__ == "__main__":
    main()
