"""Reconstruct the simulated sample scans with every method that applies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from spinecho.cli.parse import parse
from spinecho.io.atomic import check_place


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """What a person says."""

    out: Path = Path("spinecho-demo")
    """folder for the images and the report"""
    debug: bool = False
    """show where an error comes from"""


def run(arguments: Sequence[str]) -> int:
    """Run the demo; print each image as it is made, and where the report is."""
    args = parse(Arguments, "demo", __doc__ or "", arguments)
    check_place(args.out)
    from spinecho.evaluate.demo import run_demo

    for made, path in run_demo(args.out):
        print(made if path is None else f"{made} -> {path}")
    return 0
