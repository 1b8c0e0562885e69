"""Heads that were imaged in several contrasts on one grid, from files named after them; label maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.grids import towards_lps, turned
from spinecho.core.image import Image
from spinecho.io.limits import check_memory
from spinecho.io.read import read
from spinecho.sim.splits import Part
from spinecho.tasks.translate.parts import planes
from spinecho.tasks.translate.parts.contrasts import head_of, of_file
from spinecho.tasks.translate.parts.level import level
from spinecho.train.cases import Case
from spinecho.train.entries import Entry
from spinecho.train.label_maps import as_labels, head_box, tissues
from spinecho.train.stock import entries
from spinecho.train.supply import Context

_BRIGHTEST = 4.0
"""In units of `level`: what is brighter (vessels, fat) is cut off"""
_NEAR = 0.1
"""Millimetres within which two grids are one"""
_CUBIC = 1.5


@dataclass(frozen=True, eq=False)
class Gathered:
    """What there is to draw from.

    Parameters
    ----------
    heads
        Of each its contrasts: (z, y, x), float16, in units of `level`; slices across the first axis.
    maps
        Tissues (z, y, x) as places in `sim.tissue.TISSUES`, uint8.
    """

    heads: tuple[Mapping[str, np.ndarray], ...]
    maps: tuple[np.ndarray, ...]


def gathered(paths: Sequence[Path], part: Part, context: Context, cubic: bool) -> Gathered:
    """Everything under the paths that is for a part of the work.

    Parameters
    ----------
    cubic
        Whether only heads with nearly cubic voxels are of use.
    """
    folders: dict[str, list[Path]] = {}
    read_one = lambda case: _entries(case, context, folders)  # noqa: E731
    stock = entries(paths, part, read_one, context, "volumes")
    groups: dict[str, list[Entry]] = {}
    for entry in stock:
        if entry.kind == "head":
            groups.setdefault(str(entry.facts["head"]), []).append(entry)
    heads: list[Mapping[str, np.ndarray]] = []
    for name, group in groups.items():
        heads += _on_one_grid(name, group, context, cubic)
    return Gathered(tuple(heads), tuple(e.arrays["tissues"] for e in stock if e.kind == "tissues"))


def _entries(case: Case, context: Context, folders: dict[str, list[Path]]) -> list[Entry]:
    if case.path.suffix in (".npz", ".npy"):
        context.say(f"left out: {case.path.name} is a stack of slices of one contrast")
        return []
    image = read(case.path)
    if not isinstance(image, Image):
        raise DataError("it holds k-space or no image", do="give volumes", file=case.path)
    image = image.volume().magnitude()
    values = image.values.reshape(-1, *image.values.shape[-3:])[0]
    if (labels := as_labels(values)) is not None:
        places, _ = turned(tissues(labels)[None], image.geometry, *towards_lps(image.geometry))
        return [Entry("tissues", {"tissues": places[0][head_box(places[0])].contiguous().numpy()})]
    if (contrast := of_file(case.path)) is None:
        context.say(f"left out: {case.path.name} does not say one contrast in its name")
        return []
    return [_head(case.path, contrast, values.float(), image.geometry, _name(case.path, folders))]


def _name(path: Path, folders: dict[str, list[Path]]) -> str:
    """What files of one head share; of several folders of one name, as sub-*/anat, each is another head."""
    head, folder = head_of(path), path.absolute().parent
    seen = folders.setdefault(head, [])
    if folder not in seen:
        seen.append(folder)
    at = seen.index(folder)
    return f"{head} ({at + 1})" if at else head


def _head(path: Path, contrast: str, values: Tensor, geometry: Geometry, name: str) -> Entry:
    """A volume along the patient's axes in units of its level."""
    check_memory(6 * values.numel(), "the volumes in memory")
    if not bool(torch.isfinite(values).all()) or not (scale := level(values)) > 0:
        raise DataError("it is empty, or holds values that are no numbers", do="leave it out")
    places, grid = turned(values[None], geometry, *towards_lps(geometry))
    scaled = (places[0] / scale).clamp(0, _BRIGHTEST)
    facts = {"contrast": contrast, "head": name, "affine": grid.affine.tolist(), "file": path.name}
    return Entry("head", {"volume": scaled.contiguous().numpy().astype(np.float16)}, facts)


def _on_one_grid(name: str, group: list[Entry], context: Context, cubic: bool) -> list[Mapping[str, np.ndarray]]:
    """The contrasts of a head that lie on the grid of the first; those that do not are heads of their own."""
    rest, heads = list(group), list[Mapping[str, np.ndarray]]()
    while rest:
        first = rest[0]
        same = [e for e in rest if _alike(e, first)]
        rest = [e for e in rest if e not in same]
        sides = np.linalg.norm(np.array(first.facts["affine"])[:3, :3], axis=0)[::-1].tolist()
        if cubic and max(sides) > _CUBIC * min(sides):
            context.say(f"left out: {name} has slices too thick for a network on volumes")
            continue
        volumes = {str(e.facts["contrast"]): e.arrays["volume"] for e in same}
        axis = planes.across(first.arrays["volume"].shape, sides)
        heads.append({contrast: _cut(v, axis, volumes) for contrast, v in volumes.items()})
    if len(heads) > 1:
        told = ", ".join(str(e.facts["file"]) for e in group)
        context.say(f"{name}: {told} lie on {len(heads)} grids, so that they are no pairs; register them for that")
    return heads


def _alike(one: Entry, other: Entry) -> bool:
    a, b = (np.array(e.facts["affine"]) for e in (one, other))
    return one.arrays["volume"].shape == other.arrays["volume"].shape and bool(np.abs(a - b).max() < _NEAR)


def _cut(volume: np.ndarray, axis: int, volumes: Mapping[str, Any]) -> np.ndarray:
    """Without what is dark in all contrasts; the axis that slices lie across first."""
    lit = np.any([v > 0 for v in volumes.values()], axis=0)
    box = head_box(torch.from_numpy(lit.astype(np.uint8)))
    return np.ascontiguousarray(np.moveaxis(volume[box], axis, 0))
