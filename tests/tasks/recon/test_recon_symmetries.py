"""What physics cannot tell apart, no method does: a phase, the coils' order and mixture, mirrors, moves, padding."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from drawn import drawn, nrmse, trained
from hypothesis import given, settings
from hypothesis import strategies as st

from spinecho import KSpace, recon
from spinecho.calib.prepare import prepare
from spinecho.core.encoding import Encoding
from spinecho.core.geometry import Geometry
from spinecho.methods import registry
from spinecho.sim.scan import Scan, simulate_phantom
from spinecho.tasks.recon.methods import cg_sense

SCANS = {
    "full": {"sampling": "full"},
    "regular": {"sampling": "equispaced:2:14"},
    "random": {"sampling": "random:2:10:1"},
    "partial": {"sampling": "partial:0.7"},
    "series": {"sampling": "kt-random:2.5:8:1", "n_frames": 4},
}
METHODS = {
    "zero_filled": ("full", {}),
    "cg_sense": ("random", {}),
    "tv": ("random", {"n_iters": 15}),
    "l1_wavelet": ("random", {"n_iters": 15, "power": 1.0}),
    "grappa": ("regular", {}),
    "pocs": ("partial", {}),
    "homodyne": ("partial", {}),
    "llr": ("series", {"n_iters": 15}),
}
"""The scan that a method is made for, and settings that keep it short."""
COIL_BY_COIL = ("pocs", "homodyne")
"""Each coil has a phase of its own there, which a mixture of coils has not."""
WITH_MAPS = ("cg_sense", "tv", "l1_wavelet")
"""These are given maps where pixels move: estimated ones are interpolated from a coarser grid, which does not move."""
PLACED = ("tv", "l1_wavelet", "llr")
"""Their differences look forward, their wavelets and blocks begin somewhere: mirrors agree but for their threshold."""


@cache
def scan(name: str) -> KSpace:
    how = {"matrix": (1, 40, 32), "n_coils": 4, "snr": 50.0, "fineness": 1, **SCANS[name]}
    kspace = simulate_phantom(Scan(**how)).kspace
    assert kspace.noise_cov is not None
    white = torch.eye(4, dtype=torch.complex64) * kspace.noise_cov.diagonal().real.mean()
    return replace(kspace, target=None, noise_cov=white, encoding=replace(kspace.encoding, centre=(0, 20, 16)))


def again(method: str, kspace: KSpace) -> torch.Tensor:
    return recon(kspace, method, **METHODS[method][1]).values.abs()


@cache
def image(method: str) -> torch.Tensor:
    return again(method, scan(METHODS[method][0]))


@cache
def maps() -> torch.Tensor:
    csm = simulate_phantom(Scan(matrix=(1, 40, 32), n_coils=4, fineness=1, sampling="full")).csm
    return csm / csm.abs().square().sum(-4, keepdim=True).sqrt()


def moved(method: str, kspace: KSpace, csm: torch.Tensor) -> torch.Tensor:
    """The image of a scan whose pixels lie elsewhere, and with them the maps."""
    if method not in WITH_MAPS:
        return again(method, kspace)
    module = registry.load("recon", method)
    config = module.Config(**METHODS[method][1])
    prepared, scale = prepare(kspace)
    with torch.inference_mode():
        return scale * module.reconstruct(prepared, csm, config).abs()


@cache
def unmoved(method: str) -> torch.Tensor:
    return moved(method, scan(METHODS[method][0]), maps())


def mirrored(t: torch.Tensor, *dims: int) -> torch.Tensor:
    """k to -k along some axes, with 0 at n // 2."""
    for dim in dims:
        n = t.shape[dim]
        t = t.index_select(dim, (2 * (n // 2) - torch.arange(n)) % n)
    return t


def unitary(n: int, seed: int) -> torch.Tensor:
    drawn = torch.randn(n, n, dtype=torch.complex64, generator=torch.Generator().manual_seed(seed))
    return torch.linalg.qr(drawn)[0]


@pytest.mark.parametrize("method", METHODS)
def test_a_phase_of_the_receiver_changes_no_magnitude(method):
    kspace = scan(METHODS[method][0])
    turned = replace(kspace, samples=kspace.samples * np.exp(2.1j))
    assert nrmse(again(method, turned), image(method)) < 1e-4


@pytest.mark.parametrize("method", METHODS)
def test_the_order_of_the_coils_does_not_matter(method):
    kspace = scan(METHODS[method][0])
    order = [2, 0, 3, 1]
    assert nrmse(again(method, replace(kspace, samples=kspace.samples[..., order, :, :, :])), image(method)) < 1e-4


@pytest.mark.parametrize("method", [m for m in METHODS if m not in COIL_BY_COIL])
def test_coils_that_are_mixed_without_loss_give_the_same_image(method):
    kspace = scan(METHODS[method][0])
    mixed = torch.einsum("ij,...jabc->...iabc", unitary(4, 3), kspace.samples)
    assert nrmse(again(method, replace(kspace, samples=mixed)), image(method)) < 2e-3


@pytest.mark.parametrize("method", METHODS)
def test_a_coil_that_hears_only_noise_of_the_same_level_changes_little(method):
    kspace = scan(METHODS[method][0])
    assert kspace.mask is not None and kspace.noise_cov is not None
    sigma = float(kspace.noise_cov[0, 0].real) ** 0.5
    shape = (*kspace.samples.shape[:-4], 1, *kspace.samples.shape[-3:])
    noise = sigma * torch.randn(shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(1))
    more = torch.cat([kspace.samples, noise * kspace.mask], -4)
    five = replace(kspace, samples=more, noise_cov=kspace.noise_cov[0, 0] * torch.eye(5, dtype=torch.complex64))
    inside = image(method) > 0.2 * image(method).max()
    assert nrmse(again(method, five)[inside], image(method)[inside]) < 0.03


@pytest.mark.parametrize("method", METHODS)
def test_the_conjugate_object_has_the_same_magnitude(method):
    """Its k-space is the conjugate at -k: y'(k) = conj y(-k)."""
    kspace = scan(METHODS[method][0])
    assert kspace.mask is not None
    other = replace(
        kspace, samples=mirrored(kspace.samples, -3, -2, -1).conj().resolve_conj(), mask=mirrored(kspace.mask, -2)
    )
    limit = 0.02 if method == "grappa" else 2e-3  # its lattice begins at the other end
    assert nrmse(moved(method, other, maps().conj().resolve_conj()), unmoved(method)) < limit


@pytest.mark.parametrize(("method", "dim"), [(m, d) for m in METHODS for d in (-2, -1)])
def test_k_space_gone_through_backwards_mirrors_the_image(method, dim):
    kspace = scan(METHODS[method][0])
    assert kspace.mask is not None
    mask = mirrored(kspace.mask, dim) if kspace.mask.shape[dim] > 1 else kspace.mask
    other = replace(kspace, samples=mirrored(kspace.samples, dim), mask=mask)
    limit = 0.05 if method in PLACED else 0.02 if method == "grappa" else 0.005
    assert nrmse(moved(method, other, mirrored(maps(), dim)), mirrored(unmoved(method), dim)) < limit


@pytest.mark.parametrize("method", METHODS)
def test_an_object_moved_along_the_readout_has_the_moved_image(method):
    """A linear phase over k0 is a shift by whole pixels, and nothing on the way prefers a place."""
    kspace = scan(METHODS[method][0])
    k = torch.arange(32) - 16
    other = replace(kspace, samples=kspace.samples * torch.exp(-2j * torch.pi * 5 * k / 32))
    limit = 0.05 if method in PLACED[1:] else 2e-3
    assert nrmse(moved(method, other, maps().roll(5, -1)), unmoved(method).roll(5, -1)) < limit


@pytest.mark.parametrize("name", ["varnet", "unet", "modl"])
def test_learned_methods_do_not_know_the_order_of_the_coils(name):
    kspace, method = drawn(4), trained(name)
    assert kspace.noise_cov is not None
    order = [3, 1, 0, 2]
    shuffled = replace(kspace, samples=kspace.samples[order], noise_cov=kspace.noise_cov[order][:, order])
    with torch.no_grad():
        assert nrmse(method(shuffled).values.abs(), method(kspace).values.abs()) < 1e-3


@pytest.mark.parametrize("axes", [("slice", "repetition"), ("repetition", "slice"), ("average", "contrast")])
@pytest.mark.parametrize("method", ["zero_filled", "cg_sense", "grappa", "pocs"])
def test_two_batch_axes_in_either_order_hold_the_same_images(method, axes):
    one = scan(METHODS[method][0])
    assert one.mask is not None and one.noise_cov is not None
    sigma = float(one.noise_cov[0, 0].real) ** 0.5
    noise = torch.randn((2, 3, *one.samples.shape), dtype=torch.complex64, generator=torch.Generator().manual_seed(2))
    samples = one.samples + sigma * noise * one.mask
    n = samples.shape[axes.index("slice")] if "slice" in axes else 1
    places = tuple(Geometry.unknown((1, 40, 32)).cropped((i, 0, 0), (1, 40, 32)) for i in range(n))
    there = replace(one, samples=samples, mask=one.mask[None, None], axes=axes, geometries=places)
    n = samples.transpose(0, 1).shape[axes[::-1].index("slice")] if "slice" in axes else 1
    back = replace(there, samples=samples.transpose(0, 1), axes=axes[::-1], geometries=places[:n])
    found, turned = (recon(k, method) for k in (there, back))
    assert found.axes == axes and turned.axes == axes[::-1]
    assert nrmse(turned.values.abs().transpose(0, 1), found.values.abs()) < 1e-3


def padded(kspace: KSpace, shape: tuple[int, int, int]) -> KSpace:
    """The samples in the middle of a larger matrix, k = 0 on its centre."""
    old = kspace.encoding.matrix
    start = [m // 2 - n // 2 for n, m in zip(old, shape, strict=True)]
    place = (..., *(slice(s, s + n) for s, n in zip(start, old, strict=True)))
    samples = torch.zeros(*kspace.samples.shape[:-3], *shape, dtype=torch.complex64)
    samples[place] = kspace.samples
    mask = torch.zeros(1, *shape, dtype=torch.bool)
    mask[place] = kspace.mask
    geometry = Geometry.unknown(shape)
    return replace(kspace, samples=samples, mask=mask, encoding=Encoding.cartesian(shape), geometries=(geometry,))


@given(st.integers(0, 6), st.integers(0, 6), st.booleans())
@settings(max_examples=8, deadline=None)
def test_a_matrix_filled_up_with_zeros_is_the_band_limited_interpolation(more_y, more_x, real):
    """Sampled at the old pixels' places it is the old image: x_new(r) = sqrt(n/m) sum_k y_k exp(2 pi i k r / m)."""
    kspace = scan("full")
    shape = (1, 40 + 2 * more_y, 32 + 2 * more_x)
    found = recon(padded(kspace, shape), "zero_filled").values[0, 0]
    coils = kspace.samples[:, 0].numpy()
    ky, kx = np.arange(40) - 20, np.arange(32) - 16
    ry, rx = (np.arange(m) - m // 2 for m in shape[1:])
    waves = [np.exp(2j * np.pi * np.outer(r, k) / len(r)) / len(r) ** 0.5 for r, k in ((ry, ky), (rx, kx))]
    wanted = np.sqrt((np.abs(waves[0] @ coils @ waves[1].T) ** 2).sum(0))
    np.testing.assert_allclose(found.numpy(), wanted, atol=1e-4 * wanted.max())


def test_cg_sense_is_linear_in_the_samples():
    """For given maps: x(a y1 + b y2) = a x(y1) + b x(y2)."""
    kspace = scan("random")
    assert kspace.mask is not None
    csm = torch.ones(1, 4, 1, 40, 32, dtype=torch.complex64) / 2
    rng = torch.Generator().manual_seed(4)
    one, two = (torch.randn(4, 1, 40, 32, dtype=torch.complex64, generator=rng) * kspace.mask for _ in range(2))
    config = cg_sense.Config(n_iters=60, tolerance=0.0)
    x = [cg_sense.reconstruct(replace(kspace, samples=s), csm, config) for s in (one, two, 2 * one - 1j * two)]
    assert nrmse(x[2], 2 * x[0] - 1j * x[1]) < 1e-4


def test_two_channels_of_one_coil_are_one_coil_of_less_noise():
    """The same samples in two coils: the image grows by the root of two, and nothing else happens."""
    kspace = scan("full")
    one = replace(kspace, samples=kspace.samples[:1], noise_cov=None)
    two = replace(one, samples=one.samples.expand(2, -1, -1, -1))
    torch.testing.assert_close(
        recon(two, "zero_filled").values, 2**0.5 * recon(one, "zero_filled").values, rtol=1e-4, atol=1e-6
    )


def test_the_zero_filled_image_has_the_energy_of_the_samples():
    """Parseval: the transform is unitary, and the scale of the samples comes back."""
    kspace = replace(scan("full"), noise_cov=None)
    found = recon(kspace, "zero_filled")
    energy = kspace.samples.abs().square().sum()
    torch.testing.assert_close(found.values.square().sum(), energy, rtol=1e-4, atol=0)
