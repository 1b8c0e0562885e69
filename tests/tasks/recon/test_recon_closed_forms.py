"""Where the answer can be written down: dense least squares, one step of total variation, one block, copied lines."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.restoration import denoise_tv_chambolle

from spinecho import KSpace, recon
from spinecho.core.encoding import Encoding
from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.ops.fourier import fft
from spinecho.tasks.recon.methods import cg_sense, l1_wavelet, llr, tv
from spinecho.tasks.recon.run import with_noise_floor


def scan(coil_images: torch.Tensor, mask: torch.Tensor | None = None, axes: tuple[str, ...] = (), **facts) -> KSpace:
    """The scan of coil images (*batch, coil, z, y, x)."""
    shape = tuple(coil_images.shape[-3:])
    mask = torch.ones([1] * (len(axes) + 4), dtype=torch.bool) if mask is None else mask
    known = {"encoding": Encoding.cartesian(shape), "geometries": (Geometry.unknown(shape),), **facts}
    return KSpace(samples=fft(coil_images.to(torch.complex64)) * mask, mask=mask, axes=axes, **known)


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(seed))


def dft(n: int) -> np.ndarray:
    """The centred, unitary transform as a matrix."""
    k = np.arange(n) - n // 2
    return np.exp(-2j * np.pi * np.outer(k, k) / n) / n**0.5


@given(
    st.tuples(st.integers(1, 3), st.integers(3, 7), st.integers(2, 7)),
    st.integers(1, 4),
    st.integers(0, 99),
    st.sampled_from([0.01, 0.1]),
)
@settings(max_examples=25, deadline=None)
def test_cg_sense_solves_the_dense_regularised_least_squares(shape, n_coils, seed, l2):
    """x = (A^H A + l2)^-1 A^H y with A = P F S written out as a matrix; any mask, any sizes."""
    maps = drawn(n_coils, *shape, seed=seed)
    maps = maps / maps.abs().square().sum(0).sqrt()
    rng = torch.Generator().manual_seed(seed)
    mask = torch.rand(1, *shape, generator=rng) < 0.6
    y = drawn(n_coils, *shape, seed=seed + 1) * mask
    kspace = replace(scan(y, mask), samples=y)
    ours = cg_sense.reconstruct(kspace, maps[None], cg_sense.Config(n_iters=300, l2=l2, tolerance=1e-7))
    F = np.kron(np.kron(dft(shape[0]), dft(shape[1])), dft(shape[2]))
    P = mask.flatten().numpy()[:, None]
    A = np.concatenate([P * F * s.flatten().numpy() for s in maps])
    wanted = np.linalg.solve(A.conj().T @ A + l2 * np.eye(A.shape[1]), A.conj().T @ y.flatten().numpy())
    np.testing.assert_allclose(ours.flatten().numpy(), wanted, atol=2e-4 * np.abs(wanted).max())


@pytest.mark.parametrize("dim", [-2, -1])
@pytest.mark.parametrize("weight", [0.02, 0.2])
def test_total_variation_of_a_step_brings_both_levels_nearer_by_what_calculus_says(dim, weight):
    """Half of a circle of n pixels at 1, half at 0.2: each level moves by 2 w / (n / 2), w times two edges."""
    n = 24
    profile = torch.where(torch.arange(n) < n // 2, 1.0, 0.2)
    image = (profile[:, None] if dim == -2 else profile).expand(n, n)[None, None].to(torch.complex64)
    config = tv.Config(n_iters=150, weight=weight)
    found = tv.reconstruct(scan(image), torch.ones(1, 1, 1, n, n, dtype=torch.complex64), config)
    shift = weight * float(image.abs().max()) * 2 / (n / 2)
    wanted = torch.where(profile > 0.5, profile - shift, profile + shift)
    line = found.real.movedim(dim, 0).flatten(1).mean(1)
    torch.testing.assert_close(line, wanted, atol=2e-3, rtol=0)
    assert float(found.imag.abs().max()) < 1e-4


def total_variation(x: np.ndarray, y: np.ndarray, weight: float) -> float:
    steps = [np.roll(x, -1, d) - x for d in (0, 1)]
    return float(((x - y) ** 2).sum() / 2 + weight * np.sqrt(sum(s**2 for s in steps)).sum())


def test_total_variation_ends_lower_than_scikit_image_and_than_all_its_neighbours():
    """The edges are periodic here, so that the other's solution is a little above ours; both are near."""
    rng = np.random.default_rng(0)
    y = np.zeros((32, 32), np.float32)
    y[8:24, 8:24], y[12:18, 12:18] = 1.0, 0.5
    y += 0.1 * rng.standard_normal(y.shape).astype(np.float32)
    weight = 0.1
    config = tv.Config(n_iters=200, weight=weight / float(np.abs(y).max()))
    kspace = scan(torch.from_numpy(y)[None, None])
    ours = tv.reconstruct(kspace, torch.ones(1, 1, 1, 32, 32, dtype=torch.complex64), config)
    assert float(ours.imag.abs().max()) < 1e-4
    x = ours.real.squeeze().numpy()
    theirs = denoise_tv_chambolle(y, weight=weight, eps=1e-7, max_num_iter=500)
    least = total_variation(x, y, weight)
    assert least < total_variation(theirs, y, weight) < 1.05 * least
    assert np.abs(x - theirs)[2:-2, 2:-2].max() < 0.05
    for size in (0.003, 0.03):
        assert least < total_variation(x + size * rng.standard_normal(x.shape).astype(np.float32), y, weight)


