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
    from spinecho.tasks.recon.examples.draw import Seeded, Singles, Source
    from spinecho.tasks.recon.parts.losses import How
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
    moving: str | None = None
    """images are made to move: scans (series measured by several coils) or patches (noise is to be taken from small
    series, which is how varnet_kt begins); default: they stand still"""
    axes: str | None = None
    """arrays (.npy, .npz, .mat) hold raw samples with these axes, as "coil k1 k0", in place of slices of images"""
    loss: str = "supervised"
    """what is made small: supervised (the truth), or without a truth, for scans undersampled as measured: ssdu,
    equivariant, noise2inverse, noise2noise, dropout (ssdu is named in US patent application 17/075,411)"""
    loss_share: float = 0.4
    """without a truth: share of a scan's outer lines (dropout: points) that the network predicts from the others"""
    loss_masks: int = 1
    """ssdu, equivariant, noise2noise, dropout: divisions of each scan in each step"""
    loss_plain: bool = False
    """without a truth: what is measured sparsely counts no more than the rest"""
    equivariance: float = 1.0
    """equivariant: weight of its second term"""


def gather(paths: Sequence[Path], options: Options, context: Context) -> Supply:
    """Undersampled scans with their truth, or without one where the loss wants none."""
    from spinecho.tasks.recon.base import Recon
    from spinecho.tasks.recon.examples.acquire import chosen
    from spinecho.tasks.recon.examples.draw import Seeded
    from spinecho.tasks.recon.examples.sources import Ways, sources
    from spinecho.tasks.recon.examples.validation import aim, held_out, told
    from spinecho.tasks.recon.parts.losses import SUPERVISED, rule
    from spinecho.train.supply import Supply

    assert isinstance(context.method, Recon)
    rule(options.loss)
    if options.moving is not None:
        return _moving(paths, options, context)
    shares = chosen(options.acquire, options.radial, context.method, context.name)
    how = None if options.loss == SUPERVISED else _without_truth(options, shares, context)
    ways = Ways(shares=shares, frames=_frames(options.frames, context.method), loss=options.loss, axes=options.axes)
    train, validate = sources(paths, ways, context)
    if how is not None:
        return _supply_without_truth(train, validate, options, how, context, _facts(options, shares))
    return Supply(
        train=_taught(Seeded(train, context.settings.seed), options),
        held_out=held_out(validate, context.settings, context.device, context.team),
        told=told,
        facts=_facts(options, shares),
        aim=aim,
    )


def _without_truth(options: Options, shares: Shares, context: Context) -> How:
    """The loss's settings, after a look at whether the method and the other options suit it."""
    from spinecho.tasks.recon.base import Recon
    from spinecho.tasks.recon.parts.losses import How

    assert isinstance(context.method, Recon)
    asked = setting("loss", options.loss)
    if reason := context.method.no_stages():
        told = f"{context.name} cannot be trained with {asked}: {reason}"
        raise DataError(told, do="take another method (varnet, modl, hqs_net, cascade), or scans with a truth")
    if any(share for name, share in shares if name != "cartesian"):
        raise DataError(f"{asked} is for scans on a grid", do=f"leave out {setting('acquire')} and {setting('radial')}")
    if options.teacher is not None:
        told = f"{setting('teacher')} and {asked} are both given"
        raise DataError(told, do="give one of them: a teacher's image is part of a truth")
    if options.loss == "dropout" and context.settings.checkpointing:
        told = f"{asked} would drop other features when {setting('checkpointing')} computes them again"
        raise DataError(told, do=f"leave out {setting('checkpointing')}, or take another loss")
    return How(
        share=options.loss_share,
        masks=options.loss_masks,
        weighted=not options.loss_plain,
        equivariance=options.equivariance,
    )


def _supply_without_truth(
    train: Source | Singles,
    validate: Source | Singles,
    options: Options,
    how: How,
    context: Context,
    facts: dict[str, Any],
) -> Supply:
    """Divided scans, and samples left out of held-out ones."""
    from spinecho.tasks.recon.examples.draw import Seeded
    from spinecho.tasks.recon.examples.without_truth import WithoutTruth, aim, held_out, told
    from spinecho.tasks.recon.parts.losses import rule
    from spinecho.train.supply import Supply

    seed = context.settings.seed
    if train is validate:
        context.say("these scans learn too: of a single one, see the method zero_shot")
    context.say("no truth is looked at: full scans and images are undersampled first, others are taken as measured")
    return Supply(
        train=WithoutTruth(Seeded(train, seed), seed, options.loss, how),
        held_out=held_out(validate, context.settings, options.loss, context.device, context.team),
        told=told,
        facts=facts,
        rule=rule(options.loss).loss,
        aim=aim,
    )


def _moving(paths: Sequence[Path], options: Options, context: Context) -> Supply:
    """Scenes made of the images; what is about scans that stand still, or are raw, does not go with them."""
    from dataclasses import fields

    from spinecho.tasks.recon.examples.series import SCANS, scenes, supply
    from spinecho.tasks.recon.parts.losses import SUPERVISED

    usual, asked = Options(), setting("moving", str(options.moving))
    given = {f.name for f in fields(Options) if getattr(options, f.name) != getattr(usual, f.name)}
    if options.moving == SCANS and options.loss != SUPERVISED:
        given -= {"loss", "loss_share", "loss_masks", "loss_plain", "equivariance"}
    for name in sorted(given - {"moving"}):
        raise DataError(f"{setting(name)} and {asked} are both given", do="give one of them")
    if options.loss == SUPERVISED:
        return supply(paths, str(options.moving), context)
    how = _without_truth(options, (), context)
    train, validate = scenes(paths, context)
    facts = _facts(options, ()) | {"moving": options.moving}
    return _supply_without_truth(train, validate, options, how, context, facts)


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
    from spinecho.tasks.recon.examples.distill import Taught

    load_learned("recon", options.teacher)  # weights that are not there are told before the first step
    return Taught(draw, options.teacher, options.teacher_share)


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
    names = ("frames", "axes", "loss", "loss_share", "loss_masks", "loss_plain", "equivariance")
    return facts | {n: getattr(options, n) for n in names if getattr(options, n) != getattr(Options(), n)}
