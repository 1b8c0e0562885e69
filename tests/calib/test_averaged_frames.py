"""Calibration of series whose frames differ much and have lines of their own: the block must agree with itself."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from spinecho.calib.averaging import frame_mean, frame_weights, mean_weights
from spinecho.calib.centre import calibration_blocks
from spinecho.calib.csm import estimate_csm, unexplained
from spinecho.calib.espirit import espirit
from spinecho.core.encoding import Encoding
from spinecho.core.geometry import Geometry
from spinecho.core.kspace import KSpace
from spinecho.ops.coils import Coils
from spinecho.ops.fourier import fft
from spinecho.sim.mask_spec import parse

N, T, COILS = 64, 24, 6
CURVES = {
    "bolus": lambda t: 0.2 + 6 * torch.exp(-((t - 0.4) / 0.08).square()) + 1.5 * (t > 0.45),
    "ramp": lambda t: 0.1 + 4 * t,
    "beat": lambda t: 1 + 0.9 * torch.sin(6 * torch.pi * t),
    "still": lambda t: torch.ones_like(t),
}


def images(kind: str) -> tuple[Tensor, Tensor]:
    """Frames (t, 1, y, x) of a quiet ring and two discs that brighten, the second later; and smooth coil maps."""
    y, x = torch.meshgrid(*(torch.linspace(-1, 1, N) for _ in range(2)), indexing="ij")
    times = torch.linspace(0, 1, T)
    ring = ((y.square() + x.square()) < 0.7).float() * (0.5 + 0.2 * torch.sin(9 * x))
    discs = [(((y - a).square() + (x - b).square()) < 0.08).float() for a, b in ((-0.3, 0.2), (0.35, -0.1))]
    curves = [CURVES[kind](times), CURVES[kind]((times - 0.15).clamp_min(0))]
    frames = ring + sum(c[:, None, None] * d for c, d in zip(curves, discs, strict=True))
    angle = torch.arange(COILS) * 2 * torch.pi / COILS
    place = torch.stack([1.4 * angle.sin(), 1.4 * angle.cos()], 1)
    away = (y - place[:, 0, None, None]).square() + (x - place[:, 1, None, None]).square()
    maps = torch.exp(-0.6 * away) * torch.exp(1j * (angle[:, None, None] + 0.8 * x * angle.cos()[:, None, None]))
    return frames[:, None].to(torch.complex64), (maps / maps.abs().square().sum(0).sqrt())[:, None].to(torch.complex64)


def series(kind: str, spec: str = "kt-random:4:6", seed: int = 0, sigma: float = 0.0) -> KSpace:
    frames, maps = images(kind)
    full = fft(frames[:, None] * maps)
    mask = parse(f"{spec}:{seed}").draw((1, N, N), T)
    noise = sigma * torch.randn(full.shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(seed))
    return KSpace(
        samples=(full + noise) * mask,
        mask=mask,
        encoding=Encoding.cartesian((1, N, N)),
        geometries=(Geometry.unknown((1, N, N)),),
        noise_cov=sigma**2 * torch.eye(COILS, dtype=torch.complex64),
        axes=("time",),
    )


@pytest.mark.parametrize("kind", list(CURVES))
@pytest.mark.parametrize("seed", [0, 100, 200])
def test_the_block_is_that_of_the_mean_over_time(kind, seed):
    kspace = series(kind, seed=seed)
    frames, maps = images(kind)
    truth = fft(frames.mean(0) * maps)
    samples, boxes = calibration_blocks(kspace)
    box = boxes.flat[0]
    got, wanted = samples[(0, slice(None), *box)], truth[(slice(None), *box)]
    lines = (got - wanted).abs().square().sum((0, 1, 3)).sqrt() / wanted.abs().square().sum((0, 1, 3)).sqrt()
    assert float(lines.square().mean().sqrt()) < 0.1 and float(lines.max()) < 0.25, lines
    assert len(lines) >= 8


@pytest.mark.parametrize("kind", list(CURVES))
@pytest.mark.parametrize("seed", [0, 100, 200])
def test_maps_explain_the_coil_images(kind, seed):
    kspace = series(kind, seed=seed, sigma=0.02)
    frames, maps = images(kind)
    csm = estimate_csm(kspace)[0]
    coil_images = frames.mean(0) * maps
    S = Coils(csm)
    left = coil_images - S(S.adjoint(coil_images))
    assert float(left.norm() / coil_images.norm()) < 0.05


def test_weights_by_closed_forms():
    """Of frames that are all alike each counts the same; of two kinds of frames, each kind as often as it is there."""
    has = torch.tensor([[1, 1, 1, 0], [1, 0, 1, 1], [1, 0, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1]]).bool()
    alike, error = mean_weights(torch.ones(4, 4), has)
    torch.testing.assert_close(alike[:3], has[:3] / has[:3].sum(1, keepdim=True), check_dtype=False)
    assert float(error[:3].max()) < 1e-6
    kinds = torch.tensor([[1.0, 0], [1, 0], [1, 0], [0, 1]])  # three frames of one kind, one of another
    two, error = mean_weights(kinds @ kinds.T, has)
    torch.testing.assert_close(two[1], torch.tensor([0.375, 0, 0.375, 0.25]).double(), atol=0.01, rtol=0)
    assert float(error[1]) < 0.02 < 0.3 < float(error[0]), "the other kind is missing there"
    assert not two[3].any() and torch.allclose(two[4], torch.full((4,), 0.25).double())
    torch.testing.assert_close(two[[0, 1, 2, 4]].sum(1), torch.ones(4).double())


@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_weights_do_not_depend_on_the_scale(scale):
    D = torch.randn(6, 20, generator=torch.Generator().manual_seed(0))
    has = torch.rand(9, 6, generator=torch.Generator().manual_seed(1)) < 0.6
    torch.testing.assert_close(mean_weights(scale * D @ D.T, has), mean_weights(D @ D.T, has))


def test_frames_with_no_line_in_common_are_averaged_as_they_are():
    samples = torch.randn(2, 3, 1, 4, 5, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    mask = (torch.arange(4) % 2 == torch.arange(2)[:, None]).reshape(2, 1, 1, 4, 1)
    torch.testing.assert_close(frame_mean(samples * mask, mask)[0], torch.where(mask[0], samples[0], samples[1]))
    assert frame_weights(samples * mask, mask)[1].all()


def test_a_dim_middle_seen_off_its_centre_keeps_its_maps():
    """Twelve lines below the centre and four above it: at the usual threshold the maps have a hole in the middle."""
    y, x = torch.meshgrid(*(torch.linspace(-1, 1, N) for _ in range(2)), indexing="ij")
    _, maps = images("still")
    shading = (y.square() + x.square()).clamp(0.02, 0.7)
    coil_images = ((y.square() + x.square()) < 0.75) * shading.square() * torch.exp(2j * y) * maps
    lines = torch.zeros(N, dtype=torch.bool)
    lines[N // 2 - 12 : N // 2 + 4] = True
    kspace = KSpace(
        samples=fft(coil_images) * lines[:, None],
        mask=lines.reshape(1, 1, N, 1),
        encoding=Encoding.cartesian((1, N, N)),
        geometries=(Geometry.unknown((1, N, N)),),
        noise_cov=torch.zeros(COILS, COILS, dtype=torch.complex64),
    )
    block = calibration_blocks(kspace)[0][(slice(None), *calibration_blocks(kspace)[1].flat[0])]
    found, plain = estimate_csm(kspace), espirit(block, (1, N, N))
    lost, before = (unexplained(block, m) for m in (found, plain))
    assert before > 0.03 and lost < 0.5 * before
    S = Coils(found)
    left = coil_images - S(S.adjoint(coil_images))
    assert float(left.norm() / coil_images.norm()) < 0.2


def test_what_maps_leave_out_is_a_share_of_energy():
    _, maps = images("still")
    block = fft(maps)[:, :, 24:40, 24:40]
    half = maps.clone()
    half[..., : N // 2, :] = 0
    nothing, all_of_it = unexplained(block, torch.zeros_like(maps)[None]), unexplained(block, maps[None])
    assert nothing == pytest.approx(1) and all_of_it < 0.03
    assert unexplained(block, half[None]) == pytest.approx(0.5, abs=0.05)
    assert unexplained(0 * block, maps[None]) == 0.0


def test_frames_without_signal_have_finite_weights():
    mask = torch.zeros(3, 1, 1, 8, 1, dtype=torch.bool)
    mask[..., 3:5, :] = True
    mask[0, ..., 0, :] = True
    mean = frame_mean(torch.zeros(3, 2, 1, 8, 4, dtype=torch.complex64), mask)
    assert torch.equal(mean, torch.zeros_like(mean))
