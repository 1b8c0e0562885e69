"""Slices, contrasts or frames sampled unlike the others are reconstructed apart, so that no bad one harms a good one.

A slice that was cut off or lost its calibration lines gets what can still be made of it, and a warning names it:
CG-SENSE with the coil maps of the nearest good slice, where the coils are the same and the image then explains its
samples; else what the method makes of it alone; else its zero-filled root sum of squares.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from spinecho.calib.centre import differs, uncalibrated
from spinecho.core.errors import DataError
from spinecho.core.header import WARNING, Header
from spinecho.core.image import Image
from spinecho.core.kspace import KSpace
from spinecho.ops.coils import root_sum_of_squares
from spinecho.ops.fourier import ifft
from spinecho.tasks.recon.guard import compared
from spinecho.tasks.recon.methods import cg_sense
from spinecho.tasks.recon.slices import settled

_SERIES = ("repetition", "time", "average")
"""Batch axes whose entries share their calibration and may be needed together."""
_SAME_COILS = ("contrast", *_SERIES)
"""Batch axes along which compressed coils are mixed alike."""
_ALONE = ("", "zero_filled", "pocs", "homodyne")
"""Choices of a method that take a series frame by frame."""
FEWER = 0.95
"""Entries with less than this share of the others' samples are warned of."""

_LACKS = {"none": "no calibration lines", "poor": "its own coil maps do not explain its samples"}

Run = Callable[[KSpace], Image]
Choice = Callable[[KSpace], str | None]


@dataclass(frozen=True)
class _Group:
    """Entries of a batch axis that are reconstructed together: what the method does, and how many have calibration
    lines: all, some or none of them, or poor ones."""

    entries: tuple[int, ...]
    choice: str | None
    lines: str

    @property
    def is_good(self) -> bool:
        return self.choice is not None and self.lines != "none"


def in_groups(kspace: KSpace, run: Run, choice: Choice) -> tuple[Image, KSpace]:
    """The image of a prepared scan, entries of the batch that were sampled unlike the others taken apart.

    Parameters
    ----------
    run
        A scan to its image; DataError where it cannot.
    choice
        As `Recon.choice`: what the method does with a scan; parts with different answers are not taken together.

    Returns
    -------
    The image, and the part of the scan that is its largest group.
    """
    if differs(kspace):
        whole = settled(kspace)
        fits = choice(whole) == "" and not uncalibrated(whole).any()
        for axis in () if fits else ("slice", "contrast", *_SERIES):
            groups = _groups(whole, axis, choice)
            if len(groups) > 1:
                return _apart(whole, axis, groups, run, choice)
        return _with_fewer_told(run(kspace), kspace), kspace
    return run(kspace), kspace


def rescued(image: Image, kspace: KSpace, unexplained: np.ndarray, run: Run, choice: Choice) -> Image:
    """Slices (or contrasts) whose image does not explain their samples made anew, where that of others does."""
    axis = next(
        (a for a in ("slice", "contrast") if a in kspace.axes and unexplained.shape[kspace.axes.index(a)] > 1), ""
    )
    if not axis:
        return image
    others = tuple(i for i, a in enumerate(kspace.axes) if a != axis)
    bad = unexplained.any(others)
    good = _Group(tuple(int(i) for i in np.flatnonzero(~bad)), "", "all")
    if not good.entries:
        return image
    known = _picked(image, kspace.axes.index(axis), good.entries)
    odd = [_Group((int(i),), "", "poor") for i in np.flatnonzero(bad)]
    return _beside(settled(kspace), axis, (good, known), odd, run, choice)


def _groups(kspace: KSpace, axis: str, choice: Choice) -> list[_Group]:
    """The groups along an axis, the largest good one first; one that holds all if there is nothing to take apart."""
    n = kspace.samples.shape[kspace.axes.index(axis)] if axis in kspace.axes else 1
    if n == 1:
        return []
    parts = [_state(kspace, axis, (i,), choice) for i in range(n)]
    kinds = dict.fromkeys((p.choice, p.lines) for p in parts)
    groups: list[_Group] = []
    for kind in kinds:
        members = [p for p in parts if (p.choice, p.lines) == kind]
        together = _Group(tuple(p.entries[0] for p in members), *kind)
        joint = _state(kspace, axis, together.entries, choice)
        fits = together.is_good and (joint.choice, joint.lines) == kind
        groups += [together] if fits else _alike(kspace, axis, members)
    groups.sort(key=lambda g: (not g.is_good, -len(g.entries)))
    largest = groups[0]
    if not largest.is_good or (axis in _SERIES and largest.choice not in _ALONE):
        return []
    return groups


