"""What a person gives with --data, as a supply of scans: raw scans, images, label maps, mixed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from spinecho.calib.centre import missing_calibration
from spinecho.core.errors import DataError
from spinecho.core.image import Image
from spinecho.core.kspace import KSpace
from spinecho.io.limits import check_memory
from spinecho.io.read import find_format, read
from spinecho.sim.draws import Draws, acquire_random, fine_shape, sample_shape, uniform
from spinecho.sim.draws_radial import acquire_radial
from spinecho.sim.splits import Part
from spinecho.sim.tissue import TISSUE_OF_LABEL
from spinecho.tasks.recon.examples.draw import Source
from spinecho.tasks.recon.examples.objects import Labels, Objects, Pictures
from spinecho.tasks.recon.examples.raw import RawFile, RawScans, open_raw
from spinecho.train.cases import Case, cases

Say = Callable[[str], None]
_IMAGES = (".nii", ".nii.gz")
_STACKS = (".npz", ".npy")
_LEAST_LABELS = 4
_ATTEMPTS = 50
"""Black objects in a row before a run ends."""


@dataclass(frozen=True, eq=False)
class Simulated:
    """Scans simulated of objects: random matrix, coils, phase, noise and sampling each time."""

    objects: Objects
    draws: Draws

    def scan(self, rng: torch.Generator) -> KSpace:
        """A scan; see `sim.draws.acquire_random` and, for a share of them, `sim.draws_radial.acquire_radial`.

        Where a steep phase has moved the centre of k-space out of the calibration block it is drawn again.
        """
        for _ in range(_ATTEMPTS):
            scan = self._scan(rng)
            if (reason := missing_calibration(scan)) is None:
                return scan
        raise DataError(f"{_ATTEMPTS} scans drawn one after another: {reason}", do="draw more calibration lines")

    def _scan(self, rng: torch.Generator) -> KSpace:
        shape = sample_shape(rng, self.draws)
        if self.draws.radial and uniform(rng) < self.draws.radial:
            side = shape[0]
            return acquire_radial(self._object(rng, (side, side)), side, rng, self.draws)
        return acquire_random(self._object(rng, shape), shape, rng, self.draws)

    def _object(self, rng: torch.Generator, shape: tuple[int, int]) -> Tensor:
        """One that is not black: a contrast may leave all the tissues of a plane without signal."""
        for _ in range(_ATTEMPTS):
            picture = self.objects.draw(rng, fine_shape(shape))
            if picture.any():
                return picture
        raise DataError(f"{_ATTEMPTS} objects drawn one after another are black", do="look at the images given")


@dataclass(frozen=True, eq=False)
class Mixed:
    """Several sources, each drawn from in proportion to its weight."""

    sources: tuple[Source, ...]
    weights: tuple[float, ...]

    def scan(self, rng: torch.Generator) -> KSpace:
        """A scan of one of them."""
        at = torch.multinomial(torch.tensor(self.weights, dtype=torch.float64), 1, generator=rng)
        return self.sources[int(at)].scan(rng)


@dataclass(frozen=True, eq=False)
class Supply:
    """Scans to train on, and held-out ones (the same, where there is too little to hold any out)."""

    train: Source
    validate: Source


@dataclass(eq=False)
class _Held:
    """What was found under one path: raw files, label maps, and image volumes by the axes along which to slice."""

    raw: list[RawFile] = field(default_factory=list)
    labels: list[np.ndarray] = field(default_factory=list)
    images: dict[tuple[int, ...], list[np.ndarray]] = field(default_factory=dict)

    def sources(self, draws: Draws, skip: bool) -> list[tuple[Source, float]]:
        """With the number of files behind each."""
        found: list[tuple[Source, float]] = []
        if self.raw:
            found.append((RawScans(tuple(self.raw), draws, skip), len(self.raw)))
        if self.labels:
            found.append((Simulated(Labels(tuple(self.labels)), draws), len(self.labels)))
        for axes, volumes in self.images.items():
            found.append((Simulated(Pictures(tuple(volumes), axes), draws), len(volumes)))
        return found

    def told(self) -> str:
        counts = {"raw scans": len(self.raw), "label maps": len(self.labels)}
        counts["image files"] = sum(map(len, self.images.values()))
        return ", ".join(f"{n} {what}" for what, n in counts.items() if n)


def gather(paths: Sequence[Path], on_broken: Literal["stop", "skip"], say: Say, draws: Draws) -> Supply:
    """Everything under the paths. Each path is drawn from equally often, within it each file.

    Parameters
    ----------
    on_broken
        Whether a file that cannot be used ends the work or is left out; it is named either way.
    say
        Gets a sentence on what was found under each path.

    Raises
    ------
    DataError
        If nothing is left to train on, or a file is broken.
    """
    trained, held_out = (
        _mixed(paths, "train", on_broken, say, draws),
        _mixed(paths, "validate", on_broken, say, draws),
    )
    if trained is None:
        raise DataError("there is nothing to train on", do="give --data full raw scans, images or label maps")
    if held_out is None:
        say("too few subjects to hold any out: validation sees other scans of the same ones")
    return Supply(trained, held_out or trained)


def _mixed(paths: Sequence[Path], part: Part, on_broken: str, say: Say, draws: Draws) -> Source | None:
    sources: list[Source] = []
    weights: list[float] = []
    for path in paths:
        held = _Held()
        for case in cases(path, part, "recon", say):
            try:
                _load(case, held)
            except DataError as error:
                told = error.within(case.path)
                if on_broken == "stop":
                    raise DataError(told.found, do=f"{told.do}; or --on-broken skip", file=told.file) from error
                say(f"left out: {told}")
        found = held.sources(draws, on_broken == "skip")
        total = sum(weight for _, weight in found)
        sources += [source for source, _ in found]
        weights += [weight / total for _, weight in found]
        if found:
            say(f"{path}: {held.told()} to {part}")
    return Mixed(tuple(sources), tuple(weights)) if sources else None


def _load(case: Case, held: _Held) -> None:
    """Put a file where it belongs."""
    name = case.path.name
    if name.endswith(_STACKS) and (stack := _stack(case)) is not None:
        held.images.setdefault((0,), []).append(stack)
    elif name.endswith(_IMAGES):
        find_format(case.path)
        image = read(case.path)
        assert isinstance(image, Image)
        _add_image(image, held)
    else:
        held.raw.append(open_raw(case.path))


def _add_image(image: Image, held: _Held) -> None:
    volumes = image.volume().magnitude().values.float().numpy()
    geometry = image.volume().geometry
    for volume in volumes.reshape(-1, *volumes.shape[-3:]):
        check_memory(volume.size * 2, "the images in memory")
        if not np.isfinite(volume).all() or not volume.any():
            raise DataError("it is empty, or holds values that are no numbers", do="leave it out")
        if (labels := _as_labels(volume)) is not None:
            held.labels.append(labels)
        else:
            axes = _flat_axes(geometry.voxel_mm[::-1], volume.shape)
            held.images.setdefault(axes, []).append((volume / volume.max()).astype(np.float16))


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


def _flat_axes(voxel_mm: Sequence[float], shape: Sequence[int]) -> tuple[int, ...]:
    """The axes (of z, y, x) across which slices have nearly square pixels and at least 32 of them each way."""

    def suits(axis: int) -> bool:
        a, b = (i for i in range(3) if i != axis)
        return 0.8 < voxel_mm[a] / voxel_mm[b] < 1.25 and min(shape[a], shape[b]) >= 32

    axes = tuple(axis for axis in range(3) if suits(axis))
    if not axes:
        told = " x ".join(f"{v:.3g}" for v in voxel_mm)
        raise DataError(
            f"no slice of it has square pixels ({told} mm, z y x)", do="give images of 32 x 32 pixels or more"
        )
    return axes


def _stack(case: Case) -> np.ndarray | None:
    """Real slices (n, y, x) of a numpy file, as 8 bits where they are; None if it holds something else."""
    try:
        with case.path.open("rb") as file:
            held = np.load(file, allow_pickle=False)
            found = [held[key] for key in held.files] if hasattr(held, "files") else [held]
    except (ValueError, OSError, EOFError) as error:
        raise DataError(f"it cannot be read ({error})", do="copy it again", file=case.path) from error
    stacks = [a for a in found if a.ndim == 3 and a.dtype.kind in "uif"]
    if not stacks:
        return None
    slices = stacks[0] if case.slices is None else stacks[0][case.slices.start : case.slices.stop]
    if not np.isfinite(slices).all() or not slices.any():
        raise DataError("it is empty, or holds values that are no numbers", do="leave it out", file=case.path)
    return slices if slices.dtype == np.uint8 else (np.abs(slices) / np.abs(slices).max()).astype(np.float16)
