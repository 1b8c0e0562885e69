"""Agreement: the result, degraded again, is the input, for every degradation, whatever a method made."""

from __future__ import annotations

import pytest
import torch
from fine_heads import head, psnr

from spinecho.tasks.superres.parts.agree import TOLERANCE, agreed, disagreement
from spinecho.tasks.superres.parts.degrade import Degradation, along, maps_of
from spinecho.tasks.superres.parts.spline import enlarged, sinc, spline

KINDS = [Degradation("kspace"), Degradation("blur", 0.6), Degradation("blur", 1.1)]
KINDS += [Degradation("slices", w) for w in (0.4, 0.8, 1.0, 1.2)] + [Degradation("slices", 0.9, "gaussian")]
every = pytest.mark.parametrize("kind", KINDS, ids=str)
LOW, HIGH = (7, 12, 10), (21, 24, 33)


def degraded(kind: Degradation) -> tuple[torch.Tensor, torch.Tensor]:
    truth = head(HIGH)
    return truth, along(truth, maps_of((kind,) * 3, LOW, HIGH))


@every
@pytest.mark.parametrize("start", ["zero", "noise", "spline"])
def test_any_start_comes_to_agree(kind, start):
    truth, low = degraded(kind)
    rng = torch.Generator().manual_seed(0)
    starts = {"zero": torch.zeros(HIGH), "noise": torch.randn(HIGH, generator=rng), "spline": enlarged(low, HIGH)}
    x = agreed(starts[start], low, (kind,) * 3)
    assert disagreement(x, low, (kind,) * 3) < TOLERANCE / 10
    assert x.dtype == truth.dtype


@every
def test_what_agrees_stays(kind):
    truth, low = degraded(kind)
    torch.testing.assert_close(agreed(truth, low, (kind,) * 3), truth, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", [k for k in KINDS if k.width > 0.4], ids=str)  # most of the field unseen is no help
def test_it_brings_an_interpolated_image_nearer_to_the_truth(kind):
    truth, low = degraded(kind)
    before = enlarged(low, HIGH)
    assert psnr(agreed(before, low, (kind,) * 3), truth) > psnr(before, truth) - 0.05


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_units_change_nothing(scale):
    kind = Degradation("slices", 0.8)
    truth, low = degraded(kind)
    x = enlarged(low, HIGH)
    other = agreed(scale * x, scale * low, (kind,) * 3)
    torch.testing.assert_close(other / scale, agreed(x, low, (kind,) * 3), rtol=1e-4, atol=1e-5)
    assert disagreement(scale * x, scale * low, (kind,) * 3) == pytest.approx(
        disagreement(x, low, (kind,) * 3), rel=1e-3
    )
    assert truth.shape == x.shape


def test_kspace_keeps_what_a_method_put_beyond_the_measured_band():
    """A^H (A A^H)^-1 A projects onto what was measured: the rest is the method's, to the bit of rounding."""
    kind = Degradation("kspace")
    truth, low = degraded(kind)
    made = torch.rand(HIGH, dtype=torch.float64)
    x = agreed(made, low.double(), (kind,) * 3)
    maps = maps_of((kind,) * 3, LOW, HIGH)
    beyond = lambda v: v - along(along(v, maps), [torch.linalg.pinv(m) for m in maps])  # noqa: E731
    torch.testing.assert_close(beyond(x), beyond(made), rtol=1e-9, atol=1e-9)
    assert truth.numel() == x.numel()


def test_zero_filling_agrees_by_itself():
    kind = Degradation("kspace")
    _, low = degraded(kind)
    odd = low[:, :11, :9]
    x = enlarged(odd.double(), (21, 33, 27), sinc)
    assert disagreement(x, odd.double(), (kind,) * 3) < 1e-12


def test_axes_that_stay_are_left_alone():
    kind = Degradation("slices", 0.8)
    truth = head((20, 9, 8))
    low = along(truth, maps_of((kind, None, None), (5, 9, 8), truth.shape))
    x = agreed(enlarged(low, truth.shape), low, (kind, None, None))
    alone = agreed(
        enlarged(low[:, 4:5, 3:4], (20, 1, 1)), low[:, 4:5, 3:4], (kind, None, None)
    )  # columns know nothing of each other
    torch.testing.assert_close(x[:, 4:5, 3:4], alone)
    assert agreed(truth, truth, (None,) * 3) is not None and disagreement(truth, truth, (None,) * 3) == 0


def test_nothing_there_disagrees_with_nothing():
    zero = torch.zeros(4, 4, 4)
    assert disagreement(torch.zeros(8, 8, 8), zero, (Degradation("kspace"),) * 3) == 0


@pytest.mark.parametrize("width", [0.4, 0.8, 1.2])
@pytest.mark.parametrize(("n_low", "n_high"), [(20, 40), (24, 120), (31, 77)])
def test_the_step_amplifies_noise_little(width, n_low, n_high):
    """Smallest singular value of A U: what is divided by."""
    for kind in (Degradation("slices", width), Degradation("blur", min(width, 1.0))):
        least = torch.linalg.svdvals(kind.matrix(n_low, n_high) @ spline(n_low, n_high)).min()
        assert float(least) > 0.15, kind
