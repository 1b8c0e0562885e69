"""The pieces of calibration against brute force: eigenvectors, patch matrices, kernels, windows, virtual coils."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import cartesian, head, planted_maps, scan_of

from spinecho.calib.compress import compress
from spinecho.calib.eigen import dominant_vectors, principal_coil, with_zero_phase
from spinecho.calib.espirit import calibration_gram, espirit, pixel_kernel, signal_projection
from spinecho.calib.prepare import check, prewhiten, rescale
from spinecho.calib.walsh import walsh
from spinecho.core.errors import DataError
from spinecho.ops.coils import root_sum_of_squares
from spinecho.ops.fourier import ifft

FLAT = (1, 24, 20)


def drawn(*shape: int, seed: int = 0, dtype: torch.dtype = torch.complex128) -> torch.Tensor:
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def with_spectrum(values: list[float], n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """n Hermitian matrices with these eigenvalues (the largest first) and their eigenvectors."""
    Q = torch.linalg.qr(drawn(n, len(values), len(values), seed=seed))[0]
    return Q @ torch.diag(torch.tensor(values, dtype=torch.complex128)) @ Q.mH, Q


@pytest.mark.parametrize("n_maps", [1, 2])
def test_dominant_vectors_are_the_leading_eigenvectors(n_maps):
    G, Q = with_spectrum([1.0, 0.8, 0.5, 0.0], 7, seed=n_maps)
    found = dominant_vectors(G, n_maps)
    assert len(found) == n_maps
    for i, (v, value) in enumerate(found):
        torch.testing.assert_close(value, torch.full((7,), [1.0, 0.8][i], dtype=torch.float64), atol=1e-6, rtol=0)
        match = (v.conj() * Q[:, :, i]).sum(-1).abs()
        torch.testing.assert_close(match, torch.ones(7, dtype=torch.float64), atol=1e-6, rtol=0)


def test_pixels_without_signal_get_zero_vectors_and_no_nan():
    G = torch.zeros(3, 4, 4, dtype=torch.complex64)
    for v, value in dominant_vectors(G, 2):
        assert not v.any() and not value.any()


@settings(deadline=None)
@given(seed=st.integers(0, 99), turn=st.floats(-3, 3))
def test_zero_phase_forgets_the_phase_that_came_in(seed, turn):
    v, reference = drawn(5, 3, seed=seed), drawn(3, seed=seed + 100)
    fixed = with_zero_phase(v, reference)
    product = fixed @ reference.conj()
    assert float(product.real.min()) > 0 and float(product.imag.abs().max()) < 1e-12
    torch.testing.assert_close(fixed.abs(), v.abs())
    torch.testing.assert_close(with_zero_phase(v * np.exp(1j * turn), reference), fixed)


def test_zero_phase_leaves_what_is_orthogonal_alone():
    v = torch.tensor([[1.0 + 1j, 0.0]])
    assert torch.equal(with_zero_phase(v, torch.tensor([0.0, 1.0 + 0j])), v)


def test_the_principal_coil_of_one_source_is_its_mixture():
    mixture = torch.nn.functional.normalize(drawn(5), dim=0)
    y = mixture[:, None, None, None] * drawn(1, 2, 3, 4, seed=1)
    assert float((principal_coil(y).conj() @ mixture).abs()) == pytest.approx(1)


def test_gram_of_patches_by_looping_over_them():
    y, widths = drawn(2, 3, 5, 4), (2, 3, 1)
    wanted = torch.zeros(12, 12, dtype=torch.complex128)
    for k2 in range(2):
        for k1 in range(3):
            for k0 in range(4):
                p = y[:, k2 : k2 + 2, k1 : k1 + 3, k0 : k0 + 1].flatten()
                wanted += torch.outer(p, p.conj())
    torch.testing.assert_close(calibration_gram(y, widths), wanted)


@pytest.mark.parametrize("scale", [1e-18, 1.0, 1e18])
def test_the_signal_space_is_a_projection_of_the_right_rank(scale):
    signal = drawn(12, 3)
    gram = (signal @ signal.mH + 1e-8 * torch.eye(12)) * scale
    W = signal_projection(gram, 0.03)
    torch.testing.assert_close(W @ W, W)
    torch.testing.assert_close(W, W.mH)
    assert float(W.diagonal().real.sum()) == pytest.approx(3)
    torch.testing.assert_close(W @ signal, signal)


def test_noise_alone_leaves_one_direction():
    W = signal_projection(torch.eye(6, dtype=torch.complex128), 0.03)
    assert float(W.diagonal().real.sum()) == pytest.approx(1)


def test_the_pixel_kernel_by_its_definition():
    """K_cc'(d) = 1/n_a sum_a W[(c, a), (c', a + d)], and K(d) = K(-d)^H as W is Hermitian."""
    n_coils, widths = 2, (1, 3, 2)
    A = drawn(12, 12)
    W = A @ A.mH
    K = pixel_kernel(W, n_coils, widths)
    blocks = W.reshape(n_coils, 3, 2, n_coils, 3, 2)
    assert K.shape == (2, 2, 1, 5, 3)
    for d1 in range(-2, 3):
        for d0 in range(-1, 2):
            wanted = sum(
                blocks[:, a1, a0, :, a1 + d1, a0 + d0]
                for a1 in range(3)
                for a0 in range(2)
                if 0 <= a1 + d1 < 3 and 0 <= a0 + d0 < 2
            )
            torch.testing.assert_close(K[:, :, 0, d1 + 2, d0 + 1], wanted / 6)
    torch.testing.assert_close(K.flip((-3, -2, -1)).transpose(0, 1).conj(), K)


@pytest.mark.parametrize("shape", [(1, 33, 31), (7, 12, 9), (1, 5, 40)])
def test_espirit_on_odd_grids_has_unit_norm_or_none(rng, shape):
    maps, image = planted_maps(3, shape), head(shape, 0.9)
    csm = espirit(scan_of(maps, image, 1e-4, rng), shape, kernel=3)
    norm = csm[0].abs().square().sum(0)
    assert csm.shape == (1, 3, *shape)
    assert bool(((norm - 1).abs() < 1e-4).logical_or(norm == 0).all())
    assert float((norm[image.abs() > 0] > 0).float().mean()) > 0.85


def test_espirit_turns_with_the_coils(rng):
    """Coils with other phases and in another order give the same maps with those phases and in that order."""
    y = scan_of(planted_maps(4, FLAT), head(FLAT), 1e-3, rng)
    order, phase = [2, 0, 3, 1], torch.polar(torch.ones(4), torch.tensor([0.1, -2.0, 1.0, 3.0]))[:, None, None, None]
    a, b = espirit(y, FLAT), espirit(y[order] * phase, FLAT)
    inside = (a[0].abs().sum(0) > 0) & (b[0].abs().sum(0) > 0)
    match = (b[0].conj() * (a[0][order] * phase)).sum(0).abs()
    assert bool((match[inside] > 0.999).all()) and float(inside.float().mean()) > 0.2


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_walsh_of_single_pixels_is_the_image_itself(dtype, scale):
    images = drawn(3, 2, 5, 7).to(dtype) * scale
    csm = walsh(images, window=1)
    assert csm.dtype == dtype and csm.shape == (1, 3, 2, 5, 7)
    unit = images / images.abs().square().sum(0).sqrt()
    match = (csm[0].conj() * unit).sum(0).abs()
    torch.testing.assert_close(match, torch.ones_like(match), atol=1e-4, rtol=0)


def test_walsh_of_one_coil_is_one_and_of_nothing_is_zero():
    one = walsh(drawn(1, 1, 6, 6), window=3)
    torch.testing.assert_close(one.abs(), torch.ones(1, 1, 1, 6, 6, dtype=torch.float64))
    half = drawn(2, 1, 8, 20)
    half[..., 10:] = 0
    csm = walsh(half, window=3)
    assert not csm[..., 11:].any() and bool((csm[0].abs().sum(0)[..., :10] > 0).all())


@pytest.mark.parametrize("window", [0, -3, 6])
def test_windows_without_a_middle_are_refused(window):
    with pytest.raises(DataError, match=rf"window is {window} pixels wide -> give an odd number"):
        walsh(drawn(2, 1, 8, 8), window=window)


@settings(max_examples=15, deadline=None)
@given(n_sources=st.integers(1, 3), seed=st.integers(0, 50))
def test_as_many_virtual_coils_as_sources_lose_nothing(n_sources, seed):
    mixing = drawn(6, n_sources, seed=seed)
    y = torch.einsum("cs,szyx->czyx", mixing, drawn(n_sources, 2, 5, 6, seed=seed + 1)).to(torch.complex64)
    small, rows = compress(cartesian(y), n_sources)
    assert small.n_coils == n_sources
    torch.testing.assert_close((rows.mH @ small.samples.flatten(1)).view_as(y), y, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(compress(cartesian(y), energy=0.9999)[0].n_coils, n_sources)


def test_virtual_coils_are_ordered_and_as_strong_as_the_eigenvalues():
    y = drawn(4, 1, 8, 8, dtype=torch.complex64) * torch.tensor([1.0, 5.0, 0.1, 2.0])[:, None, None, None]
    small, _ = compress(cartesian(y), 9)
    energies = small.samples.abs().square().sum((1, 2, 3))
    covariance = y.flatten(1) @ y.flatten(1).mH
    torch.testing.assert_close(energies, torch.linalg.eigvalsh(covariance).flip(0), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(root_sum_of_squares(ifft(small.samples)), root_sum_of_squares(ifft(y)))


def test_slices_are_mixed_apart_and_contrasts_alike():
    y = drawn(2, 3, 4, 1, 6, 6, dtype=torch.complex64)
    small, rows = compress(replace(cartesian(y, axes=("slice", "contrast")), calib=y[:, :1]), 2)
    assert rows.shape == (2, 1, 2, 4) and small.samples.shape == (2, 3, 2, 1, 6, 6)
    torch.testing.assert_close(small.calib, small.samples[:, :1])


def test_correlated_noise_is_mixed_with_the_coils():
    y, A = drawn(3, 1, 6, 6, dtype=torch.complex64), drawn(3, 3, seed=4, dtype=torch.complex64)
    cov = A @ A.mH
    small, rows = compress(replace(cartesian(y), noise_cov=cov), 2)
    torch.testing.assert_close(small.noise_cov, rows @ cov @ rows.mH)


def test_rescaling_scales_all_that_depends_on_it():
    y = drawn(2, 1, 4, 4, dtype=torch.complex64)
    kspace = replace(cartesian(y), calib=y, noise_cov=torch.eye(2, dtype=torch.complex64))
    scaled = rescale(kspace, 1e-3)
    torch.testing.assert_close(scaled.samples, y * 1e-3)
    torch.testing.assert_close(scaled.calib, y * 1e-3)
    torch.testing.assert_close(scaled.noise_cov, 1e-6 * torch.eye(2, dtype=torch.complex64))


def test_without_a_noise_scan_nothing_is_whitened():
    kspace = cartesian(drawn(2, 1, 4, 4, dtype=torch.complex64))
    assert prewhiten(kspace) is kspace
    noisy = replace(kspace, noise_cov=torch.diag(torch.tensor([1.0, 4.0]).to(torch.complex64)), calib=kspace.samples)
    white = prewhiten(noisy)
    assert white.calib is not None and torch.equal(white.calib, white.samples)
    assert white.header.history == ("coils prewhitened with the noise scan",)
    ratio = white.samples.abs() / kspace.samples.abs()
    torch.testing.assert_close(ratio[0] / ratio[1], torch.full_like(ratio[0], 2.0))


def test_bad_samples_are_counted():
    y = drawn(2, 1, 4, 4, dtype=torch.complex64)
    y[0, 0, 1, 1] = complex(float("nan"), 0)
    y[1, 0, 2, :2] = complex(0, float("inf"))
    with pytest.raises(DataError, match=r"^3 of 32 samples are NaN or infinite -> "):
        check(cartesian(y))
