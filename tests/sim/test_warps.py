"""Warps of known size without folds, bias fields and noise."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.interpolate import voxel_grid
from spinecho.sim.noise import object_mean
from spinecho.sim.warps import (
    MARGIN_MM,
    degrade,
    sample_affine,
    sample_bias,
    sample_warp,
    smooth_noise,
)


def oblique(shape: tuple[int, int, int] = (16, 20, 14)) -> Geometry:
    turn = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, -1.0]])
    return Geometry.from_frame([5.0, -30.0, 12.0], turn, (3.0, 2.5, 4.0), shape)


@pytest.mark.parametrize("max_mm", [2.0, 8.0])
def test_a_warp_is_as_large_as_asked_folds_nowhere_and_has_its_inverse(rng: torch.Generator, max_mm: float) -> None:
    onto = oblique()
    warp = sample_warp(onto, max_mm, rng)
    assert float(warp.field.norm(dim=0).max()) == pytest.approx(max_mm, rel=0.011)
    assert float(warp.jacobian(warp.geometry).min()) > 0.05
    points = torch.from_numpy(onto.to_world(voxel_grid(onto.shape).reshape(-1, 3).numpy()))
    back = (warp.inverse()(warp(points)) - points).norm(dim=-1)
    assert float(back.max()) < 0.15
    assert float((warp(points) - points).norm(dim=-1).mean()) > 0.1 * max_mm


def test_a_warp_covers_the_image_and_fades_to_nothing_at_its_own_rim(rng: torch.Generator) -> None:
    onto = oblique()
    warp = sample_warp(onto, 5.0, rng)
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)]) * (np.array(onto.shape)[::-1] - 1)
    inside = warp.geometry.to_voxel(onto.to_world(corners)) * 2.0
    room = np.minimum(inside, (np.array(warp.geometry.shape)[::-1] - 1) * 2.0 - inside)
    assert room.min() >= MARGIN_MM - 4
    assert float(warp.field[:, 0].abs().max()) < 1e-6


def test_the_same_seed_gives_the_same_warp_and_nothing_gives_nothing() -> None:
    onto = oblique()
    first, second = (sample_warp(onto, 4.0, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first.field, second.field)
    assert not sample_warp(onto, 0.0, torch.Generator().manual_seed(3)).field.any()


def test_a_warp_that_would_fold_is_refused(rng: torch.Generator) -> None:
    with pytest.raises(DataError, match="folds"):
        sample_warp(oblique(), 60.0, rng, scales_mm=(6.0,))


def test_affines_stay_within_their_limits_and_turn_about_the_centre(rng: torch.Generator) -> None:
    centre = (40.0, -20.0, 10.0)
    for _ in range(20):
        matrix = sample_affine(rng, centre, turn_deg=10, shift_mm=0, scale=0.1).matrix
        np.testing.assert_allclose(matrix[:3, :3] @ centre + matrix[:3, 3], centre, atol=1e-9)
        sizes = np.linalg.svd(matrix[:3, :3])[1]
        assert sizes.min() >= 1 / 1.1 - 1e-9
        assert sizes.max() <= 1.1 + 1e-9
    rigid = sample_affine(rng, centre, scale=0.0).matrix[:3, :3]
    np.testing.assert_allclose(rigid @ rigid.T, np.eye(3), atol=1e-12)
    assert math.degrees(math.acos((np.trace(rigid) - 1) / 2)) <= 3**0.5 * 10
    sheared = sample_affine(rng, centre, turn_deg=0, scale=0, shear=0.2).matrix[:3, :3]
    assert 0 < np.abs(np.triu(sheared, 1)).max() <= 0.2


def test_noise_is_as_smooth_as_asked(rng: torch.Generator) -> None:
    field = smooth_noise((48, 48, 48), 3.0, rng, 1)[0, 10:-10, 10:-10, 10:-10]
    neighbours = float((field[1:] * field[:-1]).mean() / field.square().mean())
    assert neighbours == pytest.approx(math.exp(-1 / (4 * 9)), abs=0.02)  # the autocorrelation of a Gaussian


def test_bias_is_smooth_positive_and_of_its_strength(rng: torch.Generator) -> None:
    bias = sample_bias(oblique((40, 40, 40)), rng, 0.3)
    assert float(bias.log().abs().max()) == pytest.approx(0.3, rel=0.05)
    assert float(bias.diff(dim=0).abs().max()) < 0.05


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e6])
def test_noise_follows_the_image_whatever_its_scale(rng: torch.Generator, scale: float) -> None:
    values = torch.zeros(30, 30, 30)
    values[5:-5, 5:-5, 5:-5] = scale
    found = degrade(values, oblique((30, 30, 30)), rng, snr=20, bias=0.1)
    assert float(found.min()) >= 0
    air = found[:4]
    assert float(air.square().mean().sqrt()) == pytest.approx(2**0.5 * scale / 20, rel=0.15)  # Rayleigh
    assert object_mean(found) == pytest.approx(scale, rel=0.15)
