"""Reconstruct the simulated sample scans with every method that applies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from spinecho.core.job import Job
from spinecho.io.atomic import check_place


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """What a person says."""

    out: Path = Path("spinecho-demo")
    """folder for the images and the report"""
    debug: bool = False
    """show where an error comes from"""


def check(args: Arguments, job: Job) -> None:
    """Refuse a folder that cannot be made."""
    check_place(args.out)


def run(args: Arguments, job: Job) -> None:
    """Run the demo; name each image as it is made, and where the report is."""
    from spinecho.tasks.recon.judge.demo import run_demo

    for made, path in run_demo(args.out):
        job.console.say(made if path is None else f"{made} -> {path}")
