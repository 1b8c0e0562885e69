"""What a person gives with --data, as a supply of scans: raw scans, images, label maps, mixed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from spinecho.core.errors import DataError, setting
from spinecho.core.image import Image
from spinecho.io.limits import check_memory
from spinecho.io.read import find_format, read
from spinecho.sim.drawn.bucket import Ranges
from spinecho.sim.drawn.drawing import Drawing
from spinecho.sim.drawn.store import Kind, Volume, stored
from spinecho.sim.draws import Draws
from spinecho.sim.splits import Part
from spinecho.sim.tissue import TISSUE_OF_LABEL
from spinecho.tasks.recon.base import Recon
from spinecho.tasks.recon.examples.acquire import CARTESIAN, Shares, acquisition
from spinecho.tasks.recon.examples.draw import Source
from spinecho.tasks.recon.examples.raw import RawFile, RawScans, open_raw
from spinecho.tasks.recon.examples.simulated import Mixed, Simulated
from spinecho.tasks.recon.parts.losses import SUPERVISED
from spinecho.train.cases import Case
from spinecho.train.entries import Entry, Thin
from spinecho.train.pack import is_pack
from spinecho.train.stacks import arrays_of, flat_axes
from spinecho.train.stock import NAMED_AXES, stocked
from spinecho.train.supply import Context

_IMAGES = (".nii", ".nii.gz")
_STACKS = (".npz", ".npy")
_ARRAYS = (*_STACKS, ".mat")
_LEAST_LABELS = 4
_RAW, _COIL_MAPS = "raw", "coil maps"
"""Kinds of entries beside those of volumes"""
_EVERY = 8
_MAPS = "coil_maps*.npz"


@dataclass(frozen=True, kw_only=True)
class Ways:
    """How scans are made of what the paths hold.

    Parameters
    ----------
    draws
        Masks for raw scans.
    ranges
        Of scans that are simulated.
    shares
        Of the acquisitions that are simulated.
    frames
        Kept of a raw series; None: all.
    loss
        Of `parts.losses`: which raw scans are taken.
    axes
        Of arrays that hold raw samples; None: arrays hold slices of images.
    """

    draws: Draws = field(default_factory=Draws)
    ranges: Ranges = field(default_factory=Ranges)
    shares: Shares = CARTESIAN
    frames: int | None = 1
    loss: str = SUPERVISED
    axes: str | None = None


@dataclass(eq=False)
class _Held:
    """What lies under one path: raw files, and volumes to scan."""

    raw: list[RawFile] = field(default_factory=list)
    volumes: list[Volume] = field(default_factory=list)

    maps: Tensor | None = None

    def add(self, entry: Entry) -> None:
        """Put what a file gave where it belongs."""
        if entry.kind == _RAW:
            assert entry.file is not None
            packed, facts = is_pack(entry.file.parent), entry.facts
            full, axes = bool(facts.get("full", True)), None if packed else facts.get(NAMED_AXES)
            self.raw.append(RawFile(entry.file, int(facts["slices"]), packed, full, axes))
        elif entry.kind == _COIL_MAPS:
            self.maps = torch.from_numpy(entry.arrays["maps"])
        else:
            kind = cast(Kind, entry.kind)
            self.volumes.append(Volume(entry.arrays["volume"], kind, tuple(entry.facts.get("axes", (0, 1, 2)))))

    def __len__(self) -> int:
        return len(self.raw) + len(self.volumes)

    def told(self) -> str:
        kinds = [volume.kind for volume in self.volumes]
        full = sum(file.full for file in self.raw)
        counts = {"raw scans": full, "undersampled raw scans": len(self.raw) - full}
        counts |= {"label maps": kinds.count("labels")}
        counts |= {"image files": kinds.count("pictures"), "complex image files": kinds.count("complex")}
        return ", ".join(f"{n} {what}" for what, n in counts.items() if n)


def sources(paths: Sequence[Path], ways: Ways, context: Context) -> tuple[Source, Source]:
    """Everything under the paths: what trains, and what is held out (the same, where there are too few subjects).

    Each path is drawn from equally often, within it each file.

    Raises
    ------
    DataError
        If nothing is left to train on, or a file is broken.
    """
    train, held_out = (mixed(paths, part, ways, context) for part in ("train", "validate"))
    if train is None:
        raise DataError(
            "there is nothing to train on", do=f"give {setting('data')} full raw scans, images or label maps"
        )
    if held_out is None:
        context.say("too few subjects to hold any out: validation sees other scans of the same ones")
    still = any(isinstance(source, Simulated) for source in train.sources)
    if still:
        _check_still(ways, context)
    if still and ways.frames != 1:
        context.say("scans simulated of images and label maps are still: they have no frames")
    return train, held_out or train


def _check_still(ways: Ways, context: Context) -> None:
    """Some methods for series learn from a single frame, too; others do not."""
    method = context.method
    assert isinstance(method, Recon)
    reasons = [acquisition(one).refusal(method) for one, share in ways.shares if share and method.whole_series]
    if any(reasons):
        told = f"{context.name} learns from series, and scans simulated of images and label maps are still"
        raise DataError(told, do=f"give raw series, or images with {setting('moving', 'scans')}")


def mixed(paths: Sequence[Path], part: Part, ways: Ways, context: Context) -> Mixed | None:
    """What is for a part of the work; None if nothing is."""
    made: list[tuple[Source, float]] = []
    volumes: list[Volume] = []
    maps: Tensor | None = None
    for group in stocked(paths, part, partial(_read, context=context, ways=ways), context, splits="recon"):
        held = _Held()
        for entry in group.entries:
            held.add(entry)
        maps = maps if held.maps is None else held.maps
        if not len(held):
            continue
        if held.raw:
            scans = RawScans(tuple(held.raw), ways.draws, context.on_broken == "skip", ways.frames)
            made.append((scans, len(held.raw) / len(held)))
        volumes += [replace(volume, weight=1 / len(held)) for volume in held.volumes]
        context.say(f"{group.name}: {held.told()} to {part}")
    if volumes:
        drawing = Drawing(stored(volumes, maps), ways.ranges)
        made.append((Simulated(drawing, ways.shares), sum(volume.weight for volume in volumes)))
    return Mixed(*(tuple(each) for each in zip(*made, strict=True))) if made else None


def _read(case: Case, context: Context, ways: Ways) -> list[Entry]:
    """What a file holds."""
    name = case.path.name
    if case.path.match(_MAPS):
        return _coil_maps(case.path)
    axes = ways.axes if name.endswith(_ARRAYS) else None
    if axes is None and name.endswith(_STACKS) and (stack := _stack(case)) is not None:
        return [Entry("complex" if np.iscomplexobj(stack) else "pictures", {"volume": stack}, {"axes": [0]})]
    if name.endswith(_IMAGES):
        find_format(case.path)
        image = read(case.path)
        assert isinstance(image, Image)
        return _of_image(image)
    assert isinstance(context.method, Recon)
    file = open_raw(case.path, context.method, context.name, ways.loss, axes)
    facts: dict[str, Any] = {"slices": file.n_slices}
    facts |= {} if file.full else {"full": False}
    facts |= {} if axes is None else {NAMED_AXES: axes}
    return [Entry(_RAW, facts=facts, file=file.path)]


def _of_image(image: Image) -> list[Entry]:
    volumes = image.volume().magnitude().values.float().numpy()
    geometry = image.volume().geometry
    entries: list[Entry] = []
    for volume in volumes.reshape(-1, *volumes.shape[-3:]):
        check_memory(volume.size * 2, "the images in memory")
        if not np.isfinite(volume).all() or not volume.any():
            raise DataError("it is empty, or holds values that are no numbers", do="leave it out")
        if (labels := _as_labels(volume)) is not None:
            entries.append(Entry("labels", {"volume": labels}))
        else:
            axes = flat_axes(geometry.voxel_mm[::-1], volume.shape)
            half = (volume / volume.max()).astype(np.float16)
            thin = Thin(f"every {_EVERY}th plane along each axis", partial(_some_planes, half, axes))
            entries.append(Entry("pictures", {"volume": half}, {"axes": list(axes)}, thin=thin))
    return entries


def _some_planes(volume: np.ndarray, axes: Sequence[int]) -> list[Entry]:
    """A stack for each axis, of planes that are not dark: those between are much like them."""
    entries: list[Entry] = []
    for axis in axes:
        planes = np.moveaxis(volume, axis, 0)[_EVERY // 2 :: _EVERY]
        lit = (planes > 0.15 * volume.max()).mean((1, 2)) > 0.1
        if lit.any():
            entries.append(Entry("pictures", {"volume": np.ascontiguousarray(planes[lit])}, {"axes": [0]}))
    return entries


def _coil_maps(path: Path) -> list[Entry]:
    """Coil maps (channel, v, u) of a real array; nothing where the file holds no such `maps`: they are no objects."""
    with np.load(path, allow_pickle=False) as held:
        maps = held["maps"] if "maps" in held.files else np.zeros(0)
    if maps.ndim != 3 or maps.dtype.kind != "c":
        return []
    return [Entry(_COIL_MAPS, {"maps": maps.astype(np.complex64)})]


def _as_labels(volume: np.ndarray) -> np.ndarray | None:
    """The volume as labels, if all its values are ids of FreeSurfer; masks of few values are refused."""
    whole = volume.astype(np.int32)
    if whole.min() < 0 or whole.max() > max(TISSUE_OF_LABEL) or not np.array_equal(whole, volume):
        return None
    ids = np.flatnonzero(np.bincount(whole.ravel()))
    if len(ids) < _LEAST_LABELS:
        raise DataError(f"it holds {len(ids)} values only: a mask", do="give images, or label maps of FreeSurfer's ids")
    if not set(ids.tolist()) <= set(TISSUE_OF_LABEL):
        return None
    return whole.astype(np.uint8 if whole.max() < 256 else np.uint16)


def _stack(case: Case) -> np.ndarray | None:
    """Slices (n, y, x) of a numpy file, as they are if of 8 bits or complex; None if it holds something else."""
    stacks = [a for a in arrays_of(case.path) if a.ndim == 3 and a.dtype.kind in "uifc"]
    if not stacks:
        return None
    slices = stacks[0] if case.slices is None else stacks[0][case.slices.start : case.slices.stop]
    if not np.isfinite(slices).all() or not slices.any():
        raise DataError("it is empty, or holds values that are no numbers", do="leave it out", file=case.path)
    if slices.dtype == np.uint8 or np.iscomplexobj(slices):
        return slices
    return (np.abs(slices) / np.abs(slices).max()).astype(np.float16)
