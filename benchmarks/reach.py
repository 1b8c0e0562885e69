"""`python -m benchmarks.reach`: what time our automatic setting takes to bart's best image, and what the default gives.

Adds its table to RESULTS.md; run it after `python -m benchmarks`, whose rows and tuning it reads.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from benchmarks.__main__ import arguments
from benchmarks.cases import build
from benchmarks.scoring import psnr
from benchmarks.sides import Bench, Setting, run
from benchmarks.tuning import Oracle, named

TITLE = "## At equal quality"
HEAD = """## At equal quality

Made by `python -m benchmarks.reach`; load average {load}. spinecho with its automatic weight: the first number of
iterations whose psnr is at least that of bart's converged image with bart's oracle weight, and the default number. `x`
is bart's solve time (of the table above: its own image to within 0.05 dB) over spinecho's.
"""
COLUMNS = """
### {kind}

| case | method | bart dB | bart solve s | reached with | dB | solve s | x | default dB | default solve s | x |
|---|---|---|---|---|---|---|---|---|---|---|
"""


def line(bench: Bench, row: dict[str, object], shared: Path) -> str:
    """One case and method."""
    name, method = str(row["case"]), str(row["method"])
    path = bench.work / f"cases/{name}.npz"
    case = build(name, shared, bench.work / "cases")
    ladder = Oracle(bench, case, path, "spinecho", method).tuned.ladders.get(named(None), {})
    enough = [int(n) for n, value in ladder.items() if value >= float(str(row["psnr"]))]
    bart_s = float(str(row["solve_s"]))
    cells = [name, method, f"{row['psnr']:.2f}", f"{bart_s:.3f}"]
    for setting in (Setting(n_iters=min(enough)) if enough else None, Setting()):
        if setting is None:
            cells += ["not reached", "-", "-", "-"]
            continue
        (clock,) = run(bench, "spinecho", path, method, [setting], bench.repeats)
        cells += [f"{setting.n_iters} iterations"] if setting.n_iters else []
        cells += [f"{psnr(case, clock.image):.2f}", f"{clock.solve_s:.3f}", f"{bart_s / clock.solve_s:.1f}"]
    return "| " + " | ".join(cells) + " |\n"


def main() -> None:
    """Write the section, in place of an older one."""
    args = arguments()
    torch.set_num_threads(args.threads)
    rows = json.loads((args.work / "rows.json").read_text())
    wanted = [
        r for r in rows if r["side"] == "bart" and r["chosen"] == "oracle" and r["method"] in ("l1_wavelet", "tv")
    ]
    text = HEAD.format(load=" ".join(f"{v:.2f}" for v in os.getloadavg()))
    with TemporaryDirectory(dir=args.work) as scratch:
        bench = Bench(
            work=args.work,
            scratch=Path(scratch),
            peers_python=args.peers_python,
            threads=args.threads,
            repeats=args.repeats,
        )
        for kind in ("real", "simulated"):
            text += COLUMNS.format(kind=f"{kind.capitalize()} data")
            for row in [r for r in wanted if r["kind"] == kind]:
                text += line(bench, row, args.shared)
                print(text.splitlines()[-1], flush=True)
    before = args.out.read_text().partition(TITLE)[0].rstrip()
    args.out.write_text(f"{before}\n\n{text}")


if __name__ == "__main__":
    main()
