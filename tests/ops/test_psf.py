"""The hybrid-space model equals the plain one, whatever axes are undersampled."""

from __future__ import annotations

import pytest
import torch

from spinecho.ops import psf
from spinecho.ops.coils import Coils
from spinecho.ops.fourier import Fourier
from spinecho.ops.psf import CartesianSense, undersampled_axes
from spinecho.ops.sampling import Sampling

MASKS = {
    "lines": (1, 7, 1),
    "lines, as long as the grid": (1, 7, 9),
    "k2 only": (6, 1, 1),
    "k2 and k1": (6, 7, 1),
    "k1 and k0": (1, 7, 9),
    "all": (6, 7, 9),
    "none": (1, 1, 1),
}
GRID = (6, 7, 9)


def randn(*shape: int, rng: torch.Generator) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.complex128, generator=rng)


def draw(kind: str, rng: torch.Generator) -> torch.Tensor:
    mask = torch.rand((1, *MASKS[kind]), generator=rng) > 0.5
    mask[0, 0, 0, 0], mask[..., -1:, -1:, -1:] = True, kind == "none"
    return mask[..., :1].expand(1, *GRID) if kind == "lines, as long as the grid" else mask


@pytest.mark.parametrize("n_maps", [1, 2])
@pytest.mark.parametrize("kind", MASKS)
def test_equals_the_plain_model(kind, n_maps, rng):
    mask, csm = draw(kind, rng), randn(2, n_maps, 3, *GRID, rng=rng)
    plain, fast = Sampling(mask) @ Fourier() @ Coils(csm), CartesianSense(mask, csm)
    x, y = randn(2, n_maps, *GRID, rng=rng), randn(2, 3, *GRID, rng=rng)
    torch.testing.assert_close(fast(x), plain(x), rtol=0, atol=1e-10)
    torch.testing.assert_close(fast.adjoint(y), plain.adjoint(y), rtol=0, atol=1e-10)
    torch.testing.assert_close(fast.normal(x), plain.normal(x), rtol=0, atol=1e-10)


@pytest.mark.parametrize("chunk", [2**18, 100])
@pytest.mark.parametrize("n_maps", [1, 2])
@pytest.mark.parametrize("kind", MASKS)
def test_residual_equals_the_plain_one(kind, n_maps, chunk, rng, monkeypatch):
    """Norms and A^H (A x - y), whatever is measured outside the maps' reach too."""
    monkeypatch.setattr(psf, "_CHUNK", {"cpu": chunk})
    grid = (*GRID[:2], 50) if kind in ("lines", "k2 and k1", "none") else GRID
    mask, csm = draw(kind, rng), randn(2, n_maps, 3, *grid, rng=rng)
    if grid != GRID:
        csm[..., :25], csm[..., 45:] = 0, 0
    plain, fast = Sampling(mask) @ Fourier() @ Coils(csm), CartesianSense(mask, csm)
    x, y = randn(2, n_maps, *grid, rng=rng), mask * randn(2, 3, *grid, rng=rng)
    size, image = fast.residual(x, y)
    torch.testing.assert_close(size, torch.linalg.vector_norm(plain(x) - y, dim=(-4, -3, -2, -1)))
    torch.testing.assert_close(image, plain.adjoint(plain(x) - y), rtol=0, atol=1e-10)
    for found, expected in zip(plain.residual(x, y), (size, image), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


def test_residual_of_frames_with_masks_of_their_own(rng):
    mask, csm = torch.rand((4, 1, 1, 7, 1), generator=rng) > 0.5, randn(1, 1, 3, *GRID, rng=rng)
    plain, fast = Sampling(mask) @ Fourier() @ Coils(csm), CartesianSense(mask, csm)
    x, y = randn(4, 1, *GRID, rng=rng), randn(4, 3, *GRID, rng=rng)
    torch.testing.assert_close(fast.adjoint(y), plain.adjoint(y), rtol=0, atol=1e-10)
    size, image = fast.residual(x, mask * y)
    torch.testing.assert_close(size, torch.linalg.vector_norm(plain(x) - mask * y, dim=(-4, -3, -2, -1)))
    torch.testing.assert_close(image, plain.adjoint(plain(x) - y), rtol=0, atol=1e-10)


def test_finds_the_undersampled_axes(rng):
    found = {kind: undersampled_axes(draw(kind, rng)) for kind in MASKS}
    assert found["lines"] == found["lines, as long as the grid"] == (-2,)
    assert found["k2 only"] == (-3,)
    assert found["k2 and k1"] == (-3, -2)
    assert found["k1 and k0"] == (-2, -1)
    assert found["all"] == (-3, -2, -1)
    assert found["none"] == ()


def test_memory_bound_does_not_change_the_result(rng, monkeypatch):
    mask, csm, x = draw("k2 and k1", rng), randn(1, 3, *GRID, rng=rng), randn(1, *GRID, rng=rng)
    whole = CartesianSense(mask, csm).normal(x)
    monkeypatch.setattr(psf, "_CHUNK", {"cpu": 3 * 6 * 7 * 2})
    torch.testing.assert_close(CartesianSense(mask, csm).normal(x), whole)


def test_maps_shared_by_frames_are_kept_once(rng):
    csm = randn(1, 1, 3, *GRID, rng=rng).expand(5, 1, 3, *GRID)
    A = CartesianSense(draw("lines", rng), csm)
    assert A.maps.shape[0] == 1
    x = randn(5, 1, *GRID, rng=rng)
    torch.testing.assert_close(A.normal(x), A.adjoint(A(x)))


def test_gradient_with_respect_to_the_maps(rng):
    mask, x = draw("lines", rng), randn(1, 1, *GRID, rng=rng)
    csm = randn(1, 2, 1, *GRID, rng=rng).transpose(0, 1)[0][None].requires_grad_()
    assert torch.autograd.gradcheck(lambda c: CartesianSense(mask, c).normal(x), (csm,), fast_mode=True)


def test_positions_without_maps_are_left_out_and_come_back_as_zeros(rng):
    """What is kept along the readout is a multiple of 16 long: 20 positions have maps, 32 of 50 remain."""
    grid = (*GRID[:2], 50)
    mask, csm = draw("lines", rng), randn(2, 3, *grid, rng=rng)
    csm[..., :25], csm[..., 45:] = 0, 0
    plain, fast = Sampling(mask) @ Fourier() @ Coils(csm), CartesianSense(mask, csm)
    assert fast.maps.shape[-2] == 32
    x, y = randn(2, *grid, rng=rng), randn(3, *grid, rng=rng)
    torch.testing.assert_close(fast(x), plain(x), rtol=0, atol=1e-10)
    torch.testing.assert_close(fast.adjoint(y), plain.adjoint(y), rtol=0, atol=1e-10)
    torch.testing.assert_close(fast.normal(x), plain.normal(x), rtol=0, atol=1e-10)
    nothing = CartesianSense(mask, torch.zeros_like(csm))
    assert not nothing.normal(x).any()
