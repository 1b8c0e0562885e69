"""Every operator under `ops/` has a right adjoint, to 1e-10 in float64."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable

import pytest
import torch

import spinecho.ops as ops
from spinecho.ops.linop import LinearOperator, adjoint_mismatch

Case = Callable[[torch.Generator], tuple[LinearOperator, tuple[int, ...], tuple[int, ...]]]


def randn(shape: tuple[int, ...], rng: torch.Generator) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.complex128, generator=rng)


def _operators() -> dict[str, type[LinearOperator]]:
    found = {}
    for info in pkgutil.iter_modules(ops.__path__):
        module = importlib.import_module(f"spinecho.ops.{info.name}")
        for name, cls in inspect.getmembers(module, inspect.isclass):
            if issubclass(cls, LinearOperator) and not inspect.isabstract(cls) and cls.__module__ == module.__name__:
                found[f"{info.name}.{name}"] = cls
    return found


def _fourier(rng):
    return _operators()["fourier.Fourier"](), (2, 3, 5, 6, 7), (2, 3, 5, 6, 7)


def _sampling(rng):
    mask = torch.rand((1, 1, 6, 7), generator=rng) > 0.5
    return _operators()["sampling.Sampling"](mask), (2, 3, 1, 6, 7), (2, 3, 1, 6, 7)


def _crop(rng):
    return _operators()["sampling.CentreCrop"]((1, 7, 8), (1, 4, 11)), (2, 1, 7, 8), (2, 1, 4, 11)


def _coils(rng):
    return _operators()["coils.Coils"](randn((2, 2, 4, 1, 6, 7), rng)), (2, 2, 1, 6, 7), (2, 4, 1, 6, 7)


def _points(rng):
    return (torch.rand((2, 2, 5, 9, 3), generator=rng, dtype=torch.float64) - 0.5) * torch.tensor([7, 6, 4])


def _nufft(rng):
    return _operators()["nufft.NUFFT"](_points(rng), (4, 6, 7), eps=1e-12), (2, 3, 4, 6, 7), (2, 3, 2, 5, 9)


def _toeplitz(rng):
    weights = torch.rand((2, 1, 2, 5, 9), generator=rng, dtype=torch.float64)
    T = _operators()["toeplitz.Toeplitz"](_points(rng), (4, 6, 7), weights, eps=1e-12, dtype=torch.complex128)
    return T, (2, 3, 4, 6, 7), (2, 3, 4, 6, 7)


def _cartesian_sense(rng):
    mask = torch.rand((2, 1, 3, 6, 1), generator=rng) > 0.5
    csm = randn((1, 2, 4, 3, 6, 5), rng)
    return _operators()["psf.CartesianSense"](mask, csm), (2, 2, 3, 6, 5), (2, 4, 3, 6, 5)


def _wavelet(rng):
    return _operators()["wavelet.Wavelet"]((3, 33, 20)), (2, 3, 33, 20), (2, 3, 33, 20)


def _differences(rng):
    return _operators()["diff.Differences"](), (2, 3, 1, 6, 7), (3, 2, 3, 1, 6, 7)


CASES: dict[str, Case] = {
    "fourier.Fourier": _fourier,
    "sampling.Sampling": _sampling,
    "sampling.CentreCrop": _crop,
    "coils.Coils": _coils,
    "psf.CartesianSense": _cartesian_sense,
    "diff.Differences": _differences,
    "wavelet.Wavelet": _wavelet,
    "nufft.NUFFT": _nufft,
    "toeplitz.Toeplitz": _toeplitz,
}
"""An operator's example: (operator, shape of x, shape of y). A new operator adds one here, or the contract fails."""

ALGEBRA = {"linop.Adjoint", "linop.Composition", "linop.Sum", "linop.Scaling", "linop.Identity"}
TOLERANCE: dict[str, float] = {}


def test_every_operator_has_a_case():
    missing = set(_operators()) - set(CASES) - ALGEBRA
    assert not missing, f"add an example to CASES for {sorted(missing)}"


@pytest.mark.parametrize("name", sorted(CASES))
def test_adjoint(name, rng):
    A, x_shape, y_shape = CASES[name](rng)
    assert adjoint_mismatch(A, randn(x_shape, rng), randn(y_shape, rng)) < TOLERANCE.get(name, 1e-10)


@pytest.mark.parametrize("name", sorted(CASES))
def test_normal_is_adjoint_of_forward(name, rng):
    A, x_shape, _ = CASES[name](rng)
    x = randn(x_shape, rng)
    expected = A.adjoint(A(x))
    assert torch.linalg.vector_norm(A.normal(x) - expected) <= TOLERANCE.get(name, 1e-10) * torch.linalg.vector_norm(
        expected
    )


def test_algebra_keeps_the_adjoint(rng):
    F, shape, _ = _fourier(rng)
    D = _operators()["sampling.Sampling"](torch.rand((1, 1, *shape[-3:]), generator=rng) > 0.3)
    x, y = randn(shape, rng), randn(shape, rng)
    for A in (D @ F, F.H, D + F, (2 - 3j) * (D @ F), (D @ F).H @ F, F * torch.tensor(2j)):
        assert adjoint_mismatch(A, x, y) < 1e-10


@pytest.mark.parametrize("name", sorted(CASES))
def test_gradcheck(name, rng):
    A, x_shape, _ = CASES[name](rng)
    x = randn(x_shape, rng).requires_grad_()
    # finufft's threads add up their parts in the order in which they finish: the last bits differ
    assert torch.autograd.gradcheck(A, (x,), fast_mode=True, nondet_tol=1e-12)
