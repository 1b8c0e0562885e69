"""The demo's work: sample scans by every method that applies, a pair aligned, an image denoised, and the page."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from markupsafe import Markup

from spinecho.demo.pair import Pair, aligned, sample_head
from spinecho.demo.quiet import TASK, Quiet, denoised
from spinecho.demo.story import CHECKED, FOUR, chapters, named
from spinecho.evaluate import image_page
from spinecho.evaluate.template import part, write_framed
from spinecho.io.write import write
from spinecho.tasks.recon.judge import report as recon_report
from spinecho.tasks.recon.judge.case import Case
from spinecho.tasks.recon.judge.demo import reconstruct_samples
from spinecho.tasks.register.judge import report as register_report

COMMANDS = (
    "spinecho recon scan.h5 -o brain.nii.gz --report brain.html",
    "spinecho register first.nii.gz second.nii.gz -o moved.nii.gz --report aligned.html",
    "spinecho denoise brain.nii.gz -o quiet.nii.gz --report quiet.html",
)
_NOISY = "cg_sense"


def run_demo(out: Path) -> Iterator[tuple[str, Path | None]]:
    """Do the work into a folder, which is made.

    Yields
    ------
    What was just made, as words, and where it lies (None for a heading, and for a reason why not); the last one is the
    report.
    """
    began = time.perf_counter()
    out.mkdir(parents=True, exist_ok=True)
    cases = yield from reconstruct_samples(out)
    case = next((c for c in cases if {*FOUR, CHECKED} <= {r.method for r in c.results}), None)
    assert case is not None, "no sample is taken by the methods of the story"
    yield "a brain and its second visit, aligned", None
    pair = aligned(sample_head())
    moved = pair.registration.transform.warp(pair.moving, onto=pair.fixed.geometry)
    for name, image in (("first", pair.fixed), ("second", pair.moving), ("second_aligned", moved)):
        write(image, path := out / f"visit_{name}.nii.gz")
    yield f"  {pair.registration.method:<12} {sum(pair.registration.seconds.values()):6.2f} s", path
    yield f"the image by {_NOISY}, denoised", None
    quiet = denoised(case.kspace, named(case, _NOISY))
    write(quiet.after, path := out / "denoised.nii.gz")
    yield f"  {TASK.DEFAULT:<12} {quiet.seconds:6.2f} s", path
    body = page_of(cases, case, pair, quiet, began)
    write_framed(report := out / "report.html", "demo", "What spinecho does", body, "spinecho demo")
    yield "report", report


def page_of(cases: list[Case], told: Case, pair: Pair, quiet: Quiet, began: float) -> Markup:
    """The story, and behind it the reports that the commands make."""
    work = image_page.Work(what=TASK.WHAT, method=TASK.DEFAULT, seconds=quiet.seconds, maps=TASK.MAPS)
    details = [(f"{c.title}: all methods", recon_report.sections([c])) for c in cases]
    details.append(("The aligned pair", register_report.sections(pair.fixed, pair.moving, pair.registration)))
    shown = image_page.sections(quiet.before, quiet.after, work, truth=quiet.truth, figures=quiet.figures)
    details.append(("The denoised image", shown))
    story = chapters(told, pair, quiet)
    took = time.perf_counter() - began
    lead = (
        f"Made on this computer in {took:.0f} s, from files in the package. The brain is nobody's: it is the average "
        "of 152 people. Coils, noise and movement were simulated, so that the right answers are known."
    )
    values = {"lead": lead, "chapters": story, "commands": COMMANDS, "details": details}
    return part("spinecho.demo", "story.html.j2", values)
