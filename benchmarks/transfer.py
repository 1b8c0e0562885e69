"""`python -m benchmarks.transfer`: the ladder from real to simulated, dB inside, compressed sensing -> methods.

Each real multi-coil slice is taken apart, one thing after the other is replaced by what the simulator draws, and every
rung is undersampled and reconstructed. Where a learned method falls behind tells what its training lacks. Goes on where
it was stopped; `--only abdomen --rung real` is quick.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from statistics import fmean

import torch

from benchmarks.rungs import REAL, RUNGS, rung
from benchmarks.sections import circumstances, load_average, table
from spinecho.core.errors import DataError
from spinecho.core.kspace import KSpace
from spinecho.evaluate.judge import INSIDE, judge_of
from spinecho.evaluate.markdown import write_section
from spinecho.evaluate.methods import contenders
from spinecho.evaluate.rows import Kept, Row
from spinecho.evaluate.run import Evaluation, evaluate
from spinecho.sim.mask_spec import MaskSpec
from spinecho.tasks.recon.judge.scans import cases_of
from spinecho.tasks.recon.judge.sources import case_list
from spinecho.tasks.recon.judge.truth import Source

ROOT = Path(__file__).parents[1]
SLICES = Path(__file__).parent / "real_multicoil.json"
SECTION = "From real to simulated"
CONVERGED = "l1_wavelet:n_iters=480"
"""Compressed sensing converged: twice as many iterations change its score on the real slices by 0.02 to 0.14 dB."""
ACCEL, CENTRE = 4, 0.08

PROTOCOL = f"""R = {ACCEL:g}, random lines, {100 * CENTRE:g} % of the centre, masks {{masks}}. dB inside the object,
mean over the masks; behind a method its gain over `{{start}}`, and the least one over the masks. {INSIDE}.
Each rung keeps what the one before has replaced: the coils' images combined by their own maps (ESPIRiT, 24 lines) and
seen by these maps again, with fresh noise of the air's covariance; the magnitude in place of that image; maps and
smooth phase as the simulator draws them; at most 160 x 160 pixels over the same field of view. A real truth has its
noise, the others have none."""


def sources(only: str, rungs: Sequence[str]) -> Iterator[Source]:
    """Each slice on each rung, as far as they are asked for."""
    for slice_ in listed(SLICES):
        if only.lower() not in slice_.name.lower():
            continue
        full = lru_cache(maxsize=1)(slice_.load)
        for i, name in enumerate([REAL, *RUNGS]):
            if any(wanted in name for wanted in rungs):
                kind = "real" if name == REAL else "simulated"
                yield replace(slice_, name=f"{slice_.name}; {i} {name}", load=_loader(full, name), kind=kind)


def listed(path: Path) -> list[Source]:
    """The slices of a list; where their files are absent, the program ends and says so."""
    try:
        return case_list(path)
    except DataError as error:
        raise SystemExit(f"{error}\nthe real slices lie in ../shared/data") from None


def _loader(full: Callable[[int], KSpace], name: str) -> Callable[[int], KSpace]:
    def load(i: int) -> KSpace:
        return rung(full(i), name)

    return load


def lines(rows: Sequence[Row], methods: Sequence[str], kind: str) -> list[list[str]]:
    """One line for each slice and rung of a kind: the baseline, then each method with its gain."""
    made = []
    for scan in dict.fromkeys(r.scan for r in rows if r.kind == kind):
        by_method = {m: _by_case(rows, scan, m) for m in methods}
        base = by_method[methods[0]]
        slice_, _, name = scan.partition("; ")
        cells = [slice_, name[2:], f"{fmean(base.values()):.2f}" if base else "-"]
        for m in methods[1:]:
            gains = [v - base[c] for c, v in by_method[m].items() if c in base]
            told = f"{fmean(by_method[m].values()):.2f} ({fmean(gains):+.2f}, {min(gains):+.2f})" if gains else "-"
            cells.append(told)
        made.append(cells)
    return made


def _by_case(rows: Sequence[Row], scan: str, method: str) -> dict[str, float]:
    return {r.case: r.figure("psnr_inside") for r in rows if (r.scan, r.method) == (scan, method) and not r.refused}


def text(rows: Sequence[Row], methods: Sequence[str], masks: Sequence[int], how: str) -> str:
    """The section: real and simulated rungs in tables of their own."""
    parts = [how, PROTOCOL.format(masks=", ".join(map(str, masks)), start=methods[0]), ""]
    head = ["slice", "rung", *(f"`{m}`" for m in methods)]
    for kind, title in (("real", "Real slices"), ("simulated", "Simulated from them")):
        if any(r.kind == kind for r in rows):
            parts += [f"**{title}**", "", table(head, lines(rows, methods, kind))]
    refused = dict.fromkeys(f"- not run: `{r.method}` on {r.scan}: {r.refused}" for r in rows if r.refused)
    return "\n".join([*parts, *refused])


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.transfer", description=__doc__)
    parser.add_argument(
        "--methods", nargs="*", default=["l1_wavelet", "varnet"], help="METHOD, METHOD=FILE, METHOD:key=value"
    )
    parser.add_argument("--start", default=CONVERGED, help="what gains are counted from")
    parser.add_argument("--masks", nargs="+", type=int, default=[0])
    parser.add_argument("--only", default="", help="slices whose name holds this")
    parser.add_argument("--rung", nargs="+", default=[""], help="rungs whose name holds one of these")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--kept", type=Path, default=ROOT / "runs/benchmarks/transfer.html", help="rows go beside it")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/results.md", help="`-`: print only")
    return parser.parse_args()


def main() -> None:
    """Run what is missing, and write the section."""
    args = arguments()
    torch.set_num_threads(args.threads)
    before, judge = load_average(), judge_of("recon")
    methods = [args.start, *(m for m in args.methods if m != args.start)]
    specs = [MaskSpec("random", ACCEL, CENTRE, seed) for seed in args.masks]
    cases = cases_of(tuple(sources(args.only, args.rung)), specs, torch.device("cpu"))
    args.kept.parent.mkdir(parents=True, exist_ok=True)
    rows = []
    for step in evaluate(Evaluation(judge=judge, cases=cases, contenders=contenders(judge, methods)), Kept(args.kept)):
        if step.left_out and step.left_out.why:
            print(f"left out: {step.left_out.why}", flush=True)
        if step.row:
            rows.append(step.row)
            figure = step.row.refused or f"{step.row.figure('psnr_inside'):.2f} dB"
            print(f"{step.row.case}: {step.row.method} {figure}", flush=True)
    made = text(rows, methods, args.masks, circumstances("benchmarks.transfer", args.threads, before))
    print(made)
    if str(args.out) != "-":
        write_section(args.out, SECTION, made)


if __name__ == "__main__":
    main()
