"""Slices that are taken apart, because one was sampled otherwise or memory is short, are as they are together."""

from __future__ import annotations

import math

import pytest
import torch

from spinecho import recon
from spinecho.calib.object_noise import object_noise, object_noises
from spinecho.core.encoding import Encoding
from spinecho.core.errors import DoubtfulResult
from spinecho.core.geometry import Geometry
from spinecho.core.kspace import KSpace
from spinecho.ops.fourier import fft, ifft
from spinecho.sim.mask import equispaced_lines
from spinecho.tasks.recon import slices

N_Y, N_X = 40, 96


def coil_images(*batch: int, z: int = 1) -> torch.Tensor:
    """Squares seen by four coils."""
    rng = torch.Generator().manual_seed(0)
    y, x = torch.linspace(-1, 1, N_Y)[:, None], torch.linspace(-1, 1, N_X)
    inside = (y.abs() < 0.6) & (x.abs() < 0.5)
    image = inside * (1 + 0.3 * torch.rand(*batch, 1, z, N_Y, N_X, generator=rng))
    corners = [(-1, -1), (-1, 1), (1, -1), (1, 1)]
    maps = [torch.exp(-((y - a).square() + (x - b).square()) / 2 + 1j * (a * y + b * x)) for a, b in corners]
    return image * torch.stack(maps)[:, None]


def blanked(n: int = 3) -> KSpace:
    """Slices whose air along the readout somebody has made quiet."""
    rng = torch.Generator().manual_seed(1)
    noise = 0.05 * torch.randn(n, 4, 1, N_Y, N_X, dtype=torch.complex64, generator=rng)
    quiet = torch.full((N_X,), 0.05)
    quiet[N_X // 4 : -N_X // 4] = 1
    samples = fft(coil_images(n)) + fft(ifft(noise, (-1,)) * quiet, (-1,))
    return scan(samples, equispaced_lines(N_Y, 2, 10).expand(n, 1, 1, N_Y, 1), ("slice",))


def scan(samples: torch.Tensor, mask: torch.Tensor, axes: tuple[str, ...]) -> KSpace:
    grid = (samples.shape[-3], samples.shape[-2], samples.shape[-1])
    n = samples.shape[axes.index("slice")] if "slice" in axes else 1
    places = (Geometry.unknown(grid),) * n
    return KSpace(samples=samples * mask, mask=mask, encoding=Encoding.cartesian(grid), geometries=places, axes=axes)


def off(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).norm() / b.norm())


def test_the_noise_of_the_object_outlives_a_division():
    whole = blanked()
    settled = slices.settled(whole)
    assert float(object_noises(whole).min()) > 2 * math.sqrt(float(settled.noise_cov[0, 0].real))
    torch.testing.assert_close(object_noises(settled), object_noises(whole))
    for i in range(3):
        part = settled.part("slice", i)
        assert object_noise(part) == pytest.approx(float(object_noises(whole)[i]))
        assert torch.equal(slices.settled(part).samples, part.samples)


def test_a_slice_sampled_otherwise_changes_no_other():
    whole = blanked()
    mask = whole.mask.clone()
    mask[2, :, :, N_Y // 2 - 1 : N_Y // 2 + 1] = False
    changed = scan(whole.samples, mask, whole.axes)
    plain = recon(whole, "l1_wavelet").values
    with pytest.warns(DoubtfulResult, match="slice 3 of 3"):
        other = recon(changed, "l1_wavelet").values
    assert off(other[:2], plain[:2]) < 1e-3


def test_little_memory_changes_nothing(monkeypatch):
    whole = blanked()
    monkeypatch.setattr(slices, "_fitting", lambda kspace, n: 1)
    small = recon(whole, "hqs_net").values
    monkeypatch.undo()
    assert off(small, recon(whole, "hqs_net").values) < 1e-3


@pytest.mark.parametrize("n_slabs", [2, 4])
def test_slabs_keep_their_own_noise(n_slabs):
    noise = 0.02 * torch.randn(
        n_slabs, 4, 4, N_Y, N_X, dtype=torch.complex64, generator=torch.Generator().manual_seed(2)
    )
    noise[0] *= 5
    slabs = scan(fft(coil_images(n_slabs, z=4)) + noise, equispaced_lines(N_Y, 2, 10), ("slice",))
    levels = torch.linspace(1, 2, n_slabs)[:, None, None]
    known = slices.split(KSpace(**{**vars(slabs), "noise_cov": torch.eye(4, dtype=torch.complex64) * levels}), -3)[0]
    assert known.axes == ("slice", "partition") and known.noise_cov.shape == (n_slabs, 1, 4, 4)
    assert known.part("slice", 1).noise_cov.shape == (1, 1, 4, 4)
    assert recon(slabs, "checked").values.shape == (n_slabs, 1, 4, N_Y, N_X)


def test_a_mask_as_large_as_the_samples_is_taken():
    whole = blanked(1)
    large = scan(whole.samples, whole.mask.expand(1, 1, 1, N_Y, N_X).contiguous(), whole.axes)
    assert object_noise(large) == pytest.approx(object_noise(whole), rel=1e-5)
    assert off(recon(large, "l1_wavelet").values, recon(whole, "l1_wavelet").values) < 1e-3
