"""All measures of one transform on one pair."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.core.signed import unsigned
from spinecho.core.transform import Transform, identity
from spinecho.io.read import read_image
from spinecho.metrics.folding import in_grid_voxels, regularity_of
from spinecho.metrics.overlap import dice_per_label, mean_over
from spinecho.metrics.similarity import foreground10, ncc_foreground, nmi_foreground64
from spinecho.metrics.surface import hd95_per_label
from spinecho.metrics.warp_error import inverse_error_mm
from spinecho.tasks.register.judge.pairs import JudgedPair


def measures(pair: JudgedPair, fixed: Image, moving: Image, transform: Transform) -> dict[str, float]:
    """How good a transform is, by name.

    `n_regions` and `n_lost` count the regions scored and those of them that the moved label map lacks; `dice` and
    `hd95_*` are their means (lost ones count in dice alone); sdlogj to folded_volume are those of `folding.Regularity`
    at the fixed voxels; `error_*` are those of the known warp; `inverse_*`, `ncc_*` and `nmi_*` are over the fixed
    foreground.
    """
    onto = fixed.geometry
    displacement = transform.displacement(onto)
    if not bool(torch.isfinite(displacement).all()):
        raise DataError("the transform holds NaN or infinite values")
    figures: dict[str, float] = {}
    if pair.fixed_labels and pair.moving_labels:
        figures |= _regions(read_image(pair.fixed_labels), read_image(pair.moving_labels), transform)
    if pair.truth:
        figures |= _errors(displacement, pair, onto)
    if min(onto.shape) >= 5:
        figures |= vars(regularity_of(in_grid_voxels(displacement, onto)))
    target = _values(fixed)
    mask = foreground10(target)
    back = inverse_error_mm(transform, onto, mask)
    figures |= {"inverse_mm": back.mean, "inverse_max_mm": back.max}
    for when, way in (("before", identity()), ("after", transform)):
        moved = _values(way.warp(moving, onto))
        figures |= {
            f"ncc_{when}": ncc_foreground(target, moved, mask),
            f"nmi_{when}": nmi_foreground64(target, moved, mask),
        }
    return figures


def _regions(fixed: Image, moving: Image, transform: Transform) -> dict[str, float]:
    onto = fixed.geometry
    target, moved = _labels(fixed), _labels(transform.warp(moving, onto, mode="nearest"))
    dice = dice_per_label(target, moved)
    x, y, z = onto.voxel_mm
    distances = hd95_per_label(target, moved, dice)
    if max(x, y, z) - min(x, y, z) <= 1e-6 * x:
        in_mm = {label: d * x for label, d in distances.items()}
    else:
        in_mm = hd95_per_label(target, moved, dice, (z, y, x))
    return {
        "n_regions": len(dice),
        "n_lost": sum(d == float("inf") for d in distances.values()),
        "dice": mean_over(dice),
        "hd95_voxels": mean_over(distances),
        "hd95_mm": mean_over(in_mm),
    }


def _errors(displacement: Tensor, pair: JudgedPair, onto: Geometry) -> dict[str, float]:
    assert pair.truth is not None
    truth = torch.from_numpy(np.load(pair.truth))
    if truth.shape != displacement.shape:
        shapes = f"the truth has shape {tuple(truth.shape)}, the fixed grid {onto.shape} (z, y, x)"
        raise DataError(shapes, do="write it at the fixed voxels", file=pair.truth)
    distance = (displacement - truth).norm(dim=0)
    distance = distance[torch.isfinite(distance)].numpy()
    return {
        "error_mm": float(distance.mean(dtype=np.float64)),
        "error_p95_mm": float(np.percentile(distance, 95)),
        "error_max_mm": float(distance.max()),
    }


def _values(volume: Image) -> Tensor:
    return unsigned(volume).values.float().reshape(volume.geometry.shape)


def _labels(volume: Image) -> Tensor:
    return volume.values.reshape(volume.geometry.shape).round().long()
