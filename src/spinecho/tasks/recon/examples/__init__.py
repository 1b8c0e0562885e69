"""What learned reconstruction is trained on: scans drawn of objects, raw scans, held-out ones (`train.supply`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spinecho.core.errors import DataError, setting

if TYPE_CHECKING:
    from spinecho.tasks.recon.base import Recon
    from spinecho.tasks.recon.examples.acquire import Shares
    from spinecho.tasks.recon.examples.distill import Taught
    from spinecho.tasks.recon.examples.draw import Seeded
    from spinecho.train.supply import Context, Supply

USE = "spinecho recon SCAN -o IMAGE"
_DRAWING = "batches of one shape, 1"
"""How simulated scans are drawn; runs begun when they were drawn in another way do not go on."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a person decides beside the paths."""

    teacher: str | None = None
    """weights (a name or a file) whose images become part of the target: how a small network learns from a large one"""
    teacher_share: float = 0.5
    """how much of the target is the teacher's, 0 to 1"""
    acquire: tuple[str, ...] = ("cartesian",)
    """how simulated scans are acquired, each as NAME or NAME:SHARE: cartesian (lines), radial (spokes, for modl)"""
    radial: float = 0.0
    """short for --acquire radial:SHARE cartesian"""
    frames: int | None = None
    """frames of a raw series in each example, one after another (default: all where the method sees whole series, else
    1)"""


def gather(paths: Sequence[Path], options: Options, context: Context) -> Supply:
    """Undersampled scans with their truth."""
    from spinecho.tasks.recon.base import Recon
    from spinecho.tasks.recon.examples.acquire import chosen
    from spinecho.tasks.recon.examples.draw import Seeded
    from spinecho.tasks.recon.examples.sources import Ways, sources
    from spinecho.tasks.recon.examples.validation import held_out, told
    from spinecho.train.supply import Supply

    assert isinstance(context.method, Recon)
    shares = chosen(options.acquire, options.radial, context.method, context.name)
    ways = Ways(shares=shares, frames=_frames(options.frames, context.method))
    train, validate = sources(paths, ways, context)
    return Supply(
        train=_taught(Seeded(train, context.settings.seed), options),
        held_out=held_out(validate, context.settings, context.device, context.team),
        told=told,
        facts=_facts(options, shares),
    )


def _frames(wanted: int | None, method: Recon) -> int | None:
    """Frames kept of a series; None: all."""
    if wanted is None:
        return None if method.whole_series else 1
    if wanted < 1:
        raise DataError(f"{setting('frames')} is {wanted}", do="give at least 1")
    return wanted


def _taught(draw: Seeded, options: Options) -> Seeded | Taught:
    """With the teacher's images in the targets, where there is one."""
    if options.teacher is None:
        return draw
    if not 0 <= options.teacher_share <= 1:
        raise DataError(f"{setting('teacher_share')} is {options.teacher_share:g}", do="give a share from 0 to 1")
    from spinecho.methods.pretrained import load_learned
    from spinecho.tasks.recon.base import Recon
    from spinecho.tasks.recon.examples.distill import Taught

    teacher = load_learned("recon", options.teacher)
    assert isinstance(teacher, Recon)
    return Taught(draw, teacher, options.teacher_share)


def _facts(options: Options, shares: Shares) -> dict[str, Any]:
    """How scans are drawn, and what differs from the defaults: a run from before an option existed goes on."""
    facts: dict[str, Any] = {"drawing": _DRAWING}
    given = dict(shares)
    if set(given) == {"radial", "cartesian"} and given["radial"]:
        facts["radial"] = given["radial"]
    elif set(given) != {"cartesian"} and any(given[name] for name in given if name != "cartesian"):
        facts["acquire"] = [list(share) for share in shares]
    if options.teacher:
        facts |= {"teacher": options.teacher, "teacher_share": options.teacher_share}
    if options.frames is not None:
        facts["frames"] = options.frames
    return facts
