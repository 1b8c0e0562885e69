"""The centred transform against its sum, and the theorems that every Fourier transform keeps."""

from __future__ import annotations

import io
import math
import re
import tokenize
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import spinecho
from spinecho.ops.fourier import (
    Fourier,
    centring,
    convolve,
    fft,
    ifft,
    padded_convolve,
    plain_fft,
    plain_ifft,
    spectrum,
    spectrum_order,
)

SHAPES = [(1, 6, 8), (1, 5, 7), (4, 5, 6), (3, 1, 2), (1, 1, 1)]
shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)
DIMS = [(-1,), (-2,), (-3,), (-2, -1), (-3, -1), (-3, -2, -1)]


def randn(*shape: int, rng: torch.Generator) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.complex128, generator=rng)


def wave(n: int, k: int) -> torch.Tensor:
    """exp(2 pi i k r / n) with r = 0 at n // 2."""
    return torch.exp(2j * math.pi * k * (torch.arange(n, dtype=torch.float64) - n // 2) / n)


def matrix(n: int) -> torch.Tensor:
    """The centred unitary DFT by its definition."""
    index = torch.arange(n, dtype=torch.float64) - n // 2
    return torch.exp(-2j * math.pi * torch.outer(index, index) / n) / n**0.5


def along(dim: int, vector: torch.Tensor) -> torch.Tensor:
    return vector.reshape(-1, *[1] * (-dim - 1))


@shapes
def test_equals_its_sum(shape, rng):
    x = randn(2, *shape, rng=rng)
    expected = torch.einsum("az,by,cx,nzyx->nabc", *(matrix(n) for n in shape), x)
    torch.testing.assert_close(fft(x), expected)


@pytest.mark.parametrize("dims", DIMS, ids=str)
def test_each_axis_on_its_own(dims, rng):
    x = expected = randn(4, 5, 6, rng=rng)
    for d in dims:
        expected = (matrix(x.shape[d]) @ expected.movedim(d, -2).flatten(-1)).movedim(-2, d)
    torch.testing.assert_close(fft(x, dims), expected)
    torch.testing.assert_close(ifft(fft(x, dims), dims), x)


@settings(max_examples=30, deadline=None)
@given(st.tuples(*[st.integers(1, 9)] * 3), st.sampled_from(DIMS), st.integers(0, 99))
def test_energies_and_angles_are_kept(shape, dims, seed):
    """Parseval and Plancherel, at any size and along any axes."""
    rng = torch.Generator().manual_seed(seed)
    a, b = randn(*shape, rng=rng), randn(*shape, rng=rng)
    before, after = torch.vdot(a.flatten(), b.flatten()), torch.vdot(fft(a, dims).flatten(), fft(b, dims).flatten())
    torch.testing.assert_close(after, before)
    torch.testing.assert_close(ifft(fft(a, dims), dims), a)
    torch.testing.assert_close(Fourier(dims).normal(a), Fourier(dims).adjoint(Fourier(dims)(a)))


@pytest.mark.parametrize("n", [6, 7])
@pytest.mark.parametrize("shift", [-2, 1, 3])
def test_a_shift_is_a_phase_ramp_and_back(n, shift, rng):
    x = randn(1, n, 5, rng=rng)
    torch.testing.assert_close(fft(x.roll(shift, -2)), fft(x) * along(-2, wave(n, shift).conj()))
    torch.testing.assert_close(fft(x * along(-2, wave(n, shift))), fft(x).roll(shift, -2))


@pytest.mark.parametrize("n", [6, 7])
def test_points_and_constants(n):
    """A point in the middle has a flat spectrum without phase; a constant is k = 0 alone."""
    x = torch.zeros(1, n, n, dtype=torch.complex128)
    x[0, n // 2, n // 2] = 1
    torch.testing.assert_close(fft(x), torch.full_like(x, 1 / n))
    torch.testing.assert_close(fft(torch.ones_like(x)), n * x)


@pytest.mark.parametrize("n", [6, 7])
def test_a_real_image_has_a_hermitian_spectrum(n, rng):
    y = fft(torch.randn((n,), dtype=torch.float64, generator=rng) + 0j, (-1,))
    mirrored = y.flip(0).roll(1 - n % 2, 0)
    torch.testing.assert_close(mirrored, y.conj())


def test_single_precision_stays_single(rng):
    x = torch.randn((2, 1, 5, 6), dtype=torch.complex64, generator=rng)
    assert fft(x).dtype == ifft(x).dtype == torch.complex64
    torch.testing.assert_close(fft(x), fft(x.to(torch.complex128)).to(torch.complex64))


@pytest.mark.parametrize("dims", [(), *DIMS], ids=str)
def test_convolve_is_a_product_of_centred_spectra(dims, rng):
    x, response = randn(3, 4, 5, rng=rng), randn(3, 4, 5, rng=rng)
    expected = ifft(response * fft(x, dims), dims) if dims else response * x
    torch.testing.assert_close(convolve(x, spectrum_order(response, dims), dims), expected)


def test_spectrum_of_a_point_is_one_and_of_a_kernel_is_its_convolution(rng):
    kernel = torch.zeros(1, 5, 6, dtype=torch.complex128)
    kernel[0, 2, 3] = 1
    torch.testing.assert_close(spectrum(kernel), torch.ones_like(kernel))
    x = randn(1, 5, 6, rng=rng)
    moved = torch.zeros_like(kernel)
    moved[0, 3, 1] = 2j
    torch.testing.assert_close(convolve(x, spectrum(moved), (-3, -2, -1)), 2j * x.roll((1, -2), (-2, -1)))


@pytest.mark.parametrize("shape", [(1, 4, 5), (3, 4, 2), (1, 1, 3)], ids=str)
def test_padded_convolution_does_not_wrap(shape, rng):
    """Against the sum over all pairs of pixels, with a kernel that reaches across the whole image."""
    x = randn(*shape, rng=rng)
    doubled = tuple(2 * n if n > 1 else 1 for n in shape)
    kernel = randn(*doubled, rng=rng)
    expected = torch.zeros_like(x)
    at = torch.cartesian_prod(*(torch.arange(n) for n in shape))
    middle = torch.tensor([n // 2 for n in doubled])
    for r in at:
        for s in at:
            expected[tuple(r)] += kernel[tuple(r - s + middle)] * x[tuple(s)]
    torch.testing.assert_close(padded_convolve(x, spectrum(kernel)), expected)


@pytest.mark.parametrize("n", [1, 2, 6, 7, 320, 321])
def test_plain_transforms_with_the_phases_that_centre(n, rng):
    x = torch.randn((3, n), dtype=torch.complex128, generator=rng)
    a, b = centring(n, x)
    assert a.is_complex() == b.is_complex() == bool(n % 2)
    torch.testing.assert_close(b * plain_ifft(a * x, (-1,)), ifft(x, (-1,)))
    torch.testing.assert_close(a.conj() * plain_fft(b.conj() * x, (-1,)), fft(x, (-1,)))
    assert plain_fft(x, ()) is x and plain_ifft(x, ()) is x


def test_nothing_else_calls_an_fft():
    """House rule, also held by ruff (TID251): one place says where k = 0 lies and how transforms are scaled."""
    house = Path(spinecho.__file__).parent
    pattern = re.compile(r"\b(torch|np|numpy|scipy)\.(fft|fftpack)\b|from (torch|numpy|scipy)(\.\w+)* import .*\bfft")
    found = [f.relative_to(house).as_posix() for f in house.rglob("*.py") if pattern.search(_code(f))]
    assert found == ["ops/fourier.py"]


def _code(file: Path) -> str:
    """A module without its strings and comments."""
    tokens = tokenize.generate_tokens(io.StringIO(file.read_text(encoding="utf-8")).readline)
    return " ".join(t.string for t in tokens if t.type not in (tokenize.STRING, tokenize.COMMENT)).replace(" . ", ".")
