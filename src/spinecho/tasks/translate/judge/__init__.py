"""How translation is judged: heads imaged in both contrasts, scores inside the head, lesions that may get lost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from spinecho.evaluate.judge import Cases, Measure, Outcome

if TYPE_CHECKING:
    import torch

    from spinecho.evaluate.judge import Asked
    from spinecho.evaluate.pictures import Column
    from spinecho.tasks.translate.judge.heads import Inputs

MEASURES = (
    Measure(name="ssim_head", title="ssim head", digits=3, better=1, headline=True),
    Measure(name="psnr_head", title="psnr head", unit="dB", better=1, headline=True),
    Measure(name="hfen", title="hfen", digits=3, better=-1),
    Measure(name="sharpness", title="sharpness", digits=2),
    Measure(name="direct", title="error", digits=3, better=-1),
    Measure(name="cycle", title="there and back", digits=3),
    Measure(name="spread_tells", title="spread tells", digits=2, better=1),
    Measure(name="sensitivity", title="lesions seen", digits=2, better=1),
    Measure(name="false_alarms", title="seen where none", digits=2, better=-1),
    Measure(name="auc", title="lesions' ROC area", digits=2, better=1),
    Measure(name="invented", title="lesions invented", digits=0, better=-1),
    Measure(name="lesion_dice", title="lesion Dice / real", digits=2, better=1),
    Measure(name="lesion_false_ml", title="false lesions", unit="ml", digits=1, better=-1),
)
JUDGED = (
    "Each head with each pair of contrasts is a case; both images are real, and each is in units of twice its "
    "median inside the head, to which nothing is fitted. psnr head and ssim head: inside the object, in units of "
    "the truth's 99.9th percentile; hfen: error of the Laplacian of Gaussian over the truth's; sharpness: size of "
    "the result's Laplacian of Gaussian inside the head over the truth's (1: as sharp). Error: mean absolute, "
    "inside; there and back: mean distance of the way back from the input, inside, which says nothing of the truth. "
    "Spread tells: rank correlation of the spread with the error. Lesions: spots of 2 mm (standard deviation) "
    "planted in the input at calm places, with the contrast that signal equations give them in either image; an "
    "observer who fits such spots sees one where its amplitude is at least half of what it should be (seen; seen "
    "where none: at the same places without lesions; area: pairs told apart; invented: spots in the whole head that "
    "the truth does not show). Lesion Dice / real: a threshold fitted on the real FLAIR, used on the made one, "
    "against the expert's lesions, as a share of its Dice on the real one; false lesions: what it marks outside "
    "them"
)
BASELINE = "lookup"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which heads and contrasts, and how many lesions."""

    heads: tuple[Path, ...]
    """folders with images of heads in several contrasts on one grid, each contrast in the file's name, or folders of
    such folders; beside them may lie the expert's: lesions.nii.gz, and of several heads in a folder p1_lesions.nii.gz
    beside p1_t1.nii.gz"""
    pairs: tuple[str, ...] = ("t1-t2", "t2-t1", "t1-flair")
    """contrasts from and to; several that are given together as t1+t2-flair"""
    slices: int = 48
    """middle slices along z of each head that are translated and judged; 0: all"""
    lesions: int = 12
    """planted in each head; 0: none"""


def cases(options: Options, device: torch.device) -> Cases:
    """Every head with every pair that it has; images are read one at a time."""
    from spinecho.tasks.translate.judge import heads

    return heads.cases(options, device)


def run(inputs: Inputs, asked: Asked) -> Outcome:
    """The head by a method, and once more with lesions."""
    from spinecho.tasks.translate.judge import heads

    return heads.run(inputs, asked.name, asked.settings)


def judge(inputs: Inputs, outcome: Outcome) -> dict[str, float]:
    """Scores inside the head, of the maps, of the lesions."""
    from spinecho.tasks.translate.judge import scores

    return scores.figures(inputs, outcome.result)


def picture(inputs: Inputs, outcomes: Mapping[str, Outcome]) -> list[Column]:
    """A middle slice: input, truth, and what each made of it."""
    from spinecho.tasks.translate.judge import heads

    return heads.columns(inputs, {name: one.result for name, one in outcomes.items()})
