"""The noise where the object is: not that of filtered air, not the signal at the edge of k-space."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from spinecho.calib.noise import noise_sigma
from spinecho.calib.object_noise import at_object, bright_readouts, object_noise, outer_half_is_air
from spinecho.core.encoding import Encoding
from spinecho.core.geometry import Geometry
from spinecho.core.kspace import KSpace
from spinecho.ops.fourier import fft, ifft
from spinecho.sim.phantom import phantom
from spinecho.sim.scan import Scan, simulate_phantom


def scan(images: torch.Tensor, mask: torch.Tensor | None = None) -> KSpace:
    """Coil images (coil, 1, y, x) as k-space of which nothing more is known."""
    shape = (1, int(images.shape[-2]), int(images.shape[-1]))
    mask = torch.ones(1, 1, 1, 1, dtype=torch.bool) if mask is None else mask
    encoding, grid = Encoding.cartesian(shape), Geometry.unknown(shape)
    return KSpace(samples=fft(images) * mask, mask=mask, encoding=encoding, geometries=(grid,))


def coils(rng: torch.Generator, sigma: float, air: float = 1.0, n: int = 128) -> torch.Tensor:
    """A phantom in three coils in the middle half of a readout whose ends have `air` times the noise."""
    image = torch.zeros(3, 1, n, 2 * n, dtype=torch.complex64)
    image[..., n // 2 : n // 2 + n] = phantom((1, n, n)).clamp_min(0).to(torch.complex64)
    image = image * (torch.rand(3, 1, 1, 1, generator=rng) + 0.5)
    noise = sigma * torch.randn(image.shape, dtype=torch.complex64, generator=rng)
    noise[..., : n // 2] *= air
    noise[..., n // 2 + n :] *= air
    return image + noise


@pytest.mark.parametrize("air", [0.0, 0.3, 1.0])
def test_the_level_does_not_depend_on_the_air_of_an_oversampled_readout(rng, air):
    assert object_noise(scan(coils(rng, 0.05, air))) == pytest.approx(0.05, rel=0.25)


@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_the_scale_does_not_matter(rng, scale):
    images = coils(rng, 0.05, 0.3)
    assert object_noise(scan(images * scale)) == pytest.approx(scale * object_noise(scan(images)), rel=1e-4)


def test_lines_that_were_not_measured_do_not_count(rng):
    mask = torch.rand(1, 1, 128, 1, generator=rng) < 0.4
    assert object_noise(scan(coils(rng, 0.05, 0.3), mask)) == pytest.approx(0.05, rel=0.3)


def test_a_known_covariance_comes_first_and_trajectories_are_as_before(rng):
    known = replace(scan(coils(rng, 0.05)), noise_cov=4 * torch.eye(3, dtype=torch.complex64))
    assert object_noise(known) == pytest.approx(2.0)
    radial = simulate_phantom(Scan(matrix=(1, 32, 32), n_coils=2, sampling="radial:20")).kspace
    radial = replace(radial, noise_cov=None)
    assert object_noise(radial) == noise_sigma(radial)


def test_without_noise_it_is_small_and_zero_stays_zero(rng):
    assert 0 < object_noise(scan(coils(rng, 0.0))) < 0.05
    assert object_noise(scan(torch.zeros(2, 1, 32, 32, dtype=torch.complex64))) == 0


def test_the_stretch_holds_the_object_and_cutting_to_it_is_exact(rng):
    kspace = scan(coils(rng, 0.001))
    first, after = bright_readouts(kspace) or (0, 0)
    assert 64 <= first < 90 and 166 < after <= 192
    cut = at_object(kspace)
    assert cut.encoding.matrix == (1, 128, after - first)
    torch.testing.assert_close(ifft(cut.samples), ifft(kspace.samples)[..., first:after], atol=1e-5, rtol=1e-4)


def test_where_the_readout_is_not_whole_nothing_is_cut(rng):
    mask = torch.rand(1, 1, 128, 256, generator=rng) < 0.5
    kspace = scan(coils(rng, 0.01), mask)
    assert bright_readouts(kspace) is None and at_object(kspace) is kspace


def test_of_the_real_brains_it_is_little_more_than_that_of_air(shared_data):
    for name in ("brain_t1_7coil_images", "brain_t2_4coil_images"):
        images = np.load(shared_data / f"kspace/{name}.npz")["arr_0"].transpose(2, 1, 0)
        kspace = scan(torch.from_numpy(np.ascontiguousarray(images))[:, None])
        assert 1.0 < object_noise(kspace) / noise_sigma(kspace) < 1.4


def test_an_oversampled_readout_is_noticed_unless_the_image_is_cut_anyway(rng):
    kspace = scan(coils(rng, 0.01))
    assert outer_half_is_air(kspace)
    assert not outer_half_is_air(at_object(kspace)), "it fills the readout"
    told = replace(kspace.encoding, recon_matrix=(1, 128, 128))
    assert not outer_half_is_air(replace(kspace, encoding=told)), "the file records it"
    shifted = scan(ifft(kspace.samples).roll(40, -1))
    assert not outer_half_is_air(shifted)
    assert not outer_half_is_air(scan(coils(rng, 0.01)[..., 100:140]))
