"""What the command line says of one registration: similarity before and after, folds, Jacobian."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from torch import Tensor

from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.core.signed import unsigned
from spinecho.core.transform import Affine, Composite, Rigid, Transform, identity
from spinecho.metrics.folding import regularity
from spinecho.metrics.similarity import foreground10, ncc_foreground, nmi_foreground64

_MOST_VOXELS = 10**6
_LEAST_ALONG = 5
"""Voxels along each axis that the tests for folds need."""


def figures(fixed: Image, moving: Image, transform: Transform) -> list[str]:
    """One sentence each, on at most about a million voxels of the fixed grid, evenly spread."""
    coarse = thinned(fixed.geometry)
    target = values_on(identity(), fixed, coarse)
    mask = foreground10(target)
    told = []
    for which, way in (("before", identity()), ("after", transform)):
        moved = values_on(way, moving, coarse)
        ncc, nmi = ncc_foreground(target, moved, mask), nmi_foreground64(target, moved, mask)
        told.append(f"{which} NMI {nmi:.3f}, NCC {ncc:.3f}")
    sentences = [f"similarity over the fixed head: {'; '.join(told)}"]
    if is_linear(transform) or min(coarse.shape) < _LEAST_ALONG:
        return sentences
    figure = regularity(transform, coarse)
    central, digital = f"{figure.folded_central:.4%}", f"{figure.folded_digital:.4%}"
    sentences.append(
        f"folded voxels of a grid of {min(coarse.voxel_mm):.2g} mm: {central} by central differences, {digital} by the "
        f"digital test; Jacobian {figure.jacobian_min:.2f} to {figure.jacobian_max:.2f}, SDlogJ {figure.sdlogj:.3f}"
    )
    return sentences


def is_linear(transform: Transform) -> bool:
    """Whether a transform is made of matrices alone."""
    if isinstance(transform, Composite):
        return all(map(is_linear, transform.parts))
    return isinstance(transform, (Affine, Rigid))


def thinned(geometry: Geometry) -> Geometry:
    """Every n-th voxel of a grid along each axis, so that at most about a million remain."""
    n_voxels = float(np.prod(geometry.shape))
    step = max(1, int(np.ceil((n_voxels / _MOST_VOXELS) ** (1 / 3))))
    nz, ny, nx = (min(n, max(_LEAST_ALONG, n // step)) for n in geometry.shape)
    steps = [n / m for n, m in zip(geometry.shape[::-1], (nx, ny, nz), strict=True)]
    affine = geometry.affine.copy()
    affine[:3, :3] = affine[:3, :3] * np.array(steps)
    affine[:3, 3] = geometry.to_world([(s - 1) / 2 for s in steps])
    return Geometry((nz, ny, nx), affine, geometry.oriented)


def values_on(way: Transform, image: Image, onto: Geometry) -> Float[Tensor, "z y x"]:
    """The (first) volume of an image on a grid, none of it below 0; NaN, infinity and what lies outside are 0."""
    values = way.warp(unsigned(image), onto).values.float()
    return values.reshape(-1, *onto.shape)[0].nan_to_num(0.0, 0.0, 0.0)
