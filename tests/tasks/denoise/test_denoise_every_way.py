"""Slices in three directions: the mean of them, only where voxels are nearly cubes, and better than one of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from noisy_heads import head

import spinecho
from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.metrics.head import psnr_head

SHAPE = (26, 40, 36)
CLEAN = head(SHAPE).abs().float()
SIGMA = 0.09 * float(CLEAN.max())


def noisy(voxel_mm=(1.0, 1.0, 1.0), shape=SHAPE):
    rng = torch.Generator().manual_seed(0)
    a, b = (SIGMA * torch.randn(CLEAN.shape, generator=rng) for _ in range(2))
    values = torch.hypot(CLEAN + a, b)[:, : shape[0], : shape[1], : shape[2]]
    return Image(values=values, geometries=(Geometry(shape, np.diag([*voxel_mm, 1.0])),))


def denoised(image, every_way=True, method="unet25d"):
    return spinecho.denoise(image, method, sigma=SIGMA, noise="rician", every_way=every_way)


def in_order(image, way):
    x = image.values.permute(way).contiguous()
    turned = Image(values=x, geometries=(Geometry(tuple(x.shape[1:]), np.eye(4)),))
    return denoised(turned, every_way=False).values.permute(way)


def test_it_is_the_mean_of_three_directions():
    ways = [in_order(noisy(), way) for way in ((0, 1, 2, 3), (0, 2, 1, 3), (0, 3, 2, 1))]
    torch.testing.assert_close(denoised(noisy()).values, sum(ways) / 3, rtol=1e-4, atol=1e-5)


def test_it_is_nearer_to_the_truth_than_one_direction():
    one, three = (psnr_head(denoised(noisy(), every).values, CLEAN) for every in (False, True))
    assert three > one + 0.1


@pytest.mark.parametrize("method", ["unet25d", "auto"])
def test_it_says_so(method):
    assert any("three directions" in line for line in denoised(noisy(), method=method).header.history)
    assert not any("directions" in line for line in denoised(noisy(), False, method).header.history)


@pytest.mark.parametrize(
    ("voxel_mm", "shape"), [((1.0, 1.0, 1.6), SHAPE), ((1.0, 1.0, 1.0), (20, 40, 36)), ((1.0, 1.0, 1.0), (1, 40, 36))]
)
def test_thick_and_few_slices_go_through_as_they_are(voxel_mm, shape):
    image = noisy(voxel_mm, shape)
    assert torch.equal(denoised(image).values, denoised(image, every_way=False).values)


def test_methods_of_volumes_are_left_alone():
    image = noisy()
    for method in ("unet", "wavelet"):
        assert torch.equal(denoised(image, True, method).values, denoised(image, False, method).values)
