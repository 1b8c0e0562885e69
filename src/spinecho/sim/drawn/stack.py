"""Scans of one shape joined along the axis `example`, and taken apart again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from spinecho.core.errors import DataError
from spinecho.core.kspace import TENSORS, KSpace, padded

_EXAMPLE = "example"


def stack(scans: Sequence[KSpace]) -> KSpace:
    """Scans with or without the axis `example` as one batch; masks are widened where they differ in shape.

    A slice of its own is no axis; the header and the geometry are the first scan's.

    Raises
    ------
    DataError
        If the scans differ in shape, axes, or in what they hold.
    """
    alike = [_as_example(scan) for scan in scans]
    shapes = {(tuple(scan.samples.shape[1:]), scan.axes, scan.encoding.matrix) for scan in alike}
    if len(shapes) > 1:
        told = " and ".join(sorted(f"{shape} {axes}" for shape, axes, _ in shapes)[:2])
        raise DataError(f"scans of different shapes, {told}, make no batch", do="draw them one by one")
    return replace(alike[0], **{name: _joined(name, [getattr(scan, name) for scan in alike]) for name in TENSORS})


def single(scans: KSpace, index: int = 0) -> KSpace:
    """One scan of a batch, without the axis."""
    parts = {name: None if (t := getattr(scans, name)) is None else t[index if len(t) > 1 else 0] for name in TENSORS}
    return replace(scans, **parts, axes=tuple(axis for axis in scans.axes if axis != _EXAMPLE))


def _as_example(scan: KSpace) -> KSpace:
    """With the axis `example` first, and no axis for one slice."""
    if _EXAMPLE in scan.axes:
        return scan
    gone = [i for i, axis in enumerate(scan.axes) if axis == "slice" and scan.samples.shape[i] == 1]

    def shaped(name: str, t: Tensor | None) -> Tensor | None:
        if t is None:
            return None
        t = padded(t, len(scan.axes) + TENSORS[name])
        for i in reversed(gone):
            t = t.squeeze(i)
        return t[None]

    parts = {name: shaped(name, getattr(scan, name)) for name in TENSORS}
    kept = tuple(axis for i, axis in enumerate(scan.axes) if i not in gone)
    return replace(scan, **parts, axes=(_EXAMPLE, *kept), geometries=scan.geometries[:1])


def _joined(name: str, parts: Sequence[Tensor | None]) -> Tensor | None:
    some = [part for part in parts if part is not None]
    if len(some) < len(parts):
        if some:
            raise DataError(f"some scans of a batch have {name}, some have none", do="draw them one by one")
        return None
    shape = torch.broadcast_shapes(*(part.shape[1:] for part in some))
    return torch.cat([part.expand(len(part), *shape) for part in some])
