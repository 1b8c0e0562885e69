"""Which pairs are registered and what is scored on each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from spinecho.sim.splits import Part, split

DATA = Path(__file__).parents[3] / "shared" / "data"
STEP = 7
"""The moving image of pair i is subject i + STEP, so that no pair occurs in both directions."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two images and the truth about them.

    Parameters
    ----------
    name
        FIXED-MOVING: the name of its result files.
    fixed, moving
        NIfTI files.
    fixed_labels, moving_labels
        NIfTI files on the same grids, for Dice; None: not scored.
    truth
        `.npy`, float32 (3, z, y, x): the displacement that is right, as `engines/work.py` writes it, NaN where there
        is nothing to score; None: not known.
    alike
        Whether both images have the same contrast.
    """

    name: str
    fixed: Path
    moving: Path
    fixed_labels: Path | None = None
    moving_labels: Path | None = None
    truth: Path | None = None
    alike: bool = True


def ixi(part: Part) -> list[Pair]:
    """Ordered pairs of a part's 20 IXI subjects, 2 mm, as they are."""
    folder = DATA / "ixi_2mm"
    subjects = split("ixi_2mm", part)
    pairs = [(fixed, subjects[(i + STEP) % len(subjects)]) for i, fixed in enumerate(subjects)]
    return [
        Pair(
            name=f"{fixed}-{moving}",
            fixed=folder / "t1" / f"{fixed}.nii.gz",
            moving=folder / "t1" / f"{moving}.nii.gz",
            fixed_labels=folder / "labels" / f"{fixed}.nii.gz",
            moving_labels=folder / "labels" / f"{moving}.nii.gz",
        )
        for fixed, moving in pairs
    ]


def listed(folder: Path) -> list[Pair]:
    """Pairs that were made: a folder each with fixed.nii.gz, moving.nii.gz, and labels or truth where there are any."""

    def present(path: Path) -> Path | None:
        return path if path.exists() else None

    return [
        Pair(
            name=place.parent.name,
            fixed=place,
            moving=place.parent / "moving.nii.gz",
            fixed_labels=present(place.parent / "fixed_labels.nii.gz"),
            moving_labels=present(place.parent / "moving_labels.nii.gz"),
            truth=present(place.parent / "truth.npy"),
            alike=not differs(place.parent.name),
        )
        for place in sorted(folder.glob("*/fixed.nii.gz"))
    ]


def differs(name: str) -> bool:
    """Whether a pair's name says that its contrasts differ: `differing_17_18`, `t1-flair`."""
    first, dash, second = name.partition("-")
    return name.startswith("differing") or bool(dash and first != second)


RUNS = Path(__file__).parents[2] / "runs" / "register"
MADE = ("labels", "labels_dev", "warps", "warps_dev")
"""Sets that `python -m benchmarks.register_pairs` writes."""

SETS: dict[str, Callable[[], list[Pair]]] = {
    "ixi": partial(ixi, "test"),
    "ixi_dev": partial(ixi, "validate"),
    **{name: partial(listed, RUNS / name / "pairs") for name in MADE},
}
"""Pairs by the name of their set; those ending in _dev are of validation subjects."""
