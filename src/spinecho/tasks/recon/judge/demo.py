"""The demo's scans: every sample in the package, reconstructed by every method that applies, and written."""

from __future__ import annotations

from collections.abc import Generator
from importlib.resources import as_file, files
from pathlib import Path

from spinecho.core.kspace import KSpace
from spinecho.io.read import read
from spinecho.io.write import write
from spinecho.ops.sampling import acceleration
from spinecho.tasks.recon.judge.case import Case, run_all
from spinecho.tasks.recon.judge.overview import write_overview

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


def reconstruct_samples(out: Path) -> Generator[tuple[str, Path | None], None, list[Case]]:
    """Reconstruct the samples into a folder that is there.

    Yields
    ------
    What was just made, as words, and where it lies (None for a heading, and for a reason why not).

    Returns
    -------
    The scans with their results, in the order of `sample_names`.
    """
    cases: list[Case] = []
    for name in sample_names():
        kspace, case = read_sample(name), None
        stem, done = name.partition(".")[0], 0
        yield f"{name}, simulated: {what_it_is(kspace)}", None
        for case in run_all(kspace, title=f"{name} (simulated)"):
            for result in case.results[done:]:
                write(result.image, out / f"{stem}_{result.method}.png")
                write(result.image, path := out / f"{stem}_{result.method}.nii.gz")
                yield f"  {result.method:<12} {result.seconds:6.2f} s", path
            done = len(case.results)
        if case is not None:
            cases.append(case)
            if case.kspace.is_cartesian and not case.kspace.axes:
                write_overview(out / f"{stem}.png", case)
                yield "  all of them beside each other", out / f"{stem}.png"
    return cases


def what_it_is(kspace: KSpace) -> str:
    """A scan in a few words."""
    matrix = " x ".join(map(str, kspace.encoding.recon_matrix[-2:]))
    n_frames = kspace.samples.shape[0] if kspace.axes else 1
    frames = f"{n_frames} frames of " if kspace.axes else ""
    if kspace.mask is None:
        how = f"{kspace.samples.shape[-2]} readouts ({kspace.encoding.trajectory})"
    else:
        how = f"{1 / acceleration(kspace.mask):.0%} of the samples of a full scan"
    return f"{frames}{matrix} pixels, {kspace.n_coils} coils, {how}"
