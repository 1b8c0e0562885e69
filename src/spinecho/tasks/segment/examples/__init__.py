"""What learned segmentation is trained on: label maps rendered in any contrast, real heads with labels, held-out ones
(`train.supply`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from spinecho.core.errors import DataError, setting

if TYPE_CHECKING:
    from spinecho.sim.splits import Part
    from spinecho.tasks.segment.examples.heads import Head
    from spinecho.tasks.segment.examples.photos import Photo
    from spinecho.train.cases import Case
    from spinecho.train.entries import Entry
    from spinecho.train.supply import Context, Supply

USE = "spinecho segment IMAGE -o LABELS"
_REGIONS, _FINDINGS = ("largest", "labels", "atlas", "ease"), ("side", "blocks", "rendered")
"""Options of methods that find regions, and of those that find lesions or tumours"""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a person decides beside the paths."""

    largest: int = 96
    """voxels along a side of an example, at most; sides from two thirds of it upwards are drawn"""
    labels: Path | None = None
    """folder with a label map for each real image among the data, under the image's file name"""
    atlas: Literal["freesurfer", "muse"] = "freesurfer"
    """whose ids these have"""
    ease: int = 2000
    """steps until contrasts are as strange as they get; twice as many until all voxels weigh alike. 0 to go on from
    trained weights"""
    side: int = 48
    """voxels along a side of each block, for methods that find lesions or tumours"""
    blocks: int = 2
    """blocks in each of their examples"""
    rendered: float = 0.4
    """share of blocks from label maps with planted lesions, where there are label maps and images"""


def gather(paths: Sequence[Path], options: Options, context: Context) -> Supply:
    """Heads of everything under the paths; people are held out as `sim.splits` says."""
    from spinecho.tasks.segment.base import Segment
    from spinecho.tasks.segment.examples.drawn import Drawn
    from spinecho.tasks.segment.examples.validation import held_out, told
    from spinecho.train.supply import Supply

    assert isinstance(context.method, Segment)
    _check_used(options, context.method.finds)
    if context.method.finds != "regions":
        from spinecho.tasks.segment.examples.found import supplied

        return supplied(paths, options, context)
    if options.largest < 24:
        raise DataError(f"{setting('largest')} is {options.largest}", do="give at least 24 voxels")
    if options.ease < 0:
        raise DataError(f"{setting('ease')} is {options.ease}", do="give 0 or more steps")
    if options.labels is not None and not options.labels.is_dir():
        raise DataError("there is no such folder", do=f"check {setting('labels')}", file=options.labels)
    train, validate = (_heads(paths, part, options, context) for part in ("train", "validate"))
    if not any(train):
        do = f"give {setting('data')} label maps with FreeSurfer's ids, NIfTI or mgz, or images and {setting('labels')}"
        raise DataError("there is nothing to train on", do=do)
    if not any(validate):
        context.say("too few people to hold any out: validation sees other drawings of the same ones")
    seed, spacing = context.settings.seed, context.method.spacing_mm
    held = Drawn(*(validate if any(validate) else train), spacing, options.largest, seed, "validate")
    facts: dict[str, Any] = {"largest": options.largest, "atlas": options.atlas if train[1] else ""}
    if options.ease != Options().ease:  # the usual one is not among the facts of older runs, which go on all the same
        facts["ease"] = options.ease
    if options.labels is not None:
        facts["labels"] = str(options.labels)
    return Supply(
        train=Drawn(*train, spacing, options.largest, seed, ease=options.ease),
        held_out=held_out(held, context),
        told=told,
        facts=facts,
    )


def _check_used(options: Options, finds: str) -> None:
    """Refuse options that do nothing for the method."""
    for name in _FINDINGS if finds == "regions" else _REGIONS:
        if (value := getattr(options, name)) != getattr(Options(), name):
            problem = f"{setting(name, value)} has no effect on a method that finds {finds}"
            raise DataError(problem, do="leave it out")


def _heads(
    paths: Sequence[Path], part: Part, options: Options, context: Context
) -> tuple[tuple[Head, ...], tuple[Photo, ...]]:
    """Label maps, and real heads: files that have labels."""
    from spinecho.tasks.segment.examples.heads import entry_of, head_of
    from spinecho.tasks.segment.examples.photos import photo_entry, photo_of
    from spinecho.train.stock import entries

    def read(case: Case) -> list[Entry]:
        labels = None if options.labels is None else options.labels / case.path.name
        if labels is not None and labels.is_file():
            return [photo_entry(case.path, labels, options.atlas)]
        return [entry_of(case.path)]

    every = entries(paths, part, read, context, "heads")
    heads = tuple(head_of(entry) for entry in every if entry.kind == "labels")
    return heads, tuple(photo_of(entry) for entry in every if entry.kind == "photo")
