"""How segmentation is judged: overlap with labels that are known, region by region."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from spinecho.evaluate.judge import Cases, Measure, Outcome

if TYPE_CHECKING:
    import torch

    from spinecho.evaluate.judge import Asked
    from spinecho.evaluate.pictures import Column
    from spinecho.tasks.segment.judge.finding import Marked
    from spinecho.tasks.segment.judge.known import Inputs

MEASURES = (
    Measure(name="dice", title="mean Dice", digits=3, better=1, headline=True),
    Measure(name="least", title="worst region", digits=3, better=1),
    Measure(name="brain", title="brain", digits=3, better=1),
    Measure(name="found", title="Dice", digits=3, better=1, headline=True),
    Measure(name="enhancing", title="enhancing", digits=3, better=1),
    Measure(name="sensitivity", title="sensitivity", digits=3, better=1),
    Measure(name="precision", title="precision", digits=3, better=1),
    Measure(name="pieces", title="pieces found", digits=2, better=1),
    Measure(name="false", title="false pieces", digits=0, better=-1),
)
JUDGED = (
    "Dice of each region over 1 ml in the truth, both sides together, on the image's own grid; the mean is over "
    "regions. Rendered heads are label maps in the contrast named, with noise and a bias field; the truth of real ones "
    "is what another program made of them, in the atlas named, so that its borders count too. Lesions and tumours: "
    "Dice, sensitivity and precision of all voxels that an expert marked (of tumours with oedema), Dice of what "
    "enhances; the share of the expert's pieces (voxels that touch) that are hit, and how many pieces hit nothing"
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which heads, and where their labels come from."""

    maps: tuple[Path, ...] = ()
    """label maps with FreeSurfer's ids, or folders of them: heads are rendered from them"""
    contrasts: tuple[str, ...] = ("t1", "t2", "flair", "random")
    """of rendered heads: a sequence, or random brightness"""
    thickness: tuple[float, ...] = (1.0, 4.0)
    """of rendered heads' slices, mm"""
    images: tuple[Path, ...] = ()
    """real images, DICOM folders, or folders of both"""
    labels: Path | None = None
    """folder with a label map for each image, under the image's file name (scan1.nii.gz for the DICOM folder scan1); of
    images of one name under the folders that tell them apart, too (a/head.nii.gz, b/head.nii.gz)"""
    atlas: Literal["freesurfer", "muse"] = "freesurfer"
    """whose ids these have"""
    findings: tuple[Path, ...] = ()
    """FLAIR images, or folders of heads, with other contrasts and lesions.nii.gz or labels.nii.gz (tumour) beside"""


def cases(options: Options, device: torch.device) -> Cases:
    """Every label map in each contrast and thickness, every image with labels, every head with findings."""
    from spinecho.tasks.segment.judge import finding, known

    if not options.findings:
        return known.cases(options, device)
    marked = finding.cases(options.findings, device)
    if not (options.maps or options.images):
        return marked
    more = known.cases(options, device)
    return Cases(total=more.total + marked.total, each=chain(more.each, marked.each))


def run(inputs: Inputs | Marked, asked: Asked) -> Outcome:
    """Labels by a method."""
    from spinecho.tasks.segment.judge.finding import Marked
    from spinecho.tasks.segment.run import segment

    how: dict[str, Any] = {"beside": inputs.beside} if isinstance(inputs, Marked) else {"sides": False}
    image = segment(inputs.image, asked.name, **how, **asked.settings)
    return Outcome(result=image.values, note=image.header.history[-1])


def judge(inputs: Inputs | Marked, outcome: Outcome) -> dict[str, float]:
    """Overlaps, region by region; of findings also pieces."""
    from spinecho.tasks.segment.judge import finding, overlaps

    if isinstance(inputs, finding.Marked):
        return finding.scores(inputs, outcome.result)
    return overlaps.scores(inputs, outcome.result)


def picture(inputs: Inputs | Marked, outcomes: Mapping[str, Outcome]) -> list[Column]:
    """A slice with the truth's borders, and with those that each found."""
    from spinecho.tasks.segment.judge import finding, overlaps

    results = {name: one.result for name, one in outcomes.items()}
    if isinstance(inputs, finding.Marked):
        return finding.columns(inputs, results)
    return overlaps.columns(inputs, results)
