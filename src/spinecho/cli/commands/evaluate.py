"""Compare methods of a task (recon where none is named) on cases with a known truth: tables, statistics, pictures."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, fields, make_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from spinecho.cli.parse import parse
from spinecho.cli.progress import progress
from spinecho.core.errors import DataError
from spinecho.evaluate.judge import Case, Judge, judge_of, judged
from spinecho.io.outputs import check_name, check_outputs, paths_of
from spinecho.methods import registry

if TYPE_CHECKING:
    from spinecho.evaluate.judge import Contender
    from spinecho.evaluate.rows import Row
    from spinecho.evaluate.run import Evaluation, Progress

DEFAULT = "recon"


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments that all tasks share."""

    methods: tuple[str, ...]
    """methods (spinecho list), NAME=FILE for other weights, NAME:key=value,key=value for settings, and special names of
    the task"""
    report: Path | None = None
    """page to write (.html), with the table beside it; rows are kept there as they come, so the same command
    continues"""
    out: Path | None = None
    """table to write (.csv), if not beside the page or without a page"""
    baseline: str | None = None
    """method that the others are compared with (default: the task's, or the first)"""
    markdown: Path | None = None
    """put the tables into this file, between markers that name the section"""
    section: str | None = None
    """name of that section (default: the task)"""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """where to compute; auto takes the GPU where there is one"""
    threads: int | None = None
    """processor threads (default: all)"""
    json: bool = False
    """print the tables as one JSON object, for programs; all else goes to stderr"""
    debug: bool = False
    """show where an error comes from"""


def run(arguments: Sequence[str]) -> int:
    """Check everything, then go through the cases, and write tables and page."""
    named = bool(arguments) and not arguments[0].startswith("-")
    task = arguments[0] if named else DEFAULT
    judge = judge_of(task)
    kind: Any = make_dataclass("Arguments", [], bases=(judge.Options, Arguments), frozen=True, kw_only=True)
    command = "evaluate" + f" {task}" * named
    args = parse(kind, command, described(judge, task), arguments[1:] if named else arguments)
    typed = shlex.join(["spinecho", "evaluate", *arguments])
    if not args.json:
        evaluated(args, judge, typed)
        return 0
    with redirect_stdout(sys.stderr):
        rows, baseline = evaluated(args, judge, typed)
    from spinecho.evaluate.tables import plain, tables

    print(json.dumps({"command": typed, "tables": [plain(t) for t in tables(rows, judge, baseline)]}, indent=1))
    return 0


def evaluated(args: Any, judge: Judge, typed: str) -> tuple[list[Row], str]:
    """The rows, and who is the baseline; tables are printed, files written."""
    table = place(args, judge)
    if args.markdown is not None:
        from spinecho.evaluate.markdown import check_section

        check_section(args.markdown, section_of(args, judge))
    evaluation, baseline = planned(args, judge)
    from spinecho.evaluate.rows import Kept, write_csv

    kept = Kept(args.out or args.report)
    rows, cases = collected(evaluation, kept)
    if all(r.refused for r in rows):
        raise DataError("no method gave a result", do="see the lines above")
    write_csv(table, rows)
    told(args, judge, rows, baseline, typed)
    if args.report is not None:
        from spinecho.evaluate.page import write_page

        print("drawing the worst cases", flush=True)
        write_page(args.report, rows, judge, cases, evaluation.contenders, baseline, typed)
        print(f"wrote {args.report}")
    print(f"wrote {table}")
    return rows, baseline


def described(judge: Judge, task: str) -> str:
    """What the help says first."""
    others = ", ".join(f"spinecho evaluate {t} --help" for t in judged() if t != task)
    words = f" Words of {task} for --methods: {judge.WORDS}." if judge.WORDS else ""
    return f"{__doc__}{words} Other tasks: {others}."


def place(args: Arguments, judge: Judge) -> Path:
    """Where the table goes; what cannot be written, or is read, is refused before anything is read."""
    if args.report is None and args.out is None:
        raise DataError("nothing is to be written", do="give --report PAGE.html or --out TABLE.csv, or both")
    for what, path, endings in (("report", args.report, (".html", ".htm")), ("table", args.out, (".csv",))):
        if path is not None:
            check_name(path, what, *endings)
    first = args.out or args.report
    assert first is not None
    table = args.out or first.with_suffix(".cases.csv")
    wanted = (table, first.with_suffix(".cases.jsonl"), args.report, args.markdown)
    check_outputs([path for path in wanted if path is not None], read_by(args, judge))
    return table


