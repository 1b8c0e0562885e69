"""Brains with findings to train on: folders with one contrast in each file and the truth beside; label maps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from spinecho.core.errors import DataError
from spinecho.core.image import Image
from spinecho.core.one_grid import same_grid
from spinecho.sim.splits import Part
from spinecho.sim.tissue import TISSUE_OF_LABEL
from spinecho.tasks.segment.base import Segment
from spinecho.tasks.segment.examples.heads import entry_of
from spinecho.tasks.segment.parts.files import TRUTHS, file_beside, images_beside, stem, truth_beside
from spinecho.tasks.segment.parts.findings import CONTRASTS, LABELS
from spinecho.tasks.segment.parts.names import classes_of
from spinecho.tasks.segment.parts.several import channels, depth, several
from spinecho.tasks.segment.run import brain_of, segment
from spinecho.train.cases import Case
from spinecho.train.entries import Entry
from spinecho.train.stock import entries
from spinecho.train.supply import Context

_WHITE, _VENTRICLES, _NEAR_MM = 1, 3, 8.0
"""Numbers of `parts.names.REGIONS`; how far around the ventricles lesions gather"""
GREYS: Mapping[str, tuple[float, float]] = {
    "white matter": (-0.3, 1.0),
    "grey matter": (0.5, -0.6),
    "thalamus": (0.1, 0.75),
    "striatum": (0.3, 0.1),
    "pallidum": (-1.5, 1.0),
    "brain stem": (0.1, 0.8),
    "lesion": (-0.3, 1.0),
    "csf": (-5.0, -3.6),
    "choroid plexus": (-1.0, -2.0),
}
"""FLAIR and T1 of tissues in the units of `parts.several.channels`, measured on patient07 and rounded: of rendered
brains; other contrasts of them are not given"""


@dataclass(frozen=True, eq=False)
class Brain:
    """What blocks are drawn from, at the method's spacing.

    Parameters
    ----------
    seen
        As `parts.several.channels` makes it; of a rendered brain the depth alone.
    truth
        Labels of what was found; all 0 of rendered brains.
    white
        Where lesions may be planted: 1 white matter, 2 close to the ventricles; 0 everywhere: not here.
    tissue
        Places in `GREYS` plus 1, of rendered brains; None: a real one.
    """

    seen: Float[Tensor, "channel z y x"]
    truth: UInt8[Tensor, "z y x"]
    white: UInt8[Tensor, "z y x"]
    tissue: UInt8[Tensor, "z y x"] | None = None


def gathered(paths: Sequence[Path], part: Part, context: Context) -> tuple[Brain, ...]:
    """Everything under the paths that is for a part of the work."""
    method = context.method
    assert isinstance(method, Segment)
    stock = entries(paths, part, lambda case: list(_entries(case, method)), context, f"brains for {method.finds}")
    return tuple(_brain(entry) for entry in stock)


def _entries(case: Case, method: Segment) -> Iterator[Entry]:
    """One for each brain: at the file of its first contrast, and at each label map."""
    word = stem(case.path)
    first = method.contrasts[0]
    if word == first:
        yield _real(case.path, method)
    elif word not in (*CONTRASTS, *TRUTHS, "t1post") and not file_beside(case.path, (first,)):
        if method.finds != "lesions":
            raise DataError("label maps are of no use: nothing is planted but lesions", do="leave it out")
        yield _rendered(case.path, method.spacing_mm)


def _real(path: Path, method: Segment) -> Entry:
    images = images_beside(path, method.contrasts)
    first, truth = images[method.contrasts[0]], truth_beside(path)
    same_grid(first, {"truth": truth})
    brain, _ = brain_of(first)
    work = several(images, brain, method.contrasts, method.spacing_mm)
    seen = channels(work.values, method.contrasts, method.spacing_mm)
    labels = _along(truth, brain, method)
    top = len(LABELS[method.finds]) - 1
    if not 0 <= float(labels.min()) <= float(labels.max()) <= max(top, 4):
        raise DataError(f"its truth has labels up to {float(labels.max()):g}", do=f"give 0 to {top}")
    white = torch.zeros(labels.shape, dtype=torch.uint8)
    if method.finds == "lesions":
        shown = images.get("t1", first)
        regions = segment(shown, "regions", sides=False)
        white = _white(classes_of(_along(regions, brain, method).to(torch.int32)), method.spacing_mm)
    arrays = {"seen": seen.half().numpy(), "truth": labels.to(torch.uint8).numpy(), "white": white.numpy()}
    return Entry("real", arrays)


def _along(labels: Image, brain: Bool[Tensor, "z y x"], method: Segment) -> Float[Tensor, "z2 y2 x2"]:
    """Labels on the working grid: of the nearest voxel."""
    from spinecho.core.transform import identity

    grid = several({"x": labels}, brain, ("x",), method.spacing_mm).head.grid
    return identity().warp(replace(labels, values=labels.values.float(), extras={}), grid, "nearest").values[0]


def _white(classes: UInt8[Tensor, "z y x"], spacing_mm: float) -> UInt8[Tensor, "z y x"]:
    """White matter of the cerebrum, and that close to the ventricles."""
    far = torch.as_tensor(distance_transform_edt((classes != _VENTRICLES).numpy(), spacing_mm))
    return ((classes == _WHITE).to(torch.uint8) * (1 + (far < _NEAR_MM).to(torch.uint8))).contiguous()


def _rendered(path: Path, spacing_mm: float) -> Entry:
    """A label map at the method's spacing, nearest voxels."""
    arrays = entry_of(path).arrays
    codes, ids = torch.from_numpy(arrays["codes"]), torch.from_numpy(arrays["ids"])
    axes = [_nearest(n, float(mm), spacing_mm) for n, mm in zip(codes.shape, arrays["voxel_mm"], strict=True)]
    names = list(GREYS)
    table = torch.tensor([names.index(t) + 1 if (t := TISSUE_OF_LABEL[int(i)]) in names else 0 for i in ids])
    labels = ids[codes[np.ix_(*axes)].long()]
    tissue = table[codes[np.ix_(*axes)].long()].to(torch.uint8)
    inside = tissue.nonzero()
    box = tuple(slice(int(a), int(b) + 1) for a, b in zip(inside.amin(0), inside.amax(0), strict=True))
    tissue, labels = tissue[box].contiguous(), labels[box]
    white = _white(classes_of(labels), spacing_mm)
    seen = depth(tissue > 0, spacing_mm)[None].half()
    return Entry("rendered", {"seen": seen.numpy(), "tissue": tissue.numpy(), "white": white.numpy()})


def _nearest(n: int, voxel_mm: float, spacing_mm: float) -> np.ndarray:
    return np.rint(np.arange(0, n - 1, spacing_mm / voxel_mm)).astype(int)


def _brain(entry: Entry) -> Brain:
    seen, white = (torch.from_numpy(np.asarray(entry.arrays[n])) for n in ("seen", "white"))
    tissue = torch.from_numpy(np.asarray(entry.arrays["tissue"])) if entry.kind == "rendered" else None
    truth = torch.zeros_like(white) if tissue is not None else torch.from_numpy(np.asarray(entry.arrays["truth"]))
    return Brain(seen.float(), truth, white, tissue)
