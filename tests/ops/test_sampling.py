"""Masks are projections; crops keep index n // 2 in the middle and are the pads' adjoints."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spinecho.core.geometry import Geometry
from spinecho.ops.fourier import fft, ifft
from spinecho.ops.linop import adjoint_mismatch
from spinecho.ops.sampling import CentreCrop, Sampling, acceleration, centre_crop

sizes = st.tuples(*[st.integers(1, 9)] * 3)


def randn(*shape: int, rng: torch.Generator) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.complex128, generator=rng)


@settings(max_examples=60, deadline=None)
@given(sizes, sizes)
def test_every_kept_value_keeps_its_distance_from_the_middle(old, new):
    index = torch.stack(torch.meshgrid(*(torch.arange(n) - n // 2 for n in old), indexing="ij"))
    cropped = centre_crop(index + 100, new)
    expected = torch.stack(torch.meshgrid(*(torch.arange(n) - n // 2 for n in new), indexing="ij"))
    inside = torch.ones(new, dtype=torch.bool)
    for axis, n in enumerate(old):
        inside &= (expected[axis] >= -(n // 2)) & (expected[axis] < n - n // 2)
    assert torch.equal(cropped[:, inside], expected[:, inside] + 100)
    assert not cropped[:, ~inside].any()


@settings(max_examples=40, deadline=None)
@given(sizes, sizes)
def test_crop_and_pad_are_adjoint_and_undo_each_other(full, cropped):
    rng = torch.Generator().manual_seed(sum(full))
    A = CentreCrop(full, cropped)
    assert adjoint_mismatch(A, randn(2, *full, rng=rng), randn(2, *cropped, rng=rng)) < 1e-12
    if all(m >= n for n, m in zip(full, cropped, strict=True)):
        x = randn(*full, rng=rng)
        assert torch.equal(A.adjoint(A(x)), x)


def test_only_the_last_axes_are_cropped_and_nothing_is_copied_for_it():
    x = torch.arange(2 * 3 * 5 * 6.0).reshape(2, 3, 5, 6)
    y = centre_crop(x, (3, 4))
    assert torch.equal(y, x[..., 1:4, 1:5])
    assert y.untyped_storage().data_ptr() == x.untyped_storage().data_ptr()
    assert centre_crop(x, x.shape) is not None and torch.equal(centre_crop(x, ()), x)


@settings(max_examples=40, deadline=None)
@given(sizes, sizes)
def test_the_geometry_is_cropped_alike(old, new):
    """The voxel in the middle lies at the same place of the world before and after."""
    g = Geometry.from_frame((3.0, -4.0, 5.0), [[0, -1, 0], [1, 0, 0], [0, 0, 1]], (0.5, 2.0, 3.0), old)
    after = g.centre_cropped(new)
    assert after.shape == new
    for geometry in (g, after):
        assert geometry.to_world([n // 2 for n in geometry.shape[::-1]]) == pytest.approx([3.0, -4.0, 5.0])


@pytest.mark.parametrize(("n", "m"), [(6, 9), (7, 10), (6, 13)])
def test_padding_k_space_adds_no_phase(n, m):
    """A constant stays a real constant when its spectrum is padded, for even and odd sizes alike."""
    x = torch.ones(1, 1, n, dtype=torch.complex128)
    y = ifft(centre_crop(fft(x), (1, 1, m))) * (m / n) ** 0.5
    torch.testing.assert_close(y, torch.ones_like(y))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_a_mask_is_a_projection(seed):
    rng = torch.Generator().manual_seed(seed)
    P = Sampling(torch.rand((2, 1, 1, 4, 1), generator=rng) > 0.5)
    x = randn(2, 3, 1, 4, 5, rng=rng)
    y = P(x)
    assert torch.equal(P(y), y) and torch.equal(P.adjoint(x), y) and torch.equal(P.normal(x), y)
    torch.testing.assert_close((y.abs() ** 2).sum() + ((x - y).abs() ** 2).sum(), (x.abs() ** 2).sum())


def test_net_acceleration():
    mask = torch.zeros(1, 1, 12, 5, dtype=torch.bool)
    mask[:, :, ::3] = True
    assert acceleration(mask) == 3
    mask[:, :, 5:8] = True
    assert acceleration(mask) == pytest.approx(12 / 6)
    assert acceleration(torch.ones_like(mask)) == 1
    assert acceleration(torch.zeros_like(mask)) == 60, "nothing measured is told, not divided by"
