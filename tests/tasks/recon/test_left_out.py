"""Lines, points and spokes that are left out: which, how many, and the error on them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from drawn import drawn, drawn_spokes, nrmse, slices

from spinecho.calib.centre import calibration_blocks
from spinecho.calib.csm import estimate_csm
from spinecho.calib.prepare import prepare
from spinecho.core.kspace import KSpace
from spinecho.ops.model import forward_model
from spinecho.sim.scan import Scan, simulate_phantom
from spinecho.tasks.recon.parts.left_out import EVERY, EVERY_SPOKE, leave_out


def scan(sampling: str, **more) -> KSpace:
    return prepare(simulate_phantom(Scan(matrix=(1, 64, 32), sampling=sampling, fineness=1, n_coils=3, **more)).kspace)[
        0
    ]


def left(kspace: KSpace, fold) -> torch.Tensor:
    assert kspace.mask is not None and fold.kspace.mask is not None
    return kspace.mask & ~fold.kspace.mask


@pytest.mark.parametrize("sampling", ["random:2.5:10:1", "equispaced:2:10", "partial:0.7"])
def test_every_sixth_outer_line_and_none_twice(sampling):
    kspace = scan(sampling)
    folds = leave_out(kspace, EVERY)
    if sampling.startswith("partial"):
        assert folds == [], "one block: there is no gap to fill"
        return
    parts = torch.stack([left(kspace, fold).expand(1, 1, 64, 32) for fold in folds])
    assert int(parts.sum(0).max()) == 1 and len(folds) == EVERY
    counts = parts[..., 0].flatten(1).sum(1)
    assert int(counts.max() - counts.min()) <= 1
    box = calibration_blocks(kspace)[1][()]
    kept = kspace.mask.expand(1, 1, 64, 32) & ~parts.any(0)
    lines = kept[0, 0, :, 0].nonzero().flatten().tolist()
    assert set(range(box[1].start, box[1].stop)) <= set(lines), "the calibration block stays"
    assert (parts == parts[..., :1]).all(), "whole lines"
    for fold in folds:
        assert torch.equal(fold.kspace.samples != 0, (kspace.samples != 0) & fold.kspace.mask)
        assert torch.equal(estimate_csm(fold.kspace), estimate_csm(kspace)), "so do the coil maps"


@pytest.mark.parametrize(("lines", "folds", "every"), [(72, 2, 6), (36, 2, 6), (35, 2, 4), (20, 3, 4), (10, 4, 4)])
def test_of_few_lines_every_fourth_is_left_out_and_of_many_every_sixth(lines, folds, every):
    """Twelve in all where as many are there, in as few folds as that takes; none twice."""
    where = torch.zeros(256, 1, dtype=torch.bool)
    outer = torch.cat([torch.arange(0, 100), torch.arange(160, 256)])
    where[outer[torch.linspace(0, len(outer) - 1, lines).round().long()]] = where[113:144] = True
    like = scan("full")
    encoding = replace(like.encoding, matrix=(1, 256, 32), recon_matrix=(1, 256, 32), centre=(0, 128, 16))
    samples = torch.ones(3, 1, 256, 32, dtype=torch.complex64) * where
    few = replace(like, samples=samples, mask=where[None, None], encoding=encoding, target=None)
    parts = torch.stack([left(few, fold).expand(1, 1, 256, 32)[0, 0, :, 0] for fold in leave_out(few)])
    assert len(parts) == folds and int(parts.sum(0).max()) == 1
    assert all(lines // every <= int(part.sum()) <= -(-lines // every) for part in parts)
    assert int(parts.sum()) >= min(12, lines)


def test_few_folds_are_spread():
    kspace = scan("random:2:10:1")
    six, two = leave_out(kspace, EVERY), leave_out(kspace, 2)
    assert [torch.equal(left(kspace, t), left(kspace, six[i])) for t, i in zip(two, (0, 3), strict=True)] == [
        True,
        True,
    ]


def test_points_where_the_mask_scatters_points():
    kspace = drawn(4, kind="points")
    (fold,) = leave_out(kspace, 1)
    which = left(kspace, fold)[0, 0]
    assert 0.05 < float(which.sum() / kspace.mask.sum()) < 0.2
    assert int(which.any(0).sum()) > 20 and int(which.any(1).sum()) > 20, "all over the plane"


@pytest.mark.parametrize(("side", "folds"), [(48, 2), (96, 1)])
def test_of_plenty_of_points_one_fold_is_enough(side, folds):
    """On 96 x 96 points at R = 3 there are over 1000 to spare; lines, which are fewer, are left out twice."""
    sizes = {"matrix": (1, side, side), "n_coils": 3, "fineness": 1}
    points, lines = (
        prepare(simulate_phantom(Scan(sampling=f"{kind}:3:12:1", **sizes)).kspace)[0] for kind in ("poisson", "random")
    )
    assert len(leave_out(points)) == folds and len(leave_out(points, 2)) == 2
    assert len(leave_out(lines)) >= 2


def test_a_cut_echo_does_not_make_points_of_lines():
    kspace = scan("random:2.5:10:1")
    whole = torch.arange(32) >= 8
    cut = replace(kspace, samples=kspace.samples * whole, mask=kspace.mask & whole)
    (fold,) = leave_out(cut, 1)
    which = left(cut, fold)[0, 0]
    assert (which[:, 8:] == which[:, 8:9]).all() and not which[:, :8].any() and which.any()


def test_frames_with_masks_of_their_own():
    kspace = scan("kt-random:2.5:8:1", n_frames=3)
    (fold,) = leave_out(kspace, 1)
    assert bool(left(kspace, fold).expand(3, 1, 1, 64, 32).flatten(1).any(1).all())
    assert fold.count.shape == (3,) and bool((fold.count % (3 * 32) == 0).all())


def test_frames_that_are_judged_together_may_have_few_lines():
    """A frame with its calibration lines alone leaves nothing out, and the others do."""
    kspace = scan("kt-random:2.5:8:1", n_frames=3)
    few = kspace.mask.clone()
    few[1] = False
    few[1, :, :, 28:36] = kspace.mask[1, :, :, 28:36]
    less = replace(kspace, mask=few, samples=kspace.samples * few)
    assert leave_out(less, 1) == []
    (fold,) = leave_out(less, 1, together=True)
    gone = left(less, fold).flatten(1).any(1)
    assert gone.tolist() == [True, False, True] and float(fold.count[1]) == 0


def test_too_few_lines_are_left_alone():
    kspace = scan("random:2.5:10:1")
    lines = torch.zeros(64, 1, dtype=torch.bool)
    lines[27:38] = lines[3] = lines[60] = True
    few = replace(kspace, mask=lines[None, None], samples=kspace.samples * lines)
    assert leave_out(few, 2) == []
    assert leave_out(scan("full"), 2) == []
    assert leave_out(drawn_spokes(2, n_spokes=2 * EVERY_SPOKE), 1) == []


@pytest.mark.parametrize("kind", ["random", "points"])
def test_errors_are_those_of_the_forward_model(kind):
    kspace = slices(drawn(3, kind=kind), drawn(3, kind=kind, seed=1))
    csm = estimate_csm(kspace)
    (fold,) = leave_out(kspace, 1)
    rng = torch.Generator().manual_seed(0)
    x, z = (torch.randn(2, 1, 1, 40, 36, dtype=torch.complex64, generator=rng) for _ in range(2))
    A = forward_model(kspace, csm)
    with torch.no_grad():
        dense = [((A(v) - kspace.samples) * left(kspace, fold)).flatten(1) for v in (x, z)]
        quick = [fold.errors(v, csm) for v in (x, z)]
    for a, b in ((0, 0), (0, 1)):
        expected = (dense[a].conj() * dense[b]).sum(-1).real
        assert nrmse((quick[a].conj() * quick[b]).sum(-1).real, expected) < 1e-4
    assert torch.equal(fold.count, left(kspace, fold).expand(2, 1, 1, 40, 36).flatten(1).sum(1) * 3)
    nothing = fold.errors(torch.zeros_like(x), csm)
    assert nrmse(nothing.abs().square().sum(-1), fold.energy.float()) < 1e-4


def test_spokes_and_the_error_of_the_object_is_the_noise():
    kspace = drawn_spokes(4, n_spokes=20)
    (fold,) = leave_out(kspace, 1)
    assert fold.kspace.samples.shape[-2] == 16 and fold.kspace.traj.shape[-3] == 16
    csm = estimate_csm(kspace)
    zeros = torch.zeros(1, 1, 40, 40, dtype=torch.complex64)
    nothing = float(fold.errors(zeros, csm).abs().square().sum())
    assert nothing == pytest.approx(float(fold.energy), rel=1e-4)
    assert float(fold.count) > 0 and fold.kspace.mask is None