def _state(kspace: KSpace, axis: str, entries: Sequence[int], choice: Choice) -> _Group:
    part = select(kspace, axis, entries)
    lacking = uncalibrated(part) if axis not in _SERIES else None
    lines = "all" if lacking is None or not lacking.any() else "none" if lacking.all() else "some"
    return _Group(tuple(entries), choice(part), lines)


def _alike(kspace: KSpace, axis: str, members: Sequence[_Group]) -> list[_Group]:
    """Entries that cannot be taken together, by their masks; each bad one alone."""
    dim = kspace.axes.index(axis)
    by_mask: dict[object, list[_Group]] = {}
    for member in members:
        mask = select(kspace, axis, member.entries).mask
        assert mask is not None
        key = mask.cpu().numpy().tobytes() if member.is_good and mask.ndim > dim else member.entries
        by_mask.setdefault(key, []).append(member)
    return [replace(same[0], entries=tuple(m.entries[0] for m in same)) for same in by_mask.values()]


def _apart(kspace: KSpace, axis: str, groups: list[_Group], run: Run, choice: Choice) -> tuple[Image, KSpace]:
    """Each group by itself, joined again."""
    image, seen = in_groups(select(kspace, axis, groups[0].entries), run, choice)
    return _beside(kspace, axis, (groups[0], image), groups[1:], run, choice), seen


def _beside(
    kspace: KSpace, axis: str, good: tuple[_Group, Image], groups: Sequence[_Group], run: Run, choice: Choice
) -> Image:
    """The whole image: that of the good group is there; the others are made, and told."""
    n = kspace.samples.shape[kspace.axes.index(axis)]
    main, header, pieces = select(kspace, axis, good[0].entries), good[1].header, [good]
    for group in groups:
        part = select(kspace, axis, group.entries)
        other, how = _other(part, group, axis, good, run, choice)
        where = f"{axis}{'s' * (len(group.entries) > 1)} {', '.join(str(i + 1) for i in group.entries)} of {n}: "
        share = _measured(part) / _measured(main)
        told = [step for step in other.header.history if step not in {*kspace.header.history, *header.history}]
        header = _labelled(header, where, told)
        if how or group.lines in _LACKS or share < FEWER:
            lacks = _LACKS.get(group.lines, f"{100 * share:.0f} % of the others' samples")
            header = header.warned(f"{where}{lacks}: {how or 'reconstructed apart'}; the other {axis}s are unharmed")
        elif not told:
            header = header.noted(f"{where}sampled unlike the others, reconstructed apart")
        pieces.append((group, other))
    return replace(_joined(kspace, axis, pieces), header=header)


def _other(
    part: KSpace, group: _Group, axis: str, good: tuple[_Group, Image], run: Run, choice: Choice
) -> tuple[Image, str]:
    """The best that can be made of a group beside the good one, and in words how, where it is not the method's own."""
    outcome = None if group.lines == "none" else _own(part, run, choice)
    if isinstance(outcome, Image) and not compared(outcome, part)[1].unexplained.any():
        return outcome, ""
    if axis in _SAME_COILS or part.n_receivers == part.n_coils:
        donor = min(good[0].entries, key=lambda i: abs(i - group.entries[0]))
        borrowed = _borrowed(part, good[1], axis, good[0].entries.index(donor))
        if borrowed is not None:
            return borrowed, f"reconstructed by cg_sense with the coil maps of {axis} {donor + 1}"
    outcome = _own(part, run, choice) if outcome is None else outcome
    if isinstance(outcome, Image):
        return outcome, ""
    zero_filled = part.image(root_sum_of_squares(ifft(part.samples)))
    return zero_filled, f"{outcome}; its zero-filled root sum of squares is shown"


def _own(part: KSpace, run: Run, choice: Choice) -> Image | str:
    """What the method makes of it alone, or why it does not."""
    try:
        return in_groups(part, run, choice)[0]
    except DataError as error:
        return error.found


