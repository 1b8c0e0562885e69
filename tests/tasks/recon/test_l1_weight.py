"""What l1_wavelet chooses by itself: a weight that holds where air lies about the noise, iterations by acceleration."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import spinecho
from spinecho.core.encoding import Encoding
from spinecho.core.geometry import Geometry
from spinecho.core.kspace import KSpace
from spinecho.metrics.inside import score_inside
from spinecho.ops.coils import root_sum_of_squares
from spinecho.ops.fourier import fft, ifft
from spinecho.sim.mask_spec import parse
from spinecho.sim.scan import Scan, simulate_phantom
from spinecho.tasks.recon.methods.l1_wavelet import iterations

SLICES = ("brain_t1_7coil_images", "brain_t2_4coil_images")


def coil_images(shared_data, name: str) -> torch.Tensor:
    images = np.load(shared_data / f"kspace/{name}.npz")["arr_0"].transpose(2, 1, 0)
    return torch.from_numpy(np.ascontiguousarray(images / abs(images).max()))[:, None]


def oversampled(images: torch.Tensor, noise: float) -> torch.Tensor:
    """Twice the field of view along the readout; the new air has `noise` times the noise of the old."""
    n = images.shape[-1]
    corner = images[..., :24, -24:]
    rng = torch.Generator().manual_seed(0)
    drawn = torch.randn(*images.shape[:-1], 2 * n, dtype=torch.complex64, generator=rng)
    wide = noise * corner.abs().square().mean((-1, -2), keepdim=True).sqrt() * drawn
    wide[..., n // 2 : n // 2 + n] = images
    return wide


def inside(images: torch.Tensor, method: str, spec: str = "random:4:0.08:0") -> float:
    """dB inside the object."""
    shape = (1, int(images.shape[-2]), int(images.shape[-1]))
    mask = parse(spec).draw(shape)
    encoding, grid = Encoding.cartesian(shape), Geometry.unknown(shape)
    kspace = KSpace(samples=fft(images) * mask, mask=mask, encoding=encoding, geometries=(grid,))
    truth = root_sum_of_squares(images)[0].double()
    return score_inside(truth, spinecho.recon(kspace, method).values[0].abs().double()).psnr


@pytest.mark.parametrize(("name", "noise"), [(SLICES[0], 0.0), (SLICES[1], 0.3)])
def test_an_oversampled_readout_with_quiet_air_costs_nothing(name, noise, shared_data):
    """A filter has made the air quieter: the weight followed it, and l1_wavelet fell up to 10 dB, below cg_sense."""
    images = coil_images(shared_data, name)
    wide = oversampled(images, noise)
    assert inside(wide, "l1_wavelet") > inside(images, "l1_wavelet") - 0.3
    assert inside(wide, "l1_wavelet") > inside(wide, "cg_sense") + 3


def test_a_real_abdomen_whose_readout_was_filtered(shared_data):
    """25.8 dB when the weight was that of its quiet ends."""
    with np.load(shared_data / "kspace/liver_4coil_echo0.npz") as file:
        samples = torch.from_numpy(file["kspace"])[:, None]
    assert inside(ifft(samples), "l1_wavelet") > inside(ifft(samples), "cg_sense") + 3


@pytest.mark.parametrize(
    ("sampling", "wanted"), [("random:4:16:0", 60), ("random:8:8:0", 120), ("full", 40), ("random:16:4:0", 180)]
)
def test_iterations_grow_with_what_was_left_out(sampling, wanted):
    kspace = simulate_phantom(Scan(matrix=(1, 128, 32), n_coils=2, sampling=sampling, fineness=1)).kspace
    assert iterations(kspace) == pytest.approx(wanted, abs=1)


def test_what_is_chosen_is_what_can_be_asked_for():
    kspace = simulate_phantom(Scan(matrix=(1, 64, 48), n_coils=2, sampling="random:3:12:0", fineness=1)).kspace
    own, asked = (spinecho.recon(kspace, "l1_wavelet", n_iters=n).values for n in (None, iterations(kspace)))
    assert torch.equal(own, asked)
