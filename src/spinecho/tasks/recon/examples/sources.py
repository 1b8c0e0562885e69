"""What a person gives with --data, as a supply of scans: raw scans, images, label maps, mixed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from spinecho.core.errors import DataError, setting
from spinecho.core.image import Image
from spinecho.io.limits import check_memory
from spinecho.io.read import find_format, read
from spinecho.sim.draws import Draws
from spinecho.sim.splits import Part
from spinecho.sim.tissue import TISSUE_OF_LABEL
from spinecho.tasks.recon.base import Recon
from spinecho.tasks.recon.examples.acquire import CARTESIAN, Shares
from spinecho.tasks.recon.examples.draw import Source
from spinecho.tasks.recon.examples.objects import Labels, Pictures
from spinecho.tasks.recon.examples.raw import RawFile, RawScans, open_raw
from spinecho.tasks.recon.examples.simulated import Mixed, Simulated
from spinecho.train.cases import Case
from spinecho.train.pack import is_pack
from spinecho.train.stacks import arrays_of, flat_axes
from spinecho.train.stock import Entry, Thin, stocked
from spinecho.train.supply import Context

_IMAGES = (".nii", ".nii.gz")
_STACKS = (".npz", ".npy")
_LEAST_LABELS = 4
_RAW, _LABELS, _IMAGE = "raw scan", "label map", "image"
"""Kinds of entries"""
_EVERY = 8


@dataclass(frozen=True, kw_only=True)
class Ways:
    """How scans are made of what the paths hold.

    Parameters
    ----------
    shares
        Of the acquisitions that are simulated.
    frames
        Kept of a raw series; None: all.
    """

    draws: Draws = field(default_factory=Draws)
    shares: Shares = CARTESIAN
    frames: int | None = 1


@dataclass(eq=False)
class _Held:
    """What lies under one path: raw files, label maps, and image volumes by the axes along which to slice."""

    raw: list[RawFile] = field(default_factory=list)
    labels: list[np.ndarray] = field(default_factory=list)
    images: dict[tuple[int, ...], list[np.ndarray]] = field(default_factory=dict)

    def add(self, entry: Entry) -> None:
        """Put what a file gave where it belongs."""
        if entry.kind == _RAW:
            assert entry.file is not None
            self.raw.append(RawFile(entry.file, int(entry.facts["slices"]), is_pack(entry.file.parent)))
        elif entry.kind == _LABELS:
            self.labels.append(entry.arrays["volume"])
        else:
            self.images.setdefault(tuple(entry.facts["axes"]), []).append(entry.arrays["volume"])

    def sources(self, ways: Ways, skip: bool) -> list[tuple[Source, float]]:
        """With the number of files behind each."""
        made: list[tuple[Source, float]] = []
        if self.raw:
            made.append((RawScans(tuple(self.raw), ways.draws, skip, ways.frames), len(self.raw)))
        if self.labels:
            made.append((Simulated(Labels(tuple(self.labels)), ways.draws, ways.shares), len(self.labels)))
        for axes, volumes in self.images.items():
            made.append((Simulated(Pictures(tuple(volumes), axes), ways.draws, ways.shares), len(volumes)))
        return made

    def told(self) -> str:
        counts = {"raw scans": len(self.raw), "label maps": len(self.labels)}
        counts["image files"] = sum(map(len, self.images.values()))
        return ", ".join(f"{n} {what}" for what, n in counts.items() if n)


def sources(paths: Sequence[Path], ways: Ways, context: Context) -> tuple[Source, Source]:
    """Everything under the paths: what trains, and what is held out (the same, where there are too few subjects).

    Each path is drawn from equally often, within it each file.

    Raises
    ------
    DataError
        If nothing is left to train on, or a file is broken.
    """
    train, held_out = (_mixed(paths, part, ways, context) for part in ("train", "validate"))
    if train is None:
        raise DataError(
            "there is nothing to train on", do=f"give {setting('data')} full raw scans, images or label maps"
        )
    if held_out is None:
        context.say("too few subjects to hold any out: validation sees other scans of the same ones")
    if ways.frames != 1 and any(isinstance(source, Simulated) for source in train.sources):
        context.say("scans simulated of images and label maps are still: they have no frames")
    return train, held_out or train


def _mixed(paths: Sequence[Path], part: Part, ways: Ways, context: Context) -> Mixed | None:
    made: list[Source] = []
    weights: list[float] = []
    for group in stocked(paths, part, partial(_read, context=context), context, splits="recon"):
        held = _Held()
        for entry in group.entries:
            held.add(entry)
        here = held.sources(ways, context.on_broken == "skip")
        total = sum(weight for _, weight in here)
        made += [source for source, _ in here]
        weights += [weight / total for _, weight in here]
        context.say(f"{group.name}: {held.told()} to {part}")
    return Mixed(tuple(made), tuple(weights)) if made else None


def _read(case: Case, context: Context) -> list[Entry]:
    """What a file holds."""
    name = case.path.name
    if name.endswith(_STACKS) and (stack := _stack(case)) is not None:
        return [Entry(_IMAGE, {"volume": stack}, {"axes": [0]})]
    if name.endswith(_IMAGES):
        find_format(case.path)
        image = read(case.path)
        assert isinstance(image, Image)
        return _of_image(image)
    assert isinstance(context.method, Recon)
    file = open_raw(case.path, context.method, context.name)
    return [Entry(_RAW, facts={"slices": file.n_slices}, file=file.path)]


def _of_image(image: Image) -> list[Entry]:
    volumes = image.volume().magnitude().values.float().numpy()
    geometry = image.volume().geometry
    entries: list[Entry] = []
    for volume in volumes.reshape(-1, *volumes.shape[-3:]):
        check_memory(volume.size * 2, "the images in memory")
        if not np.isfinite(volume).all() or not volume.any():
            raise DataError("it is empty, or holds values that are no numbers", do="leave it out")
        if (labels := _as_labels(volume)) is not None:
            entries.append(Entry(_LABELS, {"volume": labels}))
        else:
            axes = flat_axes(geometry.voxel_mm[::-1], volume.shape)
            half = (volume / volume.max()).astype(np.float16)
            thin = Thin(f"every {_EVERY}th plane along each axis", partial(_some_planes, half, axes))
            entries.append(Entry(_IMAGE, {"volume": half}, {"axes": list(axes)}, thin=thin))
    return entries


def _some_planes(volume: np.ndarray, axes: Sequence[int]) -> list[Entry]:
    """A stack for each axis, of planes that are not dark: those between are much like them."""
    entries: list[Entry] = []
    for axis in axes:
        planes = np.moveaxis(volume, axis, 0)[_EVERY // 2 :: _EVERY]
        lit = (planes > 0.15 * volume.max()).mean((1, 2)) > 0.1
        if lit.any():
            entries.append(Entry(_IMAGE, {"volume": np.ascontiguousarray(planes[lit])}, {"axes": [0]}))
    return entries


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
    """Real slices (n, y, x) of a numpy file, as 8 bits where they are; None if it holds something else."""
    stacks = [a for a in arrays_of(case.path) if a.ndim == 3 and a.dtype.kind in "uif"]
    if not stacks:
        return None
    slices = stacks[0] if case.slices is None else stacks[0][case.slices.start : case.slices.stop]
    if not np.isfinite(slices).all() or not slices.any():
        raise DataError("it is empty, or holds values that are no numbers", do="leave it out", file=case.path)
    return slices if slices.dtype == np.uint8 else (np.abs(slices) / np.abs(slices).max()).astype(np.float16)
