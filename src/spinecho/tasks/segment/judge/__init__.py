"""How segmentation is judged: overlap with labels that are known, region by region."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from spinecho.evaluate.judge import Cases, Measure, Outcome

if TYPE_CHECKING:
    import torch

    from spinecho.evaluate.methods import Asked
    from spinecho.evaluate.pictures import Column
    from spinecho.tasks.segment.judge.known import Inputs

MEASURES = (
    Measure(name="dice", title="mean Dice", digits=3, better=1, headline=True),
    Measure(name="least", title="worst region", digits=3, better=1),
    Measure(name="brain", title="brain", digits=3, better=1),
)
JUDGED = (
    "Dice of each region over 1 ml in the truth, both sides together, on the image's own grid; the mean is over "
    "regions. Rendered heads are label maps in the contrast named, with noise and a bias field; the truth of real ones "
    "is what another program made of them, in the atlas named, so that its borders count too"
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
    """real images, or folders of them"""
    labels: Path | None = None
    """folder with a label map for each image, under the image's file name"""
    atlas: Literal["freesurfer", "muse"] = "freesurfer"
    """whose ids these have"""


def cases(options: Options, device: torch.device) -> Cases:
    """Every label map in each contrast and thickness, and every image with labels."""
    from spinecho.tasks.segment.judge import known

    return known.cases(options, device)


def run(inputs: Inputs, asked: Asked) -> Outcome:
    """Labels by a method."""
    from spinecho.tasks.segment.run import segment

    image = segment(inputs.image, asked.name, sides=False, **asked.settings)
    return Outcome(result=image.values, note=image.header.history[-1])


def judge(inputs: Inputs, outcome: Outcome) -> dict[str, float]:
    """Overlaps, region by region."""
    from spinecho.tasks.segment.judge import overlaps

    return overlaps.scores(inputs, outcome.result)


def picture(inputs: Inputs, outcomes: Mapping[str, Outcome]) -> list[Column]:
    """The middle slice with the truth's borders, and with those that each found."""
    from spinecho.tasks.segment.judge import overlaps

    return overlaps.columns(inputs, {name: one.result for name, one in outcomes.items()})
