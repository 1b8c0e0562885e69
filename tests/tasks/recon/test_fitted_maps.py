"""Coil maps fitted to all samples: planted errors are found, and what was right stays."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from spinecho.core.encoding import Encoding
from spinecho.core.geometry import Geometry
from spinecho.core.kspace import KSpace
from spinecho.ops.fourier import fft
from spinecho.tasks.recon.parts.fitted_maps import REACH, _Waves, continued, covered, fitted, unit_norm

SIZE = 48


def smooth(rng: torch.Generator, *batch: int, coils: int = 4, size: int = SIZE, periods: int = 2) -> torch.Tensor:
    """Fields (*batch, 1, coil, 1, size, size) of the lowest frequencies, about 1 in size."""
    grid = torch.arange(size) / size
    field = torch.zeros(*batch, 1, coils, 1, size, size, dtype=torch.complex64)
    for qy in range(-periods, periods + 1):
        for qx in range(-periods, periods + 1):
            wave = torch.polar(torch.ones(size, size), 2 * torch.pi * (qy * grid[:, None] + qx * grid))
            factor = torch.randn(*batch, 1, coils, 1, 1, 1, dtype=torch.complex64, generator=rng)
            field += factor * wave / (1 + qy**2 + qx**2)
    return field


def disc(radius: float, size: int = SIZE) -> torch.Tensor:
    grid = torch.arange(size) - size // 2
    return (grid[:, None] ** 2 + grid**2 <= radius**2)[None]


def lines(rng: torch.Generator, accel: int = 3, size: int = SIZE) -> torch.Tensor:
    mask = torch.rand(size, generator=rng) < 1 / accel
    mask[size // 2 - 4 : size // 2 + 4] = True
    return mask.reshape(1, 1, size, 1)


def scan(x: torch.Tensor, csm: torch.Tensor, mask: torch.Tensor, **kwargs) -> KSpace:
    return kspace_of(fft((csm * x.unsqueeze(-4)).sum(-5)) * mask, mask, **kwargs)


def kspace_of(samples: torch.Tensor, mask: torch.Tensor, axes: tuple[str, ...] = ()) -> KSpace:
    shape = (1, SIZE, SIZE)
    encoding = Encoding(matrix=shape, recon_matrix=shape, centre=(0, SIZE // 2, SIZE // 2))
    geometry = Geometry.unknown(shape)
    n = len(samples) if axes == ("slice",) else 1
    return KSpace(samples=samples, mask=mask, encoding=encoding, geometries=(geometry,) * n, axes=axes)


def planted(rng: torch.Generator, error: float = 0.2):
    """(scan, image, true maps, maps with a smooth error), all within a disc."""
    where = disc(20)
    true = unit_norm(smooth(rng) * where)
    wrong = unit_norm((true + error * smooth(rng)) * where)
    x = torch.randn(1, 1, SIZE, SIZE, dtype=torch.complex64, generator=rng) * where
    return scan(x, true, lines(rng)), x, true, wrong


def off(csm: torch.Tensor, true: torch.Tensor) -> float:
    return float((csm - true).abs().square().mean().sqrt() / true.abs().square().mean().sqrt())


def test_a_planted_error_is_found_from_undersampled_lines(rng):
    kspace, x, true, wrong = planted(rng)
    once = fitted(kspace, wrong, x)
    assert off(once, true) < 0.25 * off(wrong, true)
    assert off(fitted(kspace, once, x), true) < off(once, true)


def test_right_maps_stay(rng):
    kspace, x, true, _ = planted(rng)
    assert off(fitted(kspace, true, x), true) < 1e-5


def test_norm_is_one_and_zeros_stay(rng):
    kspace, x, _, wrong = planted(rng)
    maps = fitted(kspace, wrong, x)
    assert torch.equal(covered(maps), covered(wrong))
    norm = maps.abs().square().sum(-4, keepdim=True)
    torch.testing.assert_close(norm, covered(maps).float())


@pytest.mark.parametrize("scale", [1e-8, 1e6])
def test_the_scale_does_not_matter(rng, scale):
    kspace, x, _, wrong = planted(rng)
    other = replace(kspace, samples=kspace.samples * scale)
    torch.testing.assert_close(fitted(other, wrong, x * scale), fitted(kspace, wrong, x), rtol=1e-4, atol=1e-5)


def test_nothing_measured_changes_nothing(rng):
    kspace, x, _, wrong = planted(rng)
    empty = replace(kspace, samples=0 * kspace.samples)
    torch.testing.assert_close(fitted(empty, wrong, 0 * x), wrong)


def test_slices_are_fitted_apart(rng):
    both = [planted(rng) for _ in range(2)]
    mask = both[0][0].mask
    joined = kspace_of(torch.stack([scan(x, true, mask).samples for _, x, true, _ in both]), mask, ("slice",))
    x, wrong = torch.stack([b[1] for b in both]), torch.stack([b[3] for b in both])
    together = fitted(joined, wrong, x)
    for i, (_, image, true, maps) in enumerate(both):
        torch.testing.assert_close(together[i], fitted(scan(image, true, mask), maps, image), rtol=1e-4, atol=1e-5)


def test_frames_share_their_maps_and_tell_of_them_together(rng):
    kspace, x, true, wrong = planted(rng)
    masks = torch.stack([lines(rng) for _ in range(3)])
    images = torch.randn(3, *x.shape, dtype=torch.complex64, generator=rng) * disc(20)
    frames = kspace_of(fft((true * images.unsqueeze(-4)).sum(-5)) * masks, masks, ("time",))
    shared = wrong.expand(3, *wrong.shape)
    maps = fitted(frames, shared, images)
    assert maps.stride(0) == 0 and maps.shape == shared.shape
    assert off(maps[0], true) < 0.6 * off(fitted(kspace, wrong, x), true)


def test_maps_are_continued_beyond_their_rim_and_stay_within(rng):
    true = unit_norm(smooth(rng))
    known = true * disc(14)
    whole = continued(known)
    assert bool(covered(whole).all())
    torch.testing.assert_close(whole * disc(14), known, rtol=1e-5, atol=1e-6)
    ring = disc(17) & ~disc(14)
    assert off(whole * ring, true * ring) < 0.2
    torch.testing.assert_close(continued(whole), whole)


def test_continued_maps_of_frames_are_views_still(rng):
    known = (unit_norm(smooth(rng)) * disc(14)).expand(5, 1, 4, 1, SIZE, SIZE)
    assert continued(known).stride(0) == 0


@pytest.mark.parametrize("shape", [(1, 20, 33), (9, 16, 17), (1, 1, 40), (2, 3, 4)])
def test_waves_and_their_adjoint(rng, shape):
    waves = _Waves(torch.zeros(2, *shape, dtype=torch.complex128))
    sizes = [2 * min(REACH, (n - 1) // 2) + 1 for n in shape]
    u = torch.randn(2, *sizes, dtype=torch.complex128, generator=rng)
    d = torch.randn(2, *shape, dtype=torch.complex128, generator=rng)
    one, other = (waves(u).conj() * d).sum(), (u.conj() * waves.adjoint(d)).sum()
    torch.testing.assert_close(one, other)


def test_waves_are_those_of_the_centred_transform(rng):
    waves = _Waves(torch.zeros(1, 1, 12, 15, dtype=torch.complex128))
    u = torch.zeros(1, 1, 11, 15, dtype=torch.complex128)
    u[..., 5 + 2, 7 - 3] = 1
    spectrum = fft(waves(u))
    assert spectrum.abs().flatten().argmax() == (6 + 2) * 15 + 7 - 3
    assert float(spectrum.abs().square().sum()) == pytest.approx((1 + (4 + 9) / 9) ** -3)
