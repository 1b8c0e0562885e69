"""Sparse iterations of examples with schedules of their own, and what is kept where no coil map reaches."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from drawn import BUILD, drawn, trained

from spinecho.calib.csm import estimate_csm
from spinecho.calib.noise import with_noise_level
from spinecho.core.kspace import KSpace
from spinecho.solve.fista import fista, momenta
from spinecho.tasks.recon.methods import checked, l1_wavelet, pnp
from spinecho.tasks.recon.methods._candidates import Candidates, Tools
from spinecho.tasks.recon.parts.left_out import EVERY, leave_out
from spinecho.tasks.recon.parts.splitting import denoised, problem

PLAIN = {"network": "none", "hqs_net": "none", "denoiser": "wavelet", "n_steps": 2, "start_iters": 4}


def hollow(kspace: KSpace) -> torch.Tensor:
    """Coil maps with a hole in the middle of the object."""
    csm = estimate_csm(kspace).clone()
    y, x = csm.shape[-2] // 2, csm.shape[-1] // 2
    csm[..., y - 3 : y + 3, x - 3 : x + 3] = 0
    return csm


@pytest.mark.parametrize(("n_iters", "length"), [(1, 1), (7, 9), (60, 90)])
def test_a_schedule_sinks_restarts_and_is_filled_up(n_iters, length):
    levels, overshoots = l1_wavelet._schedule(n_iters, length)
    assert len(levels) == len(overshoots) == length
    assert levels[:n_iters] == sorted(levels[:n_iters], reverse=True) and levels[n_iters - 1] >= 1
    assert not any(levels[n_iters:]) and not any(overshoots[n_iters:])
    settling = min(6, n_iters // 2)
    if settling:
        assert overshoots[n_iters - settling - 1] == 0 and overshoots[n_iters - settling] == 0


def test_momenta_are_those_of_fista():
    seen = []

    def prox(x: torch.Tensor) -> torch.Tensor:
        seen.append(float(x))
        return x - 1

    states = fista(torch.zeros_like, prox, torch.zeros(()))
    xs = [float(next(states).x) for _ in range(5)]
    for k, momentum in zip(range(1, 4), momenta(), strict=False):
        assert seen[k] == pytest.approx(xs[k] + momentum * (xs[k] - xs[k - 1]))


@pytest.mark.parametrize("counts", [[0, 0], [2, 2], [5, 1], [1, 0]])
def test_each_example_takes_its_own_number_of_iterations(counts):
    scans = [with_noise_level(drawn(3, seed=i)) for i in (0, 1)]
    whole = KSpace.joined(scans)
    csm = estimate_csm(whole)
    together = l1_wavelet.reconstruct_each(whole, csm, l1_wavelet.Config(), counts, cut=False)
    for i, n in enumerate(counts):
        alone = l1_wavelet.reconstruct(whole.take("example", [i]), csm[[i]], l1_wavelet.Config(n_iters=n), cut=False)
        torch.testing.assert_close(together[[i]], alone, rtol=1e-4, atol=1e-5)


def test_a_weight_that_is_given_counts_for_each_example():
    whole = KSpace.joined([with_noise_level(drawn(3, seed=i)) for i in (0, 1)])
    csm = estimate_csm(whole)
    config = l1_wavelet.Config(weight=0.01, wavelet="db2")
    together = l1_wavelet.reconstruct_each(whole, csm, config, [3, 2], cut=False)
    alone = l1_wavelet.reconstruct(whole.take("example", [0]), csm[[0]], replace(config, n_iters=3), cut=False)
    torch.testing.assert_close(together[[0]], alone, rtol=1e-4, atol=1e-5)


def test_a_hole_in_the_maps_keeps_what_the_start_has_filled_in():
    """Few lines calibrate badly; blanked pixels in the object cost decibels on a real abdomen."""
    kspace = drawn(4)
    csm = hollow(kspace)
    hole = (csm == 0).all(-4)
    config = pnp.Config(n_steps=2, start_iters=4, denoiser="wavelet")
    with torch.no_grad():
        start = l1_wavelet.reconstruct(kspace, csm, l1_wavelet.Config(n_iters=4))
        image = pnp.reconstruct(kspace, csm, config, lambda x, level: 0.5 * x)
        chosen = Tools("l1_wavelet", trained("varnet"), None, None, config)
        network = Candidates(kspace, csm, chosen)["varnet"]
    assert bool(hole.any()) and float(start[hole].abs().max()) > 0
    for made in (image, network):
        torch.testing.assert_close(made[hole], start[hole], rtol=1e-4, atol=1e-6)
        assert not torch.allclose(made[~hole], start[~hole], atol=1e-3)


def test_denoising_changes_nothing_outside_the_maps():
    kspace = drawn(4)
    csm = hollow(kspace)
    solved = problem(kspace, csm)
    x = torch.randn(1, 1, *csm.shape[-2:], dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    clean = denoised(lambda slices, level: 0 * slices, x, torch.ones(1, 1, 1, 1), solved.support)
    assert torch.equal(clean[~solved.support.where], x[~solved.support.where])
    assert not clean[solved.support.where].any()


@pytest.mark.parametrize(("every", "folds"), [(2, 2), (5, 3), (7, 4)])
def test_the_fewer_lines_the_more_folds(every, folds):
    kspace = drawn(3, shape=(96, 36), kind="random")
    mask = torch.zeros(96, 1, dtype=torch.bool)
    mask[::every] = mask[40:56] = True
    few = replace(kspace, mask=mask[None, None], samples=kspace.samples * mask)
    found = leave_out(few)
    assert len(found) == min(folds, EVERY) and len(leave_out(few, 1)) == 1
    left = torch.stack([(few.mask & ~fold.kspace.mask)[0, 0, :, 0] for fold in found])
    assert int(left.sum(0).max()) == 1, "no line is left out twice"


def test_folds_and_starts_are_chosen_by_the_scan_unless_said():
    kspace = drawn(3)
    image = checked.Method(checked.Config(**PLAIN))(kspace)
    again = checked.Method(checked.Config(**PLAIN, folds=6))(kspace)
    assert torch.isfinite(image.values.abs()).all() and image.values.shape == again.values.shape
    assert checked.Config().folds is None and pnp.Config().start_iters is None


def test_unet_changes_nothing_outside_the_maps():
    kspace = drawn(4)
    csm = hollow(kspace)
    with torch.no_grad():
        image = BUILD["unet"]().reconstruct(kspace, csm)
    assert not image[(csm == 0).all(-4)].any()


def test_joined_scans_are_reconstructed_as_apart():
    scans = [with_noise_level(drawn(3, seed=i)) for i in (0, 1)]
    whole = KSpace.joined(scans)
    config = l1_wavelet.Config(n_iters=3)
    together = l1_wavelet.reconstruct(whole, estimate_csm(whole), config, cut=False)
    for i, scan in enumerate(scans):
        alone = l1_wavelet.reconstruct(scan, estimate_csm(scan), config, cut=False)
        torch.testing.assert_close(together[i], alone, rtol=1e-4, atol=1e-5)
