"""Reconstruct sample scans, align a pair and denoise an image; a page tells of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from spinecho.io.atomic import check_place

WHAT = """\
This demo reconstructs three simulated scans by every method that applies, aligns two brains and denoises an image.
It takes one to two minutes on two cores and downloads nothing. Images and a report go to {out}/.
"""


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """What a person says."""

    out: Path = Path("spinecho-demo")
    """folder for the images and the report"""
    debug: bool = False
    """show where an error comes from"""


def run(arguments: Sequence[str]) -> int:
    """Say at once what will be done, then do it; name each image as it is made, and where the report is."""
    began = time.perf_counter()
    args = Arguments()
    if arguments:  # the parser takes longer to import than everything else here
        from spinecho.cli.parse import parse

        args = parse(Arguments, "demo", __doc__ or "", arguments)
    check_place(args.out)
    print(WHAT.format(out=args.out), flush=True)
    from spinecho.demo.work import run_demo

    path = None
    for made, path in run_demo(args.out):
        print(made if path is None else f"{made}  {path}", flush=True)
    print(f"\ndone in {time.perf_counter() - began:.0f} s: open {path} in a browser")
    return 0
