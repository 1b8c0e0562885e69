"""`self`: learns from the scan alone, the same each time, and brings back what B-splines cannot."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fine_heads import head, image, lost, psnr
from scipy.ndimage import gaussian_filter

import spinecho
from spinecho.core.geometry import Geometry
from spinecho.methods import registry
from spinecho.tasks.superres.base import Target
from spinecho.tasks.superres.parts.degrade import Degradation, along
from spinecho.tasks.superres.parts.spline import enlarged, spline

self_ = registry.load("superres", "self")
QUICK = {"most_steps": 12, "channels": 12, "width": 6, "blocks": 2, "batch": 4}
SLICES = Degradation("slices", 0.8)


def bars(shape: tuple[int, int, int] = (32, 48, 48)) -> torch.Tensor:
    """Sharp edges the same in all directions: what a scan's own slices can teach. (z, y, x), 0 to 1."""
    noise = np.random.default_rng(3).normal(size=shape)
    field = torch.from_numpy(gaussian_filter(noise, 3.0, mode="wrap")).float()
    return (field > 0).float() * 0.7 + (field > field.std()).float() * 0.3


def thick(axis: int = 0):
    truth = bars().movedim(0, axis).contiguous()
    shape = [n // 4 if a == axis else n for a, n in enumerate(truth.shape)]
    low, target = lost(truth, (shape[0], shape[1], shape[2]), SLICES)
    return truth, low, target


def made(low: torch.Tensor, target: Target, **settings) -> torch.Tensor:
    method = self_.Method(self_.Config(**{**QUICK, **settings}))
    return method(low, target).values


def test_it_beats_interpolation_on_sharp_edges():
    truth, low, target = thick()
    values = made(low, target, most_steps=80, rate=1e-2)
    assert psnr(values[0], truth) > psnr(enlarged(low, truth.shape)[0], truth) + 0.3


@pytest.mark.parametrize("axis", [1, 2])
def test_the_thick_axis_may_be_any(axis):
    """Turned in, turned out: the axes of a slice are learned from alike."""
    _, low, target = thick()
    one = made(low, target)
    _, other_low, other_target = thick(axis)
    torch.testing.assert_close(other_low, low.movedim(1, axis + 1))
    torch.testing.assert_close(made(other_low, other_target), one.movedim(1, axis + 1), rtol=1e-4, atol=1e-5)


def test_the_same_scan_gives_the_same_and_another_seed_another():
    _, low, target = thick()
    state = torch.get_rng_state()
    with torch.inference_mode():
        one, again = made(low, target), made(low, target)
    assert torch.equal(one, again) and torch.equal(torch.get_rng_state(), state), "nothing global is drawn from"
    assert not torch.equal(one, made(low, target, seed=1))


def test_its_lessons_are_the_scans_own_slices_put_through_thick_slices():
    own = bars((8, 20, 24))
    (low_y, high_y), (low_x, high_x) = self_.lessons(own, SLICES, 4.0)
    assert torch.equal(high_y, own) and torch.equal(high_x, own.transpose(1, 2))
    blurred = along(own, [None, SLICES.matrix(5, 20), None])
    torch.testing.assert_close(low_y, along(blurred, [None, spline(5, 20), None]))
    assert low_x.shape == (8, 24, 20)


def test_patches_belong_together_and_are_seldom_dark():
    own = torch.zeros(6, 40, 40)
    own[:, 20:] = 1
    pairs = self_.lessons(own, SLICES, 4.0)
    low, high = self_.patches(pairs, 16, 64, torch.Generator().manual_seed(0))
    assert low.shape == high.shape == (64, 1, 16, 16)
    assert float((high.mean((1, 2, 3)) > 0.05).float().mean()) > 0.95
    assert float((low - high).abs().mean()) < 0.1


def test_progress_is_told_and_how_much_was_learned():
    _, low, target = thick()
    steps: list[tuple[int, int]] = []
    told = Target(target.geometry, target.shape, target.degradations, lambda done, total: steps.append((done, total)))
    result = self_.Method(self_.Config(**QUICK))(low, told)
    assert steps == [(i + 1, 12) for i in range(12)]
    assert result.told[0].startswith("learned in 12 steps, ") and "dB over B-splines" in result.told[0]


def test_a_small_scan_is_learned_from_in_few_steps():
    _, low, target = thick()
    steps: list[int] = []
    told = Target(target.geometry, target.shape, target.degradations, lambda done, total: steps.append(total))
    self_.Method(self_.Config(**{**QUICK, "most_steps": 10_000, "passes": 2.0, "patch": 24}))(low, told)
    assert steps[0] == 2 * low.numel() // (4 * 24 * 24)


def test_the_public_function_makes_it_agree_with_the_thick_slices():
    _, low, target = thick()
    scan = image(low[0], target.geometry)
    result = spinecho.superres(scan, "self", thickness_mm=3.2, **QUICK)
    again = along(result.values, [SLICES.matrix(8, 32), None, None])
    torch.testing.assert_close(again, low, rtol=0, atol=1e-4)
    (warning,) = result.header.warnings
    assert "what lay between them was not measured" in warning


def test_what_it_cannot_learn_from_it_refuses():
    refusal = self_.Method.refusal
    _, low, target = thick()
    assert refusal(low, target) is None
    small = Target(Geometry.unknown((8, 12, 48), (1, 1, 4)), (32, 12, 48), (SLICES, None, None))
    assert "fewer than 20 pixels" in refusal(low[:, :, :12], small)
    coarse = Target(Geometry.unknown((8, 48, 48), (1, 1, 12)), (32, 48, 48), (SLICES, None, None))
    assert "not about 3 mm wide" in refusal(low, coarse)
    both = Target(target.geometry, (32, 96, 48), (SLICES, SLICES, None))
    other = Target(target.geometry, target.shape, (Degradation("kspace"), None, None))
    assert all("along one axis alone" in refusal(low, t) for t in (both, other))
    assert refusal(head((8, 48, 48))[None], target) is None
