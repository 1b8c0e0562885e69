"""Which voxels of a grid lie inside another one: where an image has something to say."""

from __future__ import annotations

import torch
from jaxtyping import Bool
from torch import Tensor

from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.core.transform import Transform


def seen(transform: Transform, onto: Geometry, geometry: Geometry) -> Bool[Tensor, "z y x"]:
    """The voxels of `onto` that a transform sends into the grid `geometry`, half a voxel about it included."""
    ones = torch.ones((), dtype=torch.uint8).expand(1, *geometry.shape)
    return transform.warp(Image(values=ones, geometries=(geometry,)), onto, "nearest").values[0] > 0