def section_of(args: Arguments, judge: Judge) -> str:
    """Where the tables go in the markdown file."""
    return args.section or registry.task_named(judge.TASK).WHAT.capitalize()


def read_by(args: Arguments, judge: Judge) -> list[Path]:
    """What the judge reads: paths among its options, and texts that name files (lists of scans or pairs)."""
    values = [getattr(args, one.name) for one in fields(judge.Options)]
    texts = [Path(t) for value in values if isinstance(value, tuple) for t in value if isinstance(t, str)]
    return [*paths_of(values), *(path for path in texts if path.exists())]


def planned(args: Any, judge: Judge) -> tuple[Evaluation, str]:
    """Cases and contenders, and who is the baseline; wrong options and unknown methods are refused here."""
    if not args.methods:
        raise DataError("an option has no values", do="give at least one to --methods")
    import torch

    from spinecho.core.device import choose
    from spinecho.evaluate.methods import contenders
    from spinecho.evaluate.run import Evaluation

    if args.threads is not None:
        torch.set_num_threads(args.threads)
    taking_part = contenders(judge, args.methods)
    baseline = baseline_of(args, judge, taking_part)
    cases = judge.cases(args, choose(args.device))
    return Evaluation(judge=judge, cases=cases, contenders=taking_part), baseline


def baseline_of(args: Arguments, judge: Judge, contenders: Sequence[Contender]) -> str:
    """The contender that others are compared with."""
    names = [one.name for one in contenders]
    wanted = args.baseline or (judge.BASELINE if judge.BASELINE in names else names[0])
    if wanted not in names:
        raise DataError(f"the baseline {wanted} is not among --methods", do=f"these are {', '.join(names)}")
    return wanted


def collected(evaluation: Evaluation, kept: Any) -> tuple[list[Row], dict[str, Case]]:
    """All rows of an evaluation and its cases by name, with a line for each as it comes."""
    from spinecho.evaluate.run import evaluate

    rows: list[Row] = []
    cases: dict[str, Case] = {}
    resumed = 0
    said: set[str] = set()
    try:
        with progress(f"{len(evaluation.contenders)} methods") as tell:
            for reached in evaluate(evaluation, kept):
                if reached.case is not None:
                    cases[reached.case.name] = reached.case
                if reached.row is not None:
                    rows.append(reached.row)
                    resumed += reached.resumed
                line = line_of(reached, evaluation.judge)
                if line and line not in said:
                    said.add(line)
                    print(line, flush=True)
                tell(reached.done, reached.total)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"{len(rows)} rows are kept in {kept.path}; the same command continues") from None
    if resumed:
        print(f"{resumed} of {len(rows)} rows were finished before")
    return rows, cases


def line_of(reached: Progress, judge: Judge) -> str:
    """What is said of a case that is reached or left out, and of a row that was not there before."""
    from spinecho.evaluate.worst import told

    if reached.left_out is not None:
        return f"left out: {reached.left_out.why}" if reached.left_out.why else ""
    if reached.case is not None:
        return reached.case.about
    row = reached.row
    assert row is not None
    if row.refused:
        return f"not run: {row.method} on {row.scan}: {row.refused}"
    if reached.resumed:
        return ""
    return f"{row.case} {row.method}: {told(row, judge.MEASURES, 3)}, {row.cpu_s:.1f} CPU s"


def told(args: Arguments, judge: Judge, rows: Sequence[Row], baseline: str, command: str) -> None:
    """Print the tables, and put them into the file that wants them."""
    import torch

    from spinecho.evaluate.markdown import section_text, write_section

    n = torch.get_num_threads()
    machine = f"{n} thread{'s' if n > 1 else ''} of {os.cpu_count()}."
    text = section_text(rows, judge, baseline, command, machine)
    print(f"\n{text}\n\nload average now {os.getloadavg()[0]:.1f}")
    if args.markdown is not None:
        section = section_of(args, judge)
        write_section(args.markdown, section, text)
        print(f"wrote section {section!r} of {args.markdown}")
