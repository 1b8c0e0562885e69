"""Scores in units of the head's own brightness: closed forms, one bright vessel changes nothing, air does not count."""

from __future__ import annotations

import math

import pytest
import torch

from spinecho.metrics.head import brightness, psnr_head, ssim_head
from spinecho.metrics.inside import psnr_inside, ssim_inside


def ball(n=64):
    y, x = torch.meshgrid(*[torch.linspace(-1, 1, n)] * 2, indexing="ij")
    plane = (torch.hypot(x, y) < 0.7).float()
    return torch.stack([plane, plane * (1 - 0.2 * torch.sin(12 * x))])


def test_the_brightest_voxels_do_not_decide():
    truth = ball()
    spotted = truth.clone()
    spotted[0, 32, 32] = 3
    assert brightness(spotted) == pytest.approx(brightness(truth), rel=0.02)


def test_psnr_is_that_of_the_error_inside():
    truth = ball()
    wrong = truth + 0.01
    assert psnr_head(truth, wrong) == pytest.approx(20 * math.log10(brightness(truth) / 0.01), abs=1e-4)
    outside = truth.clone()
    outside[:, :3] += 1
    assert psnr_head(truth, outside) == math.inf


def test_scale_and_unit_do_not_matter():
    truth = ball()
    wrong = truth + 0.05 * torch.randn(truth.shape, generator=torch.Generator().manual_seed(0))
    for factor in (1e-6, 1e6):
        assert psnr_head(truth * factor, wrong * factor) == pytest.approx(psnr_head(truth, wrong), abs=1e-3)
        assert ssim_head(truth * factor, wrong * factor) == pytest.approx(ssim_head(truth, wrong), abs=1e-4)


def test_where_the_brightness_is_the_maximum_both_protocols_agree():
    flat = ball()[:1]
    wrong = flat + 0.05 * torch.randn(flat.shape, generator=torch.Generator().manual_seed(0))
    assert psnr_head(flat, wrong) == pytest.approx(psnr_inside(flat, wrong), abs=1e-4)
    assert ssim_head(flat, wrong) == pytest.approx(ssim_inside(flat, wrong), abs=1e-6)


def test_an_empty_volume_has_no_score():
    nothing = torch.zeros(2, 32, 32)
    assert math.isnan(psnr_head(nothing, nothing)) and math.isnan(ssim_head(nothing, nothing))
    assert math.isnan(brightness(nothing))
