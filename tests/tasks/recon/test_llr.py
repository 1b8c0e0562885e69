"""LLR on a beating, enhancing phantom: far better than frame by frame, with an automatic weight that fits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from spinecho import KSpace, recon
from spinecho.calib.csm import estimate_csm
from spinecho.calib.prepare import prepare
from spinecho.core.geometry import Geometry
from spinecho.sim.moving import Beat, Uptake, arriving, arterial, beating, concentration
from spinecho.sim.scan import Scan, measure, simulate_phantom
from spinecho.tasks.recon.methods import llr as module
from spinecho.tasks.recon.methods.llr import Config, Method, automatic_threshold, frame_axis


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


def scene(moves: bool, snr: float) -> KSpace:
    """A disc with waves, whose middle shrinks and grows, or takes up a contrast agent."""
    rng = torch.Generator().manual_seed(2)
    y, x = torch.meshgrid(*(torch.linspace(-1, 1, 96) for _ in range(2)), indexing="ij")
    far = (y.square() + x.square()).sqrt()
    if moves:
        picture = (far < 0.85).float() * (0.6 + 0.3 * torch.sin(17 * x) * torch.cos(13 * y) + 0.3 * (far < 0.4))
        frames = beating(picture, Beat(squeeze=0.6, reach=0.9, beats=2, twist=0.3), 12)
    else:
        times = torch.arange(12.0) * 5
        curve = concentration(Uptake(plasma=0.1, transfer=0.4), arterial(times, 10, 3, 5), times)
        tissues = (far < 0.85).long() + (far < 0.3).long()
        frames = arriving(tissues, {0: 1.0, 1: 900.0, 2: 1200.0}, {0: 0.0, 1: 0.8, 2: 1.0}, {2: curve})
    scan = Scan(
        matrix=(1, 96, 96), sampling="kt-random:5:8:1", n_frames=12, snr=snr, n_coils=5, fineness=1, contrast="t2"
    )
    grid = Geometry.from_frame((0, 0, 0), np.eye(3), (3, 3, 5), (1, 96, 96))
    return measure(frames, grid, scan, rng, note="a disc").kspace


def factor(image) -> float:
    (told,) = (line for line in image.header.history if line.startswith("llr: threshold"))
    return float(told.split()[2])


def test_a_moving_scene_gets_a_larger_threshold_than_the_noises():
    """Its aliases are more than noise: left-out lines tell, and the image gains."""
    scan = scene(moves=True, snr=1000)
    image = recon(scan, "llr")
    assert factor(image) >= 2 and any("by lines left out" in line for line in image.header.history)
    assert scan.target is not None
    least = replace(Config(), weight=None)
    prepared = prepare(scan)[0]
    csm = estimate_csm(prepared)
    from_noise = module.solved(prepared, csm, least, automatic_threshold(prepared, least.block)).abs()
    scale = image.values.abs().mean() / from_noise.mean()
    assert psnr(image, scan.target) > psnr(replace(image, values=scale * from_noise), scan.target) + 0.5
    assert psnr(image, scan.target) > 36.2  # 35.3 with maps from lines that contradict


def test_where_contrast_alone_changes_the_noise_decides():
    assert factor(recon(scene(moves=False, snr=60), "llr")) == 1


def test_a_threshold_of_ones_own_is_taken_and_nothing_is_tried():
    image = recon(series("kt-random:5:8:1"), "llr", weight=0.005, n_iters=5)
    assert not any(line.startswith("llr: threshold") for line in image.header.history)


def test_where_no_line_can_be_spared_the_noise_decides():
    scan = series("kt-random:5:8:1")
    few = torch.zeros_like(scan.mask)
    few[..., 20:28, :] = True
    image = recon(replace(scan, mask=scan.mask & few, samples=scan.samples * few), "llr", n_iters=3)
    assert any("since there are too few lines" in line for line in image.header.history)


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
