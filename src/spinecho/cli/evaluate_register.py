"""Compare registration methods on pairs with known regions or known warps: one row per pair, paired statistics."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from spinecho.cli.parse import parse
from spinecho.cli.progress import progress
from spinecho.core.errors import DataError
from spinecho.io.atomic import check_place

if TYPE_CHECKING:
    from spinecho.evaluate.kept import Kept
    from spinecho.tasks.register.judge.contenders import Contender
    from spinecho.tasks.register.judge.pairs import Pair
    from spinecho.tasks.register.judge.rows import PairRow


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """What a person says."""

    pairs: tuple[str, ...]
    """folders with NAME/fixed.nii.gz and NAME/moving.nii.gz (and fixed_labels, moving_labels, truth.npy), lists (.json,
    .csv) of fixed, moving, fixed_labels, moving_labels, truth; or ixi:FOLDER for its test subjects"""
    methods: tuple[str, ...]
    """identity, methods (spinecho list) with settings, as in hybrid:key=value,key=value, or external:NAME=FOLDER for
    displacement fields that other programs left: FOLDER/PAIR.npz with field (3, z, y, x) in LPS mm"""
    out: Path
    """table to write (.csv); rows are kept beside it as they come, so the same command continues"""
    baseline: str | None = None
    """method that others are compared with (default: the first)"""
    first: int | None = None
    """only so many pairs of each set"""
    markdown: Path | None = None
    """put the tables into this file, between markers that name the section"""
    section: str = "Registration"
    """name of that section"""
    threads: int | None = None
    """processor threads (default: all)"""
    debug: bool = False
    """show where an error comes from"""


def run(arguments: Sequence[str]) -> int:
    """Check everything, then go through the pairs, and write the tables."""
    args = parse(Arguments, "evaluate register", __doc__ or "", arguments)
    check(args)
    import torch

    from spinecho.evaluate.kept import Kept, write_csv
    from spinecho.tasks.recon.judge.markdown import write_section
    from spinecho.tasks.register.judge.contenders import contender
    from spinecho.tasks.register.judge.markdown import section_text
    from spinecho.tasks.register.judge.pairs import pairs
    from spinecho.tasks.register.judge.rows import PairRow

    if args.threads is not None:
        torch.set_num_threads(args.threads)
    contenders = [contender(word) for word in dict.fromkeys(args.methods)]
    wanted = [pair for where in args.pairs for pair in pairs(where)[: args.first]]
    names = [one.name for one in contenders]
    baseline = args.baseline or names[0]
    if baseline not in names:
        raise DataError(f"the baseline {baseline} is not among the methods", do=f"these are {', '.join(names)}")
    rows = collected(wanted, contenders, Kept(args.out, PairRow))
    write_csv(args.out, rows, PairRow)
    machine = f"{torch.get_num_threads()} threads of {os.cpu_count()}; load average now {os.getloadavg()[0]:.1f}."
    text = section_text(rows, baseline, shlex.join(["spinecho", "evaluate", "register", *arguments]), machine)
    print(f"\n{text}\n\nwrote {args.out}")
    if args.markdown is not None:
        write_section(args.markdown, args.section, text)
        print(f"wrote section {args.section!r} of {args.markdown}")
    return 0


def check(args: Arguments) -> None:
    """Refuse what cannot be done before anything is read."""
    if args.out.suffix.lower() != ".csv":
        raise DataError(f"the table is called {args.out.name}", do="give a name that ends in .csv")
    if not args.pairs or not args.methods:
        raise DataError("an option has no values", do="give at least one to each of --pairs and --methods")
    if args.first is not None and args.first < 1:
        raise DataError(f"--first {args.first}", do="give 1 or more, or leave it out")
    for path in (args.out, *([args.markdown] if args.markdown else [])):
        check_place(path)


def collected(pairs: Sequence[Pair], contenders: Sequence[Contender], kept: Kept[PairRow]) -> list[PairRow]:
    """All rows, with a line for each as it comes."""
    from spinecho.tasks.register.judge.run import evaluate

    rows: list[PairRow] = []
    resumed = 0
    try:
        with progress(f"{len(contenders)} methods") as tell:
            for state in evaluate(pairs, contenders, kept):
                rows.append(state.row)
                resumed += state.resumed
                if not state.resumed:
                    print(_told(state.row))
                tell(state.done, state.total)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"{len(rows)} rows are kept in {kept.path}; the same command continues") from None
    if resumed:
        print(f"{resumed} of {len(rows)} rows were finished before")
    return rows


def _told(row: PairRow) -> str:
    """One line on a row."""
    if row.refused:
        return f"{row.pair} {row.method}: not run: {row.refused}"
    figures = [f"Dice {row.dice:.4f}"] if row.n_regions else []
    figures += [f"error {row.error_mm:.2f} mm"] if row.error_mm == row.error_mm else []
    figures += [f"NCC {row.ncc_before:.3f} to {row.ncc_after:.3f}", f"SDlogJ {row.sdlogj:.3f}"]
    return f"{row.pair} {row.method}: {', '.join(figures)}, {row.cpu_s:.1f} CPU s"
