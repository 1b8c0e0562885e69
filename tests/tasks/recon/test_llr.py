"""LLR on a beating, enhancing phantom: far better than frame by frame, with an automatic weight that fits."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from spinecho import KSpace, recon
from spinecho.calib.prepare import prepare
from spinecho.sim.scan import Scan, simulate_phantom
from spinecho.tasks.recon.methods.llr import Method, automatic_threshold, frame_axis


def series(sampling: str, snr: float = 30.0, n_frames: int = 8) -> KSpace:
    scan = Scan(matrix=(1, 48, 48), sampling=sampling, n_frames=n_frames, snr=snr, n_coils=5, fineness=1)
    return replace(simulate_phantom(scan).kspace, target=None)


@pytest.fixture(scope="module")
def truth() -> torch.Tensor:
    noisy = series("full")
    clean = replace(series("full", snr=float("inf")), noise_cov=noisy.noise_cov)
    return recon(clean, "zero_filled").values


def psnr(image, truth: torch.Tensor) -> float:
    return float(10 * torch.log10(truth.max() ** 2 / (image.values.abs() - truth).square().mean()))


@pytest.mark.parametrize("sampling", ["kt-random:5:8:1", "kt:5:8:1"])
def test_better_than_frame_by_frame(truth, sampling):
    under = series(sampling)
    assert psnr(recon(under, "llr"), truth) > psnr(recon(under, "cg_sense"), truth) + 4


def test_automatic_weight_is_near_the_best(truth):
    under = series("kt-random:5:8:1")
    best = max(psnr(recon(under, "llr", weight=w), truth) for w in (0.002, 0.005, 0.01))
    assert psnr(recon(under, "llr"), truth) > best - 0.7


def test_time_courses_are_kept(truth):
    """The enhancing disc brightens over the series, not all at once."""
    image = recon(series("kt-random:5:8:1"), "llr").values.abs()
    change = (truth[-1] - truth[0]).abs()
    moving = change > 0.3 * change.max()
    course, expected = image[:, moving[0][None].expand(1, 1, 48, 48)], truth[:, moving[0][None].expand(1, 1, 48, 48)]
    correlation = torch.corrcoef(torch.stack([course.flatten(), expected.flatten()]))[0, 1]
    assert correlation > 0.97


def test_slices_of_series_and_order_of_axes(truth):
    one = series("kt-random:5:8:1")
    geometry = one.geometries[0]
    affine = geometry.affine.copy()
    affine[:3, 3] += 10 * geometry.directions[:, 2]
    two = replace(
        one,
        samples=torch.stack([one.samples, one.samples], dim=1),
        mask=one.mask.unsqueeze(1),
        axes=("time", "slice"),
        geometries=(geometry, replace(geometry, affine=affine)),
    )
    assert frame_axis(two) == 0
    values = recon(two, "llr", n_iters=10).values
    alone = recon(one, "llr", n_iters=10).values
    assert torch.linalg.vector_norm(values[:, 0] - alone) < 1e-3 * torch.linalg.vector_norm(alone)


def test_threshold_follows_the_noise():
    quiet, loud = (prepare(series("kt:5:8:1", snr=s))[0] for s in (60.0, 15.0))
    assert automatic_threshold(loud, 8) == pytest.approx(4 * automatic_threshold(quiet, 8), rel=0.3)


def test_says_what_it_cannot_take():
    assert "1 frame " in (Method.refusal(series("full").part("time", 0)) or "")
    assert "2 frames" in (Method.refusal(series("full").narrow("time", 0, 2)) or "")
    radial = simulate_phantom(Scan(matrix=(1, 32, 32), sampling="radial:20", n_frames=4, n_coils=2, fineness=1)).kspace
    assert "trajectory" in (Method.refusal(radial) or "")
