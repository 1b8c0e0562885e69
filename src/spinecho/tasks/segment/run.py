"""From an image as read to a label map on its grid: volume by volume, any contrast, orientation and spacing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from spinecho.core.errors import DataError, setting
from spinecho.core.image import Image
from spinecho.core.log import logged
from spinecho.core.one_grid import check_different, same_grid
from spinecho.core.signed import is_signed
from spinecho.methods.pretrained import built
from spinecho.tasks.segment.base import Segment
from spinecho.tasks.segment.limits import outside
from spinecho.tasks.segment.parts.findings import CONTRASTS, LABELS, TARGETS, is_any
from spinecho.tasks.segment.parts.named import named
from spinecho.tasks.segment.parts.names import BRAIN, labels_of
from spinecho.tasks.segment.parts.pieces import pieces
from spinecho.tasks.segment.parts.seen import back, seen
from spinecho.tasks.segment.parts.several import several, stripped
from spinecho.tasks.segment.parts.sides import middle, sided

Only = Literal["regions", "brain"]
_SHARE = "probability"
_DOUBT = 0.6
"""Voxels of the brain whose region is less probable than this are counted"""


@logged("segment")
def segment(
    image: Image,
    method: str = "regions",
    *,
    only: Only = "regions",
    sides: bool = True,
    greys: bool = True,
    beside: Mapping[str, Image] | None = None,
    brain: Image | None = None,
    **settings: Any,
) -> Image:
    """Name the region of each voxel, or find lesions or a tumour.

    Parameters
    ----------
    image
        Of any contrast (of FLAIR for methods that find lesions or tumours); slices become a volume, coils are combined,
        each volume of a series stands alone.
    method
        Name of a file under `tasks/segment/methods`, or of its weights in the package (`spinecho list`).
    only
        `brain`: a mask instead, 1 in the brain (ventricles included) and 0 elsewhere.
    sides
        Whether left and right have ids of their own; where the image does not say how the patient lay, or there is too
        little of a brain, they have not.
    greys
        Whether borders follow the image's own greys on its own grid (`parts.greys`); without, the network's scores
        alone decide, which saw 2 mm.
    beside
        Other contrasts of the same head (`t1`, `t2`, `t1c`: T1 with contrast agent), on the same grid, for methods that
        use them.
    brain
        Mask of the brain, on the same grid, for methods that find lesions or tumours; without it what is not 0 counts
        where the image is masked, else `regions` finds it.
    settings
        Fields of that method's `Config`; for a learned method also `weights`, a file to use instead of those in the
        package.

    Returns
    -------
    Labels (int16) on the image's grid, FreeSurfer's ids (without sides: those of the left for both), or of what was
    found (lesions: 1; tumours: 1 necrosis, 2 oedema, 3 not enhancing, 4 enhancing), with the extra `probability` of the
    label chosen; its history says by which method, and warns where the image lies outside of what
    the weights are for.

    Raises
    ------
    DataError
        If the image holds NaN or infinite values, is a single slice, a setting is unknown, or images lie on other
        grids.
    """
    if only not in get_args(Only):
        raise DataError(f"only is {only!r}", do=f"known are {', '.join(get_args(Only))}")
    runner = built("segment", method, settings, image.values.device)
    assert isinstance(runner, Segment)
    volume = _taken(image, "the image", runner.finds != "regions")
    if min(volume.geometry.shape) < 2:
        raise DataError(
            f"the image has shape {volume.geometry.shape} (z, y, x)", do="give a volume: a head is known by its depth"
        )
    if runner.finds != "regions":
        if only != "regions":
            raise DataError(f"{method} finds {runner.finds}, no {only}", do=f"leave out {setting('only', only)}")
        if idle := [setting(name, False) for name, on in (("sides", sides), ("greys", greys)) if not on]:
            raise DataError(f"{method} finds {runner.finds}, no regions", do=f"leave out {' and '.join(idle)}")
        check_different(image, beside or {})
        return _finds(volume, runner, method, beside or {}, brain).to(image.values.device)
    if beside or brain is not None:
        given = [*(beside or {}), *(["brain"] if brain is not None else [])]
        do = f"leave out {', '.join(map(setting, given))}, or name a method that finds lesions"
        raise DataError(f"{method} looks at one image alone", do=do)
    return _regions(volume, runner, method, only, sides, greys).to(image.values.device)


def _regions(volume: Image, runner: Segment, method: str, only: Only, sides: bool, greys: bool) -> Image:
    """The regions of each volume of an image, or its brain."""
    sides = sides and volume.geometry.oriented and only == "regions"
    values = volume.values
    flat = values.reshape(-1, 1, *values.shape[-3:])
    with torch.inference_mode():
        done = [_one(replace(volume, values=v, axes=(), extras={}), runner, method, sides, greys) for v in flat]
    labels, share, alike, by_greys = zip(*done, strict=True)
    labels, share = (torch.stack(list(parts)).reshape(values.shape) for parts in (labels, share))
    by = "the image's greys" if all(by_greys) else f"{runner.spacing_mm:g} mm"
    words = [f"regions by {method}, borders by {by}", _doubt(labels, share)]
    if sides:
        words.append(_sides(alike))
    if only == "brain":
        labels = torch.isin(labels, torch.tensor(BRAIN, dtype=labels.dtype)).to(torch.int16)
    warnings = [f"outside the card of {runner.weights}: {way}" for way in outside(runner.card, volume.geometry)]
    if any(_is_blank(v) for v in flat):
        warnings.append("the image has the same value everywhere: nothing is labelled there")
    if not volume.geometry.oriented:
        warnings.append("the image does not say how the patient lay: it is taken as stored, x to the left")
    header = volume.header.anew(", ".join(words)).warned(*warnings)
    return replace(volume, values=labels, header=header, extras={_SHARE: share})


def _taken(image: Image, what: str, signed: bool = True) -> Image:
    """As a volume of finite values, one channel; where signs count for nothing, ringing about a mask loses them."""
    volume = image.volume()
    several_channels = volume.values.shape[-4] > 1 or volume.values.is_complex()
    folds = several_channels or not (signed or is_signed(volume.values))
    volume = volume.magnitude() if folds else volume
    volume = replace(volume, values=volume.values.float())
    if not bool(torch.isfinite(volume.values).all()):
        raise DataError(f"{what} holds NaN or infinite values", do="mend or mask them first")
    return volume


def _finds(volume: Image, runner: Segment, method: str, beside: Mapping[str, Image], brain: Image | None) -> Image:
    """What is found in each volume of an image."""
    if strange := [name for name in beside if name not in CONTRASTS]:
        raise DataError(f"there is no contrast {strange[0]!r}", do=f"known are {', '.join(CONTRASTS)}")
    others = {name: _taken(one, setting(name)) for name, one in beside.items() if name in runner.contrasts}
    mask = None if brain is None else brain.volume()
    same_grid(volume, {**others, **({} if mask is None else {"brain": mask})})
    if mask is not None and mask.values.numel() != prod(mask.geometry.shape):
        raise DataError(f"{setting('brain')} holds several volumes", do="give the mask as one")
    flat = volume.values.reshape(-1, 1, *volume.values.shape[-3:])
    if (len(flat) > 1 and others) or any(o.values.numel() != flat[0].numel() for o in others.values()):
        raise DataError("a series goes with no other contrasts", do="give its volumes one by one")
    done: list[tuple[Tensor, Tensor]] = []
    notes: list[str] = []
    for values in flat:
        first = replace(volume, values=values, axes=(), extras={})
        inside, by = brain_of(first) if mask is None else (mask.values.reshape(values.shape[1:]) > 0, "given")
        done.append(_found({runner.contrasts[0]: first, **others}, inside, runner, method))
        notes += [f"brain: {by}", _amounts(done[-1][0], runner, volume)]
    labels, share = (torch.stack(list(part)).reshape(volume.values.shape) for part in zip(*done, strict=True))
    warnings = [f"outside the card of {runner.weights}: {way}" for way in outside(runner.card, volume.geometry)]
    if absent := [name for name in runner.contrasts[1:] if name not in others]:
        warnings.append(f"{method} was not given {', '.join(absent)}")
    if unused := [name for name in beside if name not in runner.contrasts]:
        notes.append(f"not used: {', '.join(unused)} ({method} looks at {', '.join(runner.contrasts)})")
    words = ", ".join([f"{runner.finds} by {method}", *dict.fromkeys(notes)])
    return replace(volume, values=labels, header=volume.header.anew(words).warned(*warnings), extras={_SHARE: share})


def _found(images: Mapping[str, Image], brain: Tensor, runner: Segment, method: str) -> tuple[Tensor, Tensor]:
    """Labels and their probabilities (1, z, y, x)."""
    if not bool(brain.any()):
        raise DataError("there is no brain in the image", do=f"give {setting('brain')}, a mask of it")
    work = several(images, brain, runner.contrasts, runner.spacing_mm)
    if reason := runner.refusal(work.values):
        raise DataError(f"{method} cannot take this image: {reason}", do="see `spinecho list` for other methods")
    with torch.inference_mode():
        classes, share = back(runner(work.values), work.head)
    return torch.tensor(LABELS[runner.finds], dtype=torch.int16)[classes.long()], share


def brain_of(image: Image) -> tuple[Tensor, str]:
    """The brain in a volume (1, z, y, x), and how it was known: the image is masked, or `regions` found it."""
    mask = stripped(image.values[0], image.geometry)
    if mask is not None:
        return mask, "what is not 0"
    return segment(image, "regions", only="brain", sides=False).values[0] > 0, "by regions"


def _amounts(labels: Tensor, runner: Segment, volume: Image) -> str:
    """How much there is of each thing that is judged."""
    x, y, z = volume.geometry.voxel_mm
    ml = {name: int(is_any(labels, which).sum()) * x * y * z / 1000 for name, which in TARGETS[runner.finds].items()}
    n = len(pieces(labels[0] > 0)[1]) - 1
    return ", ".join([f"{n} pieces", *(f"{name} {value:.3g} ml" for name, value in ml.items())])


def _is_blank(values: Tensor) -> bool:
    return bool((values == values.flatten()[0]).all())


def _one(volume: Image, runner: Segment, method: str, sides: bool, greys: bool) -> tuple[Tensor, Tensor, float, bool]:
    """Labels and their probabilities (1, z, y, x), how alike the sides are (nan: there are none), greys or not."""
    if _is_blank(volume.values):
        nothing = torch.zeros_like(volume.values)
        return nothing.to(torch.int16), nothing, float("nan"), False
    head = seen(volume, runner.spacing_mm)
    if reason := runner.refusal(head.values):
        raise DataError(f"{method} cannot take this image: {reason}", do="see `spinecho list` for other methods")
    one = named(head, runner, runner.spacing_mm, greys)
    plane = middle(one.scores.argmax(0).to(torch.uint8), head.grid) if sides else None
    if plane is None:
        return labels_of(one.classes), one.share, float("nan"), one.by_greys
    return sided(labels_of(one.classes), volume.geometry, plane), one.share, plane.alike, one.by_greys


def _sides(alike: Sequence[float]) -> str:
    kept = [a for a in alike if a == a]
    return f"sides {100 * min(kept):.0f} % alike" if kept else "too little of a brain to tell its sides"


def _doubt(labels: Tensor, share: Tensor) -> str:
    inside = labels > 0
    n = int(inside.sum())
    if not n:
        return "which found no brain"
    return f"{100 * float((share[inside] < _DOUBT).sum()) / n:.0f} % of the brain's voxels below {_DOUBT:g} certain"
