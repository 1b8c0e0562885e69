"""Scans made of objects: exact samples, oversampling, noise that reaches only what is measured, heads from labels."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spinecho.core.geometry import Geometry
from spinecho.ops.coils import root_sum_of_squares
from spinecho.ops.fourier import fft, ifft
from spinecho.ops.sampling import centre_crop
from spinecho.sim import anatomy
from spinecho.sim.acquire import acquire
from spinecho.sim.contrast import SEQUENCES
from spinecho.sim.mask import equispaced_lines
from spinecho.sim.phantom import Ellipsoid, phantom, phantom_kspace, section
from spinecho.sim.scan import Scan, measure, simulate_brain, simulate_phantom
from spinecho.sim.tissue import TISSUES
from spinecho.sim.trajectory import radial

BALL = (Ellipsoid(1.0, (0.06, -0.1, 0.0), (0.3, 0.2, 0.25), 30),)


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(seed))


def one_coil(*shape: int) -> torch.Tensor:
    return torch.ones(1, 1, *shape, dtype=torch.complex64)


@settings(max_examples=15, deadline=None)
@given(shape=st.tuples(st.integers(1, 4), st.integers(4, 9), st.integers(4, 9)), n_coils=st.integers(1, 3))
def test_on_its_own_grid_a_scan_is_the_transform_of_the_coil_images(shape, n_coils):
    image, csm = drawn(1, *shape), drawn(1, n_coils, *shape, seed=1)
    kspace = acquire(image, csm)
    torch.testing.assert_close(kspace.samples, fft(csm[0] * image))
    torch.testing.assert_close(kspace.target, root_sum_of_squares(csm[0] * image))
    assert kspace.encoding.matrix == shape and kspace.header.flags == ("simulated",)


@pytest.mark.parametrize("matrix", [(1, 12, 10), (1, 13, 9), (1, 24, 9)])
def test_a_coarser_matrix_is_the_middle_of_k_space(matrix):
    image = drawn(1, 1, 24, 20)
    kspace = acquire(image, one_coil(1, 24, 20), matrix=matrix)
    scale = math.sqrt(math.prod(matrix) / 480)
    torch.testing.assert_close(kspace.samples, centre_crop(fft(image), matrix) * scale)
    assert kspace.geometries[0].shape == matrix
    assert kspace.geometries[0].fov_mm == pytest.approx((20, 24, 1))


@pytest.mark.parametrize("oversampling", [2, 3])
def test_oversampled_readouts_hold_the_plain_ones(oversampling):
    """Every second (third) sample of the finer readout is a sample of the plain one, on its scale."""
    image = drawn(1, 1, 8, 10)
    plain = acquire(image, one_coil(1, 8, 10))
    wide = acquire(image, one_coil(1, 8, 10), oversampling=oversampling)
    start = (10 * oversampling // 2) % oversampling
    found = wide.samples[..., start::oversampling] * oversampling**0.5
    torch.testing.assert_close(found, plain.samples, atol=1e-4, rtol=1e-4)
    assert wide.encoding.fov_mm[2] == oversampling * wide.encoding.recon_fov_mm[2]


@settings(max_examples=15, deadline=None)
@given(k2=st.integers(1, 3), k1=st.integers(2, 6), k0=st.integers(3, 6))
def test_a_shifted_centre_moves_the_samples_and_not_the_image(k2, k1, k0):
    shape = (4, 8, 9)
    image = drawn(1, *shape)
    kspace = acquire(image, one_coil(*shape), centre=(k2, k1, k0))
    shift = (k2 - 2, k1 - 4, k0 - 4)
    torch.testing.assert_close(kspace.samples, fft(image).roll(shift, (-3, -2, -1)), atol=1e-4, rtol=1e-4)
    assert kspace.encoding.origin == (k2, k1, k0)


@pytest.mark.parametrize(("shape", "n"), [((1, 96, 96), 24), ((1, 96, 96), 48)])
def test_samples_along_a_trajectory_are_those_of_the_ellipse(shape, n):
    traj = radial(7, 2 * n, n)
    kspace = acquire(phantom(shape, BALL).to(torch.complex64), one_coil(*shape), traj=traj, matrix=(1, n, n))
    wanted = phantom_kspace(traj, section(BALL), n * n).to(torch.complex64)
    inner = torch.linalg.vector_norm(traj, dim=-1) < 10
    gap = (kspace.samples[0] - wanted)[inner].norm() / wanted[inner].norm()
    assert float(gap) < 0.02 and kspace.mask is None and kspace.encoding.trajectory == "other"


def test_noise_reaches_measured_samples_only_and_the_target_is_whitened():
    cov = torch.diag(torch.tensor([0.01, 0.04])).to(torch.complex64)
    image, csm = drawn(1, 1, 40, 30), drawn(1, 2, 1, 40, 30, seed=1)
    mask, rng = equispaced_lines(40, 4, 0), torch.Generator().manual_seed(0)
    noisy = acquire(image, csm, mask=mask, noise_cov=cov, generator=rng)
    error = noisy.samples - acquire(image, csm, mask=mask).samples
    assert not error[..., ~mask.flatten(), :].any() and bool(error[..., mask.flatten(), :].all())
    variance = error[..., mask.flatten(), :].abs().square().mean((1, 2, 3))
    torch.testing.assert_close(variance, torch.tensor([0.01, 0.04]), rtol=0.2, atol=0)
    weight = (0.025 / torch.tensor([0.01, 0.04])).sqrt()[:, None, None, None]
    torch.testing.assert_close(noisy.target, root_sum_of_squares(csm[0] * image * weight))


def test_a_mask_for_each_frame():
    images, mask = drawn(3, 1, 1, 8, 6), torch.stack([equispaced_lines(8, 2, 0, offset=t) for t in range(3)])
    kspace = acquire(images, one_coil(1, 8, 6)[None], mask=mask, axes=("time",))
    torch.testing.assert_close(kspace.samples, fft(images) * mask)
    assert kspace.mask is not None and kspace.mask.shape == (3, 1, 1, 8, 1)


@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_the_scale_of_the_object_is_that_of_the_scan(scale):
    scan = Scan(matrix=(1, 16, 12), n_coils=2, sampling="full", snr=30, fineness=1)
    geometry = Geometry.from_frame([0, 0, 20], np.eye(3), (20, 15, 5), (1, 16, 12))
    ball = phantom((1, 16, 12), BALL)
    plain, scaled = (
        measure(x, geometry, scan, torch.Generator().manual_seed(0), note="ball").kspace for x in (ball, ball * scale)
    )
    torch.testing.assert_close(scaled.samples / scale, plain.samples, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(scaled.noise_cov / scale**2, plain.noise_cov)


def test_what_a_header_says_of_a_simulated_scan():
    scan = Scan(matrix=(1, 16, 16), n_coils=1, sampling="radial:5", contrast="gre", field_t=1.5, fineness=1)
    radials = simulate_phantom(scan).kspace
    assert radials.header.te_ms == (SEQUENCES["gre"].te_ms,) and radials.header.field_t == 1.5
    assert radials.header.slice_thickness_mm == 5.0 and radials.encoding.trajectory == "radial"
    partial = simulate_phantom(replace(scan, sampling="partial:0.75", contrast="random")).kspace
    assert partial.encoding.acceleration == (1.0, 1.0) and partial.header.te_ms == ()
    volume = simulate_phantom(replace(scan, matrix=(4, 16, 16), sampling="full")).kspace
    assert volume.header.slice_thickness_mm == 0.0 and volume.samples.shape == (1, 4, 16, 16)


def head_labels() -> tuple[torch.Tensor, Geometry]:
    """A box of white matter with fluid inside at +x -y, in a grid that is turned: its rows run along -x."""
    labels = torch.zeros(20, 24, 28, dtype=torch.int64)
    labels[2:18, 3:21, 4:24] = 2
    labels[8:14, 6:10, 8:12] = 4
    turned = np.diag([-1.0, 1.0, 1.0])
    return labels, Geometry.from_frame([30.0, -7.0, 5.0], turned, (6.0, 6.0, 6.0), (20, 24, 28))


def test_a_head_from_labels_lies_where_its_geometry_puts_it():
    labels, geometry = head_labels()
    scan = Scan(
        matrix=(1, 32, 32), fov_mm=(5, 192, 192), offset_mm=0, contrast="t2", n_coils=1, snr=float("inf"), texture=0.0
    )
    sim = simulate_brain(labels, geometry, replace(scan, sampling="full"))
    found = sim.image.abs()[0, 0]
    signals = anatomy.tissue_signals(SEQUENCES["t2"])
    onto = Geometry.from_frame([0, 0, 0], np.eye(3), (3, 3, 5), (1, 64, 64))
    centred = anatomy.at_isocentre(labels, geometry)
    for index, tissue in (([10, 8, 11], "csf"), ([20, 15, 10], "white matter"), ([1, 1, 10], "air")):
        x, y, _ = np.rint(onto.to_voxel(centred.to_world(index))).astype(int)
        assert float(found[y, x]) == pytest.approx(signals[tissue], abs=1e-4), tissue
    assert "spin-echo, TE 90 ms" in sim.kspace.header.history[0]
    torch.testing.assert_close(root_sum_of_squares(ifft(sim.kspace.samples)), sim.kspace.target)


def test_a_head_as_a_volume_and_with_random_contrast():
    labels, geometry = head_labels()
    scan = Scan(matrix=(6, 16, 14), fov_mm=(150, 192, 192), contrast="random", n_coils=2, sampling="poisson:2:4")
    sim = simulate_brain(labels, geometry, replace(scan, fineness=1, seed=3))
    assert sim.kspace.samples.shape == (2, 6, 16, 14) and sim.kspace.mask.shape == (1, 6, 16, 1)
    assert "random contrast" in sim.kspace.header.history[0] and sim.kspace.header.te_ms == ()
    other = simulate_brain(labels, geometry, replace(scan, fineness=1, seed=4))
    assert not torch.equal(other.image, sim.image)


def test_labels_outside_their_grid_are_air():
    labels, geometry = head_labels()
    far = Geometry.from_frame([900.0, 0, 0], np.eye(3), (6, 6, 6), (2, 3, 4))
    assert not anatomy.resample_labels(labels, geometry, far).any()
    corner = anatomy.resample_labels(torch.full_like(labels, 2), geometry, geometry.cropped((-2, -2, -2), (24, 28, 32)))
    assert int((corner == 2).sum()) == labels.numel()


@pytest.mark.parametrize("field", [1.5, 3.0, 7.0])
def test_relaxation_maps_are_the_table(field):
    maps = anatomy.relaxation_maps(torch.tensor([[2, 3, 4]]), field)
    tissues = [TISSUES[n] for n in ("white matter", "grey matter", "csf")]
    assert maps["t1_ms"][0].tolist() == pytest.approx([t.t1_at(field) for t in tissues])
    assert maps["t2_ms"][0].tolist() == pytest.approx([t.t2_ms for t in tissues])
    assert maps["t2s_ms"][0].tolist() == pytest.approx([t.t2s_ms for t in tissues])


def test_a_mixture_of_one_tissue_is_that_tissue():
    for name, signal in anatomy.tissue_signals(SEQUENCES["t1"], 1.5).items():
        mixed = anatomy.mix({name: torch.ones(2, 2)}, SEQUENCES["t1"], 1.5)
        torch.testing.assert_close(mixed, torch.full((2, 2), signal))


@pytest.mark.parametrize("shape", [(1, 31, 40), (8, 12, 9)])
def test_texture_is_smooth_and_seeded(shape):
    a, b = (anatomy.texture(shape, torch.Generator().manual_seed(s), 0.1) - 1 for s in (1, 2))
    assert a.shape == shape and not torch.equal(a, b)
    neighbours = float((a[..., 1:] * a[..., :-1]).mean() / a.square().mean())
    assert neighbours > 0.2, "white noise would have 0"
    assert bool((anatomy.texture(shape, torch.Generator(), 0.0) == 1).all())