@pytest.mark.parametrize("weight", [0.05, 0.3, 0.9])
def test_llr_with_blocks_of_one_pixel_shortens_each_time_course(weight):
    """Full samples make A^H A one, and a row has one singular value, its length: x max(1 - t / |x|, 0)."""
    series = drawn(5, 1, 1, 8, 8, seed=3)
    kspace = scan(series, axes=("time",))
    method = llr.Method(llr.Config(weight=weight, block=1, n_iters=60))
    length = series.abs().square().sum(0, keepdim=True).sqrt()
    wanted = series * (1 - weight * length.max() / length).clamp_min(0)
    torch.testing.assert_close(method(kspace).values, wanted, atol=2e-4 * float(length.max()), rtol=0)


def test_l1_wavelet_without_a_penalty_is_the_image_itself():
    image = drawn(1, 1, 16, 24, seed=5)
    config = l1_wavelet.Config(weight=0.0, n_iters=20)
    found = l1_wavelet.reconstruct(scan(image), torch.ones(1, 1, 1, 16, 24, dtype=torch.complex64), config)
    torch.testing.assert_close(found[0], image[0], atol=1e-4, rtol=0)


@pytest.mark.parametrize("power", [1.0, 0.5])
def test_a_heavier_penalty_leaves_a_smaller_image_and_at_last_none(power):
    image = drawn(1, 1, 16, 16, seed=6)
    ones = torch.ones(1, 1, 1, 16, 16, dtype=torch.complex64)
    sizes = []
    for weight in (0.0, 0.05, 0.2, 10.0):
        config = l1_wavelet.Config(weight=weight, power=power, n_iters=20, wavelet="db2")
        sizes.append(float(l1_wavelet.reconstruct(scan(image), ones, config).norm()))
    assert sizes[0] > sizes[1] > sizes[2] > sizes[3] == 0


@pytest.mark.parametrize("maps", [1, 2])
def test_sets_of_maps_join_to_one_image_of_their_energy(maps):
    x = drawn(2, maps, 1, 3, 4, seed=7)
    joined = cg_sense.join_maps(x)
    assert joined.shape == (2, 1, 1, 3, 4)
    energy = x.abs().square().sum(-4, keepdim=True)
    torch.testing.assert_close(joined.abs().square(), energy)
    assert maps > 1 or torch.equal(joined, x)


def copies(n: int = 32, acceleration: int = 2) -> tuple[KSpace, torch.Tensor]:
    """As many coils as lines are skipped, each with the k-space of the first, some lines further: c_j = exp(-i j y)."""
    y, x = torch.arange(n) - n // 2, torch.linspace(-1, 1, 24)
    object_ = torch.exp(-(((y / n * 3)[:, None] - 0.2) ** 2) - 3 * x**2) * (1 + 0.4 * torch.cos(1.9 * y)[:, None])
    waves = torch.exp(-2j * torch.pi * torch.arange(acceleration)[:, None] * y / n)[:, None, :, None]
    mask = torch.zeros(1, 1, n, 1, dtype=torch.bool)
    mask[:, :, ::acceleration] = True
    mask[:, :, n // 2 - 8 : n // 2 + 8] = True
    noise = 1e-3 * drawn(acceleration, 1, n, 24, seed=8)
    return scan(waves * object_ + noise, mask, noise_cov=1e-6 * torch.eye(acceleration, dtype=torch.complex64)), object_


@pytest.mark.parametrize("acceleration", [2, 3])
def test_grappa_finds_lines_that_another_coil_has_measured_and_loses_nothing(acceleration):
    """Every skipped line of one coil was measured by another: the image is whole, and g is 1 at every pixel."""
    kspace, object_ = copies(32 if acceleration == 2 else 33, acceleration)
    image = recon(kspace, "grappa", l2=1e-6)
    wanted = acceleration**0.5 * object_
    inside = wanted > 0.1 * wanted.max()
    found = image.values[0, 0].abs()
    assert float((found - wanted)[inside].norm() / wanted[inside].norm()) < 0.02
    g = image.extras["gfactor"].expand(1, 1, *found.shape)[0, 0][inside]
    torch.testing.assert_close(g, torch.ones_like(g), atol=0.03, rtol=0)


@given(st.integers(0, 99))
@settings(max_examples=10, deadline=None)
def test_zero_filled_combines_correlated_coils_by_the_inverse_of_their_noise(seed):
    """rss^2 = s^2 x^H C^-1 x with s^2 the mean of the variances (Roemer 1990, eq. 24, on the old coils' scale)."""
    images, mix = drawn(3, 1, 6, 5, seed=seed), drawn(3, 3, seed=seed + 1) + 2 * torch.eye(3)
    cov = 1e-3 * mix @ mix.mH
    found = recon(scan(images, noise_cov=cov), "zero_filled").values[0, 0].double()
    x, C = images.flatten(1).numpy().astype(complex), cov.numpy().astype(complex)
    power = np.einsum("in,ij,jn->n", x.conj(), np.linalg.inv(C), x).real * np.trace(C).real / 3
    np.testing.assert_allclose(found.flatten().numpy(), np.sqrt(power), rtol=2e-3)


@given(st.floats(0, 5), st.floats(0, 5))
@settings(max_examples=20, deadline=None)
def test_the_noise_floor_adds_in_squares_and_leaves_its_note(size, floor):
    values = torch.full((1, 1, 2, 2), size, dtype=torch.complex64) * 1j
    level = torch.full((1, 1, 1, 1), floor)
    geometry = Geometry.unknown((1, 2, 2))
    image = Image(values=values, geometries=(geometry,), extras={"noise_floor": level, "csm": values})
    shown = with_noise_floor(image)
    wanted = torch.full((1, 1, 2, 2), float(np.hypot(size, floor)))
    torch.testing.assert_close(shown.values.abs(), wanted, rtol=1e-5, atol=1e-12)
    assert set(shown.extras) == {"csm"} and "noise power of all coils" in shown.header.history[-1]
    assert with_noise_floor(shown) is shown
