"""Calibration of series whose frames differ much and have lines of their own: the block must agree with itself."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from spinecho.calib.centre import calibration_blocks
from spinecho.calib.csm import estimate_csm
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
    assert float(lines.max()) < 0.1, lines


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
