"""What networks are trained on: ssim as the metric computes it, no scale, finite derivatives."""

from __future__ import annotations

import pytest
import torch
from skimage.metrics import structural_similarity

from spinecho.metrics.image import ssim_fastmri
from spinecho.nets.losses import image_loss, ssim


def pair(*batch: int, size=(31, 40), seed=0):
    """A truth and a prediction that is 10 % off, (*batch, 1, 1, y, x)."""
    rng = torch.Generator().manual_seed(seed)
    truth = torch.rand(*batch, 1, 1, *size, generator=rng)
    return truth, truth + 0.1 * torch.randn(truth.shape, generator=rng)


def test_ssim_is_the_metric_and_that_of_scikit_image():
    truth, found = pair()
    value = float(ssim(found, truth))
    assert value == pytest.approx(ssim_fastmri(truth[0], found[0]), abs=1e-5)
    other = structural_similarity(
        truth[0, 0].numpy(), found[0, 0].numpy(), win_size=7, data_range=float(truth.max()), use_sample_covariance=True
    )
    assert value == pytest.approx(other, abs=1e-4)


def test_ssim_of_a_batch_is_the_mean():
    truth, found = pair(3)
    apart = [float(ssim(a[None], b[None])) for a, b in zip(found, truth, strict=True)]
    assert float(ssim(found, truth)) == pytest.approx(sum(apart) / 3, abs=1e-5)


def test_zero_for_the_truth_with_any_phase():
    truth, _ = pair()
    assert float(image_loss(truth, truth)) == pytest.approx(0, abs=1e-5)
    turned = torch.polar(truth, torch.linspace(0, 9, truth.numel()).view_as(truth))
    assert float(image_loss(turned, truth)) == pytest.approx(0, abs=1e-4)


def test_relative_distance_and_a_share_of_ssim():
    truth, found = pair()
    distance = float((found.abs() - truth).norm() / truth.norm())
    assert float(image_loss(found, truth, ssim_weight=0)) == pytest.approx(distance, rel=1e-5)
    extra = 0.5 * (1 - float(ssim(found.abs(), truth)))
    assert float(image_loss(found, truth, ssim_weight=0.5)) == pytest.approx(distance + extra, rel=1e-4)


@pytest.mark.parametrize("factor", [1e-8, 1e4])
def test_scale_does_not_matter(factor):
    truth, found = pair(2)
    scaled = image_loss(found * factor, truth * factor)
    assert float(scaled) == pytest.approx(float(image_loss(found, truth)), rel=1e-4)


def test_images_of_different_brightness_count_alike():
    truth, found = pair(2)
    bright = torch.tensor([1.0, 1000.0]).view(2, 1, 1, 1, 1)
    assert float(image_loss(found * bright, truth * bright)) == pytest.approx(float(image_loss(found, truth)), rel=1e-4)


@pytest.mark.parametrize("start", ["zero", "truth", "beside"])
def test_derivatives_are_finite(start):
    truth, found = pair()
    x = {"zero": torch.zeros_like(truth), "truth": truth.clone(), "beside": found}[start].to(torch.complex64)
    x.requires_grad_()
    image_loss(x, truth).backward()
    assert x.grad is not None and torch.isfinite(torch.view_as_real(x.grad)).all()


def test_downhill_is_toward_the_truth():
    truth, found = pair(size=(12, 12))
    x = found.clone().requires_grad_()
    (slope,) = torch.autograd.grad(image_loss(x, truth), x)
    nearer = found - 0.02 * float(truth.norm()) * slope / slope.norm()
    assert float(image_loss(nearer, truth)) < float(image_loss(found, truth)) - 0.01
    assert float((nearer - truth).norm()) < float((found - truth).norm())
