"""The demo: every sample scan in the package, reconstructed by every method that applies, written and reported."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import as_file, files
from pathlib import Path

from spinecho.core.kspace import KSpace
from spinecho.io.read import read
from spinecho.io.write import write
from spinecho.tasks.recon.judge.case import Case, run_all
from spinecho.tasks.recon.judge.overview import write_overview
from spinecho.tasks.recon.judge.report import write_report

REAL = ("low_field.mrd.h5",)
"""Samples that were measured: fully, of one coil and without a truth, so that there is nothing to compare"""


def sample_names() -> list[str]:
    """File names of the simulated scans that ship inside the package."""
    names = (f.name for f in files("spinecho.samples").iterdir() if f.name.endswith(".h5"))
    return sorted(name for name in names if name not in REAL)


def read_sample(name: str) -> KSpace:
    """One of the shipped scans."""
    with as_file(files("spinecho.samples") / name) as path:
        kspace = read(path)
    assert isinstance(kspace, KSpace)
    return kspace


def run_demo(out: Path) -> Iterator[tuple[str, Path | None]]:
    """Reconstruct the samples into a folder.

    Yields
    ------
    What was just made, as a sentence, and where it lies (None for a reason why not); the last one is the report.
    """
    out.mkdir(parents=True, exist_ok=True)
    cases: list[Case] = []
    for name in sample_names():
        kspace, case = read_sample(name), None
        stem = name.partition(".")[0]
        done = 0
        for case in run_all(kspace, title=f"{name} (simulated)"):
            for result in case.results[done:]:
                for suffix in (".nii.gz", ".png"):
                    path = out / f"{stem}_{result.method}{suffix}"
                    write(result.image, path)
                    yield f"{name}: {result.method}, {result.seconds:.2f} s", path
            done = len(case.results)
        if case is not None:
            cases.append(case)
            for method, reason in case.refused.items():
                yield f"{name}: {method} does not apply: {reason}", None
            if case.kspace.is_cartesian and not case.kspace.axes:
                write_overview(out / f"{stem}.png", case)
                yield f"{name}: all methods beside each other", out / f"{stem}.png"
    report = out / "report.html"
    write_report(report, cases, command="spinecho demo")
    yield "report", report
