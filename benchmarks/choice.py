"""`python -m benchmarks.choice`: does the error on left-out lines choose the method that the truth would choose?

Each candidate reconstructs a case from all lines, which is scored inside the object, and with every sixth outer line
left out, which it has to predict. Goes on where it was stopped; `--masks 1 --simulated 1` is quick.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from types import SimpleNamespace
from typing import Any, cast

import torch

from benchmarks.held_out import EVERY, held_out_error
from benchmarks.sections import circumstances, load_average, table
from benchmarks.transfer import ROOT, SLICES, listed
from spinecho.calib.prepare import prepare
from spinecho.evaluate import versions
from spinecho.evaluate.judge import INSIDE, Case, Judge, Outcome, judge_of
from spinecho.evaluate.markdown import write_section
from spinecho.evaluate.methods import Asked, contenders
from spinecho.evaluate.rows import Kept, Row
from spinecho.evaluate.run import Evaluation, evaluate
from spinecho.sim.mask_spec import MaskSpec
from spinecho.tasks.recon.judge.scans import Inputs, cases_of
from spinecho.tasks.recon.judge.sources import SimOptions, simulated
from spinecho.tasks.recon.run import build

SECTION = "Choice by left-out lines"
NEAR = 0.2
"""dB within which a choice is as good as the best."""

PROTOCOL = f"""Random lines, 0.32/R of them central; every {EVERY}th measured line outside the calibration block is
left out in one fold. `within`: cases where the candidate with the least error on them, in units of the noise's
variance, is at most {NEAR:g} dB inside below the best candidate with all lines; `loss`: mean and largest
distance to it; `order`: pairs of candidates over {NEAR:g} dB apart that stand in the same order; `best`: how often
each is the best. {INSIDE}."""


@dataclass(frozen=True)
class Candidate:
    """A method that is also asked to predict what it was not given."""

    asked: Asked
    fold: int
    is_oracle: bool = False

    @property
    def name(self) -> str:
        """The word."""
        return self.asked.word

    def version(self, case: Case) -> str:
        """Of code, weights, settings and the fold."""
        own = versions.of_method("recon", self.asked.name, self.asked.settings)
        return versions.joined(own, str(self.fold), Path(held_out_error.__code__.co_filename).read_text())

    def run(self, inputs: Inputs) -> Outcome:
        """The image from all lines, and the error on those left out."""
        outcome = judge_of("recon").run(inputs, self.asked)
        runner = build(self.asked.name, self.asked.settings)
        with torch.inference_mode():
            error = held_out_error(prepare(inputs.kspace)[0], runner, self.fold)
        return Outcome(result=(outcome.result, error), n_parts=outcome.n_parts)


def judge() -> Judge:
    """The judge of reconstructions, which also writes the error down."""
    recon = judge_of("recon")

    def figures(inputs: Inputs, outcome: Outcome) -> dict[str, float]:
        values, error = outcome.result
        return {**recon.judge(inputs, Outcome(result=values)), "held_out": error}

    return cast(Judge, SimpleNamespace(**{**vars(recon), "judge": figures}))


@dataclass(frozen=True, kw_only=True)
class Tally:
    """What became of the cases of one kind at one R."""

    n: int
    within: int
    losses: tuple[float, ...]
    alike: int
    pairs: int
    best: dict[str, int]

    @property
    def cells(self) -> list[str]:
        """Of the table."""
        share = f"{self.within} ({100 * self.within / self.n:.0f} %)"
        order = f"{self.alike} of {self.pairs}"
        return [str(self.n), share, f"{fmean(self.losses):.2f}, {max(self.losses):.2f}", order, _named(self.best)]


def tally(rows: Sequence[Row], methods: Sequence[str]) -> Tally | None:
    """Over the cases that all candidates have; None without any."""
    by_case: dict[str, dict[str, tuple[float, float]]] = {}
    for r in rows:
        if not r.refused:
            by_case.setdefault(r.case, {})[r.method] = (r.figure("held_out"), r.figure("psnr_inside"))
    cases = [of for of in by_case.values() if len(of) == len(methods)]
    if not cases:
        return None
    losses, best, alike, pairs = [], dict.fromkeys(methods, 0), 0, 0
    for of in cases:
        chosen, first = min(of, key=lambda m: of[m][0]), max(of, key=lambda m: of[m][1])
        losses.append(of[first][1] - of[chosen][1])
        best[first] += 1
        for i, a in enumerate(methods):
            for b in methods[i + 1 :]:
                if abs(of[a][1] - of[b][1]) > NEAR:
                    pairs += 1
                    alike += (of[a][0] < of[b][0]) == (of[a][1] > of[b][1])
    within = sum(loss <= NEAR for loss in losses)
    return Tally(n=len(cases), within=within, losses=tuple(losses), alike=alike, pairs=pairs, best=best)


def _named(counts: dict[str, int]) -> str:
    return ", ".join(f"`{m}` {n}" for m, n in sorted(counts.items(), key=lambda item: -item[1]))


HEAD = ["R", "cases", f"within {NEAR:g} dB", "loss dB: mean, largest", "order", "best"]


def text(rows: Sequence[Row], methods: Sequence[str], how: str) -> str:
    """The section: real and simulated cases in tables of their own, each R in its line."""
    parts = [how, PROTOCOL, ""]
    for kind, title in (("real", "Real cases"), ("simulated", "Simulated cases")):
        mine = [r for r in rows if r.kind == kind]
        accels = sorted({float(r.facts["accel"] or 0) for r in mine})
        lines = []
        for accel in accels:
            counted = tally([r for r in mine if float(r.facts["accel"] or 0) == accel], methods)
            lines += [[f"{accel:g}", *counted.cells]] if counted else []
        if lines:
            scans = len({r.scan for r in mine})
            parts += [f"**{title}** of {scans} scan{'s' * (scans != 1)}", "", table(HEAD, lines)]
    refused = dict.fromkeys(f"- not run: `{r.method}` on {r.scan}: {r.refused}" for r in rows if r.refused)
    return "\n".join([*parts, *refused])


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.choice", description=__doc__)
    parser.add_argument("--methods", nargs="+", default=["l1_wavelet", "varnet"], help="candidates, as of evaluate")
    parser.add_argument("--accel", nargs="+", type=float, default=[4, 6, 8])
    parser.add_argument("--masks", type=int, default=25, help="masks of each real slice; 25 of 4 slices are 100 cases")
    parser.add_argument("--simulated", type=int, default=100, help="simulated draws, one mask each")
    parser.add_argument("--fold", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--labels", type=Path, default=ROOT.parent / "shared/data/label_maps")
    parser.add_argument("--kept", type=Path, default=ROOT / "runs/benchmarks/choice.html", help="rows go beside it")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/results.md", help="`-`: print only")
    return parser.parse_args()


def evaluations(args: Any) -> list[Evaluation]:
    """Real slices with many masks; simulated draws with one."""
    recon = judge()
    candidates = [Candidate(one.asked, args.fold) for one in cast("list[Any]", contenders(recon, args.methods))]
    centre = {accel: round(0.32 / accel, 4) for accel in args.accel}
    many = [MaskSpec("random", a, centre[a], seed) for a in args.accel for seed in range(args.masks)]
    real = cases_of(tuple(listed(SLICES)) if many else (), many, torch.device("cpu"))
    draws = tuple(simulated(args.simulated, SimOptions(labels=args.labels))) if args.simulated else ()
    once = cases_of(draws, [MaskSpec("random", a, centre[a], 0) for a in args.accel], torch.device("cpu"))
    return [Evaluation(judge=recon, cases=cases, contenders=candidates) for cases in (real, once)]


def main() -> None:
    """Run what is missing, and write the section."""
    args = arguments()
    torch.set_num_threads(args.threads)
    before, rows = load_average(), []
    args.kept.parent.mkdir(parents=True, exist_ok=True)
    kept = Kept(args.kept)
    for evaluation in evaluations(args):
        for step in evaluate(evaluation, kept):
            if step.row:
                rows.append(step.row)
                found = f"{step.row.figure('psnr_inside'):.2f} dB, left out {step.row.figure('held_out'):.2f}"
                print(f"{step.row.case}: {step.row.method} {step.row.refused or found}", flush=True)
    made = text(rows, args.methods, circumstances("benchmarks.choice", args.threads, before))
    print(made)
    if str(args.out) != "-":
        write_section(args.out, SECTION, made)


if __name__ == "__main__":
    main()
