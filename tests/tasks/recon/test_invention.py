"""What the samples leave open of a change, by its closed forms; lines held back; when a change disagrees with them."""

from __future__ import annotations

import pytest
import torch
from drawn import drawn, nrmse

from spinecho.calib.csm import estimate_csm
from spinecho.core.kspace import KSpace
from spinecho.ops.coils import Coils
from spinecho.ops.fourier import fft, ifft
from spinecho.ops.psf import CartesianSense
from spinecho.tasks.recon.parts.division import outer_of
from spinecho.tasks.recon.parts.invention import disagreement, held_back, left_open
from spinecho.tasks.recon.parts.normal import normal_equations

LEVEL = torch.full((1, 1, 1, 1), 0.04)


def noise_like(kspace: KSpace, seed: int = 0) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(1, *kspace.encoding.matrix, dtype=torch.complex64, generator=rng)


@pytest.mark.parametrize("kind", ["random", "points"])
def test_of_one_coil_the_unmeasured_stays_and_the_measured_goes(kind):
    kspace = drawn(1, kind=kind)
    csm, u = torch.ones_like(kspace.samples).unsqueeze(-5), noise_like(kspace)
    v = left_open(u, normal_equations(kspace, csm, cut=False), LEVEL, 3)
    before, after = fft(u), fft(v)
    torch.testing.assert_close(after * ~kspace.mask, before * ~kspace.mask, atol=1e-4, rtol=1e-4)
    share = 0.04 / 1.04
    torch.testing.assert_close(after * kspace.mask, share * before * kspace.mask, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("weight", [1e-3, 0.04, 1.0])
def test_of_many_coils_it_is_the_minimum_and_its_samples_are_bounded(weight):
    kspace = drawn(4)
    csm, u = estimate_csm(kspace), noise_like(kspace)
    u = u * (csm != 0).any(-4).any(-4, keepdim=True)
    A, w = CartesianSense(kspace.mask, csm), torch.full((1, 1, 1, 1), weight)
    v = left_open(u, normal_equations(kspace, csm, cut=False), w, 200)
    assert nrmse(A.adjoint(A(v)) + weight * v, weight * u) < 2e-3
    assert float(A(v).norm()) <= weight**0.5 / 2 * float(u.norm()) * 1.001
    few = left_open(u, normal_equations(kspace, csm, cut=False), w, 8)
    assert float(A(few).norm()) < 0.5 * float(A(u).norm()) or weight == 1.0
    assert nrmse(few, v) < 0.2


def test_a_scan_of_all_samples_leaves_nothing_open():
    kspace = drawn(1)
    mask = torch.ones_like(kspace.mask)
    csm, u = torch.ones_like(kspace.samples).unsqueeze(-5), noise_like(kspace)
    full = KSpace(samples=kspace.samples, mask=mask, encoding=kspace.encoding, geometries=kspace.geometries)
    v = left_open(u, normal_equations(full, csm, cut=False), torch.full((1, 1, 1, 1), 1e-4), 3)
    assert float(v.norm()) < 2e-4 * float(u.norm())


@pytest.mark.parametrize("kind", ["random", "equispaced", "points"])
def test_lines_held_back_are_some_of_the_outer_ones(kind):
    kspace = drawn(3, (64, 40), kind)
    left, outer = held_back(kspace, 6), outer_of(kspace)
    n = int(outer.sum())
    assert not (left & ~outer).any() and int(left.sum()) == -(-n // 6)
    torch.testing.assert_close(estimate_csm(kspace), estimate_csm(_without(kspace, left)))


def _without(kspace: KSpace, left: torch.Tensor) -> KSpace:
    from spinecho.tasks.recon.parts.left_out import without

    return without(kspace, left)


def test_scans_of_a_batch_hold_back_their_own_lines_and_short_ones_none():
    one, other = drawn(3, (64, 40)), drawn(3, (64, 40), seed=1)
    both = held_back(KSpace.joined([one, other]), 6)
    assert torch.equal(both[0], held_back(one, 6)) and torch.equal(both[1], held_back(other, 6))
    lines = torch.zeros(64, dtype=torch.bool)
    lines[26:38] = lines[5] = True
    few = _without(one, ~lines.reshape(1, 1, 64, 1))
    assert not held_back(few, 6).any()


def test_disagreement_by_its_closed_forms():
    kspace = drawn(1, (64, 40))
    csm, left = torch.ones_like(kspace.samples).unsqueeze(-5), held_back(kspace, 6)
    x = torch.zeros(1, 1, 64, 40, dtype=torch.complex64)
    right = ifft(kspace.samples * left)
    for factor, expected in ((0.0, 0.0), (1.0, 0.0), (2.0, 0.0), (3.0, 3.0), (-1.0, 3.0)):
        told = disagreement(kspace, csm, left, x, factor * right)
        assert told.shape == () and float(told) == pytest.approx(expected, abs=1e-4)
    elsewhere = noise_like(kspace)
    elsewhere = ifft(fft(elsewhere) * ~left)
    assert float(disagreement(kspace, csm, left, x, elsewhere)) < 1e-5, "it looks at the lines held back alone"
    nothing = disagreement(kspace, csm, torch.zeros_like(left), x, elsewhere)
    assert float(nothing) == 0.0


def test_disagreement_knows_what_the_image_says_without_the_change():
    """Adding what is missed is welcome, taking away what was right is not; derivatives are finite at no change."""
    kspace = drawn(3, (64, 40))
    csm, left = estimate_csm(kspace), held_back(kspace, 6)
    x = Coils(csm).adjoint(ifft(kspace.samples))
    change = torch.zeros_like(x).requires_grad_()
    told = disagreement(kspace, csm, left, x, change)
    (gradient,) = torch.autograd.grad(told, change)
    assert float(told.detach()) == 0 and torch.isfinite(torch.view_as_real(gradient)).all()
    assert float(disagreement(kspace, csm, left, x, -x)) > 0.5
