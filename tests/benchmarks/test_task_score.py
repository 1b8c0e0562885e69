"""The task score: what was lost comes back in its place, and shares of a loss are what they say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from benchmarks.switches import SLICES, middle
from benchmarks.task_score import Scored, coarse, known, noisy, page, sliced

from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.metrics.head import brightness

SHAPE = (31, 40, 38)


@pytest.fixture(scope="module")
def smooth():
    """A ball with soft borders on an oblique grid of 1 mm."""
    z, y, x = torch.meshgrid(*(torch.linspace(-1, 1, n) for n in SHAPE), indexing="ij")
    values = torch.sigmoid(8 * (0.7 - (z.square() + y.square() + (x - 0.2).square()).sqrt()))
    affine = np.eye(4)
    affine[:3, 3] = [5.0, -7.0, 11.0]
    return Image(values=values[None], geometries=(Geometry(SHAPE, affine),))


@pytest.mark.parametrize("factor", [2, 3])
def test_pixels_that_were_lost_come_back_in_place(smooth, factor):
    made = coarse(smooth, factor, ["multiscale", "bspline"])
    assert next(iter(made)) == "bspline", "what is left without a method comes first"
    back = made["bspline"]()
    y, x = (n // factor * factor for n in SHAPE[1:])
    assert back.geometry.matches(smooth.geometry)
    error = (back.values - smooth.values)[..., 2 : y - 2, 2 : x - 2]
    assert float(error.square().mean().sqrt()) < 0.03
    assert not bool(back.values[..., y:, :].any())


def test_slices_that_were_lost_come_back_in_place(smooth):
    back = sliced(smooth, ["bspline"])["bspline"]()
    error = (back.values - smooth.values)[:, 3:27]
    shifted = (back.values.roll(1, 1) - smooth.values)[:, 3:27]
    assert float(error.square().mean()) < 0.5 * float(shifted.square().mean())


def test_noise_is_in_units_of_brightness_and_repeats(smooth):
    one, again = (noisy(smooth, 0.1, ["wavelet", "bspline"]) for _ in range(2))
    assert list(one) == ["noisy", "wavelet"], "methods of other tasks are left out"
    assert torch.equal(one["noisy"]().values, again["noisy"]().values)
    air = smooth.values < 1e-3
    level = float(one["noisy"]().values[air].square().mean()) ** 0.5 / 2**0.5
    assert level == pytest.approx(0.1 * float(brightness(smooth.values[0])), rel=0.1)


def test_shares_of_the_loss():
    rows = [
        Scored("a", 0.8, {"none": 0.5, "half": 0.65, "all": 0.8}),
        Scored("a", 0.9, {"none": 0.6, "half": 0.75, "all": 0.9}),
    ]
    text = page(rows, "made so")
    assert "| a | 2 | `none` | 0.850 | 0.550 | 0 % |" in text
    assert "| `half` | 0.850 | 0.700 | 50 % |" in text and "| 100 % |" in text
    assert "–" in page([Scored("b", 0.8, {"none": 0.799, "m": 0.8})], "")


@pytest.mark.parametrize("part", ["validate", "test"])
def test_the_heads_of_both_kinds_are_there(shared_data, part):
    heads = known(shared_data, part, 2, ("t1",))
    files = [*heads["rendered"].maps, *heads["real"].images]
    assert len(files) == 4 and all(file.is_file() for file in files)
    assert all((heads["real"].labels / file.name).is_file() for file in heads["real"].images)
    assert not set(files) & {*known(shared_data, "train", 99, ("t1",))["real"].images}


def test_the_middle_of_a_head_keeps_its_voxels(smooth):
    tall = Image(values=torch.arange(60.0).reshape(1, 60, 1, 1), geometries=(Geometry((60, 1, 1), np.eye(4)),))
    assert middle(tall).values.flatten().tolist() == list(range(6, 6 + SLICES))
    assert middle(smooth).values.shape == smooth.values.shape
    assert middle(smooth).geometry.voxel_mm == smooth.geometry.voxel_mm
