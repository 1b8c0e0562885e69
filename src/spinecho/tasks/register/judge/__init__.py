"""How registrations are judged: pairs with regions or known warps, fields that other programs left, reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from spinecho.evaluate.judge import Cases, Contender, Measure, Outcome

if TYPE_CHECKING:
    import torch

    from spinecho.evaluate.judge import Asked
    from spinecho.evaluate.pictures import Column
    from spinecho.tasks.register.judge.pairs import Inputs

MEASURES = (
    Measure(name="dice", title="Dice", digits=4, better=1),
    Measure(name="error_mm", title="error", unit="mm", digits=3, better=-1),
    Measure(name="ncc_after", title="NCC after", digits=4, better=1),
    Measure(name="hd95_voxels", title="HD95", unit="voxels", better=-1),
    Measure(name="hd95_mm", title="HD95", unit="mm", better=-1),
    Measure(name="error_p95_mm", title="error p95", unit="mm", better=-1),
    Measure(name="inverse_mm", title="inverse", unit="mm", digits=3, better=-1),
    Measure(name="sdlogj", title="SDlogJ", digits=3),
    Measure(name="folded_central", title="folds, central", digits=None, better=-1, summary="worst"),
    Measure(name="folded_digital", title="folds, digital", digits=None, better=-1, summary="worst"),
)
JUDGED = (
    "Dice and HD95 (95 % of the surface's area, marching-cubes corners, Learn2Reg): means over the regions with at "
    "least 100 voxels in the fixed label map, the moving one warped by nearest neighbour; a region that is lost counts "
    "0 in Dice and is left out of HD95. SDlogJ: standard deviation of log det J by central differences, two voxels "
    "cropped (Learn2Reg's own program takes log(det J + 3), in the CSV). Folds: voxels with det J <= 0 by central "
    "differences, and voxels that fail the digital-diffeomorphism test, both of the whole field at the fixed voxels; "
    "the worst pair's share. Error: distance from the known warp over the fixed brain. Inverse: |T^-1(T(p)) - p| over "
    "the fixed foreground. Intervals are resampled over fixed images"
)
WORDS = (
    "identity (what the others have gained), external:NAME=FOLDER for displacement fields that other programs left: "
    "FOLDER/PAIR.npz with field (3, z, y, x) in LPS mm"
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which pairs."""

    pairs: tuple[str, ...]
    """folders with NAME/fixed.nii.gz and NAME/moving.nii.gz (and fixed_labels, moving_labels, truth.npy), lists (.json,
    .csv) of fixed, moving, fixed_labels, moving_labels, truth; or ixi:FOLDER for its test subjects"""
    first: int | None = None
    """only so many pairs of each set"""
    device: Literal["auto", "cpu", "cuda"] = "cpu"
    """where our methods compute; auto takes the GPU where there is one"""


def cases(options: Options, device: torch.device) -> Cases:
    """Every pair; images are read one pair at a time."""
    from spinecho.tasks.register.judge import pairs

    return pairs.cases(options.pairs, options.first, device)


def contender(word: str) -> Contender | None:
    """Nothing at all, and fields from elsewhere."""
    from spinecho.tasks.register.judge import contenders

    return contenders.contender(word)


def run(inputs: Inputs, asked: Asked) -> Outcome:
    """The transform by a method."""
    from spinecho.tasks.register.judge import contenders

    return contenders.run(inputs, asked)


def judge(inputs: Inputs, outcome: Outcome) -> dict[str, float]:
    """Overlap, distances, folds, similarity, as far as they are known of the pair."""
    from spinecho.tasks.register.judge import measure

    return measure.measures(inputs.pair, inputs.fixed, inputs.moving, outcome.result)


def picture(inputs: Inputs, outcomes: Mapping[str, Outcome]) -> list[Column]:
    """The fixed image, then the moved one of each, the fixed one in outline."""
    from spinecho.tasks.register.judge import pictures

    return pictures.columns(inputs.fixed, inputs.moving, {name: one.result for name, one in outcomes.items()})
