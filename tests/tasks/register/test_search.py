"""A global start: shifts within reach are found at once, both ways alike, and equal images stay where they are."""

from __future__ import annotations

import numpy as np
import torch
from heads import head
from hypothesis import given, settings
from hypothesis import strategies as st

from spinecho.core.field import flow, moved, sampling_grid
from spinecho.core.geometry import Geometry
from spinecho.ops.windows import enlarged, gaussian
from spinecho.tasks.register.parts.features import mind
from spinecho.tasks.register.parts.search import searched

N = 24
MIDDLE = (slice(None), *[slice(3, 9)] * 3)
"""Of the blocks"""


def noise(seed: int, channels: int = 2, n: int = N) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return gaussian(torch.randn(channels, n, n, n, generator=generator), 1.0, "edge")


def shifted(features: torch.Tensor, by: tuple[int, int, int]) -> torch.Tensor:
    """What lies at p in the features lies at p + by (x, y, z) in these."""
    return features.roll(by, (3, 2, 1))


@settings(max_examples=10, deadline=None)
@given(st.tuples(*[st.integers(-3, 3)] * 3), st.integers(0, 100))
def test_a_shift_within_reach_is_found_in_blocks(by, seed):
    fixed = noise(seed)
    found = searched(fixed, shifted(fixed, by), 3)
    assert found.shape == (3, N // 2, N // 2, N // 2)
    wanted = torch.tensor(by).view(3, 1, 1, 1) / 2
    assert float((found - wanted)[MIDDLE].abs().mean()) < 0.1


def test_blocks_of_another_size_find_the_same_millimetres():
    fixed = noise(1)
    found = searched(fixed, shifted(fixed, (2, -1, 3)), 3, 4)
    assert found.shape == (3, 6, 6, 6)
    torch.testing.assert_close(found[:, 2, 2, 2], torch.tensor([2.0, -1.0, 3.0]) / 4, atol=0.1, rtol=0)


def test_nothing_is_moved_beyond_the_reach_and_equal_images_not_at_all():
    fixed = noise(2)
    assert not searched(fixed, fixed, 2).any()
    assert float(searched(fixed, noise(3), 2).abs().max()) <= 2 / 2 + 1e-6
    assert not searched(torch.zeros_like(fixed), torch.zeros_like(fixed), 2).any()


def test_images_exchanged_change_the_sign():
    fixed, moving = noise(4), shifted(noise(4), (1, 2, -2))
    torch.testing.assert_close(searched(moving, fixed, 3), -searched(fixed, moving, 3))


def test_noise_is_smoothed_over():
    fixed = noise(5)
    moving = shifted(fixed, (2, 0, -1)) + 0.05 * torch.randn(fixed.shape, generator=torch.Generator().manual_seed(6))
    wanted = torch.tensor([1.0, 0.0, -0.5]).view(3, 1, 1, 1)
    assert float((searched(fixed, moving, 3) - wanted)[MIDDLE].abs().mean()) < 0.15


def test_a_bent_head_of_another_contrast_comes_nearer():
    """MIND of a head and of its bent negative, as `hybrid` uses it."""
    moving = head(geometry=Geometry.from_frame((0, 0, 0), np.eye(3), (1, 1, 1), (N, N, N))).values / 100
    grid = sampling_grid((N, N, N), moving)
    bump = torch.zeros(3, N, N, N)
    bump[0, 12, 12, 10], bump[2, 10, 12, 14] = 1, -1
    bump = gaussian(bump, 4.0)
    field = flow(bump * (2.5 / bump.abs().max()), grid)
    fixed = moved(moving, field, grid)
    negative = (1 - moving) * (moving > 0.05)
    found = enlarged(searched(mind(fixed), mind(negative), 4), 2) * 2
    inside = fixed[0] > 0.3
    left = (flow(found, grid) - field).square().sum(0).sqrt()[inside]
    assert float(left.mean()) < 0.6 * float(field.square().sum(0).sqrt()[inside].mean())