def _borrowed(part: KSpace, good: Image, axis: str, entry: int) -> Image | None:
    """CG-SENSE with the maps of an entry of the good image; None where it has none, or they explain no samples."""
    csm = good.extras.get("csm")
    if csm is None or csm.shape[-5] != 1 or part.mask is None:
        return None
    maps = csm.narrow(part.axes.index(axis), entry, 1).expand(*part.samples.shape[:-4], *csm.shape[-5:])
    if not bool((maps != 0).any()):
        return None
    image = part.image(cg_sense.reconstruct(part, maps, cg_sense.Config()), csm=maps)
    return None if compared(image, part)[1].unexplained.any() else image


def _with_fewer_told(image: Image, kspace: KSpace) -> Image:
    """With warnings of slices and contrasts that were taken with the others, though they have fewer samples."""
    assert kspace.mask is not None
    for axis in _long(kspace):
        n = kspace.samples.shape[kspace.axes.index(axis)]
        shares = [_measured(select(kspace, axis, (i,))) for i in range(n)]
        usual = sorted(shares)[n // 2]
        for i, share in enumerate(shares):
            if share < FEWER * usual:
                told = f"{axis} {i + 1} of {n}: {100 * share / usual:.0f} % of the others' samples"
                image = replace(image, header=image.header.warned(told))
    return image


def _long(kspace: KSpace) -> list[str]:
    return [a for a in ("slice", "contrast") if a in kspace.axes and kspace.samples.shape[kspace.axes.index(a)] > 1]


def _picked(image: Image, dim: int, entries: Sequence[int]) -> Image:
    """Some entries of an image's batch; its residual is no longer that of the whole."""

    def cut(t: Tensor) -> Tensor:
        return t if t.ndim <= dim or t.shape[dim] == 1 else t.index_select(dim, torch.tensor(entries, device=t.device))

    extras = {name: cut(t) for name, t in image.extras.items() if name != "residual"}
    several = image.axes[dim] == "slice" and len(image.geometries) > 1
    geometries = tuple(image.geometries[i] for i in entries) if several else image.geometries
    return replace(image, values=cut(image.values), geometries=geometries, extras=extras)


def _measured(part: KSpace) -> float:
    assert part.mask is not None
    return float(part.mask.float().mean())


def _labelled(header: Header, where: str, steps: Sequence[str]) -> Header:
    """The header with the steps of some entries, each with the words that say of which."""
    for step in steps:
        loud = step.startswith(WARNING)
        header = header.warned(where + step[len(WARNING) :]) if loud else header.noted(where + step)
    return header


def select(kspace: KSpace, axis: str, entries: Sequence[int]) -> KSpace:
    """Some entries of a batch axis."""
    if len(entries) == kspace.samples.shape[kspace.axes.index(axis)]:
        return kspace
    return replace(kspace.take(axis, entries), target=None)


def _joined(kspace: KSpace, axis: str, pieces: Sequence[tuple[_Group, Image]]) -> Image:
    """One image of the groups' images; an extra that a group lacks is 0 there (the noise amplification 1)."""
    dim, n = kspace.axes.index(axis), kspace.samples.shape[kspace.axes.index(axis)]

    def filled(tensors: Sequence[Tensor | None], default: float) -> Tensor:
        present = [t for t in tensors if t is not None]
        shape = [n if d == dim else size for d, size in enumerate(present[0].shape)]
        kind = torch.float32 if not any(t.is_complex() for t in present) else torch.complex64
        whole = torch.full(shape, default, dtype=kind, device=present[0].device)
        for (group, _), t in zip(pieces, tensors, strict=True):
            if t is not None and t.shape[dim + 1 :] == present[0].shape[dim + 1 :]:
                index = torch.tensor(group.entries, device=t.device)
                whole.index_copy_(dim, index, t.expand(*t.shape[:dim], len(index), *t.shape[dim + 1 :]).to(kind))
        return whole

    names = dict.fromkeys(name for _, image in pieces for name in image.extras)
    batch = kspace.samples.shape[:-4]
    extras: dict[str, Tensor] = {}
    for name in names:
        tensors = [image.extras.get(name) for _, image in pieces]
        if name == "noise_floor":
            size = [tuple(len(g.entries) if d == dim else m for d, m in enumerate(batch)) for g, _ in pieces]
            tensors = [t if t is None else t.expand(*s, 1, 1, 1, 1) for t, s in zip(tensors, size, strict=True)]
        extras[name] = filled(tensors, 1.0 if name == "gfactor" else 0.0)
    values = filled([image.values for _, image in pieces], 0.0)
    return replace(kspace.image(values), extras=extras)
