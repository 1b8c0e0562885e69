"""How generation is judged: against slices of people who train and of people who do not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from spinecho.evaluate.judge import Cases, Contender, Measure, Outcome

if TYPE_CHECKING:
    import torch

    from spinecho.evaluate.judge import Asked
    from spinecho.evaluate.pictures import Column
    from spinecho.evaluate.rows import Row
    from spinecho.tasks.generate.judge.groups import Inputs

MEASURES = (
    Measure(name="kernel", title="kernel distance", digits=2, better=-1),
    Measure(name="told_apart", title="told apart", unit="%", digits=0, better=-1),
    Measure(name="nearest", title="nearest training slice", digits=3),
    Measure(name="place", title="its quantile among held-out's"),
    Measure(name="variety", title="variety / real"),
    Measure(name="detail", title="detail / real"),
    Measure(name="profile", title="brightness profile off", unit="sd", better=-1),
    Measure(name="symmetry", title="symmetry", digits=3),
    Measure(name="symmetry_off", title="symmetry off", unit="sd"),
)
JUDGED = (
    "As many pictures as there are held-out slices, against these; air (below 0.03) is 0 in all of them. Nearest: the "
    "median over pictures of the highest "
    "normalised correlation to a training slice, after the best of shifts, turns and mirroring; its quantile among "
    "those of held-out slices should be 0.25 to 0.75: 1 is learning by heart. Told apart: right answers of a logistic "
    "regression on coarse brightness and detail, cross-validated with people kept together; 50 % is chance. Kernel "
    "distance: the unbiased squared distance, cubic kernel, to all training slices, in what the denoiser `unet` of our "
    "package sees halfway. Variety and detail: standard deviation over pictures, and of each picture's "
    "Laplacian. Profile: brightness from the middle of the head to its edge, mean difference in standard deviations of "
    "held-out slices. Symmetry: correlation of a picture with its mirror image, best aligned. The training slices are "
    "those of the people in the folders given who train: for weights that learned from others nothing is proved. "
    "Pictures of 128 pixels are those of 64 made finer by `cascade`, where a method makes 64"
)
WORDS = "held_out (slices of other people who do not train: the best there can be), copies (training slices)"
BASELINE = "pca"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which people, and how many pictures."""

    images: tuple[Path, ...] = ()
    """T1 images of whole heads or folders of them; who trains and who does not is what training says, too"""
    part: Literal["test", "validate"] = "test"
    """whom pictures are compared with"""
    sizes: tuple[int, ...] = (64,)
    """pixels along a side; larger pictures count as means over squares, `cascade` makes 128 of 64"""
    seeds: tuple[int, ...] = (0,)
    """of the pictures"""


def cases(options: Options, device: torch.device) -> Cases:
    """Every size with every seed."""
    from spinecho.tasks.generate.judge import groups

    return groups.cases(options, device)


def contender(word: str) -> Contender | None:
    """Real slices, in the place of generated ones."""
    from spinecho.tasks.generate.judge import groups

    return groups.Real(word) if word in groups.REAL else None


def run(inputs: Inputs, asked: Asked) -> Outcome:
    """Pictures by a method."""
    from spinecho.tasks.generate.judge import groups

    return groups.run(inputs, asked.name, asked.settings)


def judge(inputs: Inputs, outcome: Outcome) -> dict[str, float]:
    """Uniqueness, distance, and what readers saw fail."""
    from spinecho.tasks.generate.judge import scores

    return scores.scores(inputs, outcome.result)


def picture(inputs: Inputs, outcomes: Mapping[str, Outcome]) -> list[Column]:
    """Some pictures of each, and below the most suspicious ones with their three nearest training slices."""
    from spinecho.tasks.generate.judge import scores

    return scores.columns(inputs, {name: one.result for name, one in outcomes.items()})


def remarks(rows: Sequence[Row]) -> list[str]:
    """What the nearest correlation is for people who do not train."""
    told = {tuple(r.figure(f"held_out_{q}") for q in ("q25", "median", "q75")) for r in rows if "nearest" in r.figures}
    return [
        f"Nearest training slice of held-out slices: median {m:.3f}, quartiles {a:.3f} and {b:.3f}."
        for a, m, b in sorted(told)
    ]
