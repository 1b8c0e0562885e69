"""varnet: an untrained one solves least squares, weights fit from version to version, and its plain reference form."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from drawn import BUILD, SIZES, drawn, nrmse, trained

from spinecho.calib.csm import estimate_csm
from spinecho.nets.features import root_mean_square
from spinecho.nets.unet import UNet
from spinecho.ops.coils import Coils, root_sum_of_squares
from spinecho.ops.fourier import fft, ifft
from spinecho.ops.model import forward_model
from spinecho.tasks.recon.methods import cg_sense, l1_wavelet, varnet
from spinecho.tasks.recon.parts.e2e import CoilMaps, EndToEnd
from spinecho.tasks.recon.parts.normal import normal_equations
from spinecho.tasks.recon.parts.refinement import Support

NOTHING_OF_THE_START = torch.tensor([-100.0, 0.0, 0.0])


@pytest.mark.parametrize("kind", ["random", "points"])
def test_untrained_cascade_solves_its_least_squares(kind):
    """z = x, so that x_1 = argmin |A x - y|^2 + w |x - x_0|^2: the gradient there is zero."""
    kspace = drawn(4, kind=kind)
    csm = estimate_csm(kspace)
    method = varnet.Method(varnet.Config(n_cascades=1, cg_iters=60, start_iters=0, **SIZES))
    with torch.no_grad():
        method.mix.copy_(NOTHING_OF_THE_START)
        start, x = method.images(kspace, csm)
        assert nrmse(start, normal_equations(kspace, csm).start()) < 1e-5
        A = forward_model(kspace, csm)
        w = method.cascades[0].weight((kspace.noise_cov[0, 0].real.sqrt() / root_mean_square(start)).float())
        gradient = A.adjoint(A(x) - kspace.samples) + w * (x - start)
    assert float(gradient.norm() / A.adjoint(kspace.samples).norm()) < 1e-4


def test_many_coils_start_from_cg_sense_and_few_from_sparse_wavelets():
    many, few = drawn(4), drawn(2)
    method = varnet.Method(varnet.Config(n_cascades=1, start_iters=5, start_coils=2, **SIZES))
    with torch.no_grad():
        start = method.images(many, estimate_csm(many))[0]
        expected = cg_sense.reconstruct(many, estimate_csm(many), cg_sense.Config(n_iters=8, tolerance=0.0))
        assert nrmse(start, expected) < 1e-4
        start = method.images(few, estimate_csm(few))[0]
        sparse = l1_wavelet.reconstruct(few, estimate_csm(few), l1_wavelet.Config(n_iters=5))
        assert nrmse(start, sparse * Support(estimate_csm(few)).where) < 1e-6


def test_starts_in_training_vary_with_the_scan_and_repeat():
    method = varnet.Method(varnet.Config(n_cascades=1, start_iters=8, start_coils=4, **SIZES))
    scans = [replace(drawn(2, seed=i), noise_cov=None) for i in range(12)]
    starts = [method.drawn_iters(s) for s in scans]
    assert starts == [method.drawn_iters(s) for s in scans]
    assert {n for one in starts for n in one} <= {0, 5, 8, 12} and len({n for one in starts for n in one}) > 1
    assert method.drawn_iters(drawn(5)) == [0]


def test_the_image_keeps_a_share_of_the_start():
    kspace, method = drawn(4), trained("varnet")
    csm = estimate_csm(kspace)
    accel = 1 / float(kspace.mask.float().mean())
    with torch.no_grad():
        method.mix.copy_(NOTHING_OF_THE_START)
        start, *_, network = method.images(kspace, csm)
        method.mix.copy_(torch.tensor([1.0, -1.0, 0.0]))
        share = 1 / (1 + torch.tensor(accel).log().sub(1).exp())
        torch.testing.assert_close(method.images(kspace, csm)[-1], torch.lerp(network, start, share.to(start.dtype)))


def test_weight_grows_with_the_noise():
    step = BUILD["varnet"]().cascades[0]
    low, high = (float(step.weight(torch.tensor(s)).detach()) for s in (0.01, 0.1))
    assert high / low == pytest.approx(10**0.5, rel=1e-4)


def test_networks_change_nothing_outside_the_coil_maps():
    kspace = drawn(4, (48, 40), width=0.5)
    csm = estimate_csm(kspace)
    where = Support(csm).where
    assert 0.1 < float(where.float().mean()) < 0.8
    with torch.no_grad():
        found = trained("varnet").images(kspace, csm)
    assert all(not x[~where].any() for x in found) and all(x[where].all() for x in found[1:])


def test_the_box_of_the_support_is_cut_and_put_back():
    csm = torch.zeros(1, 2, 1, 32, 21, dtype=torch.complex64)
    csm[..., 9:15, 17:20] = 1
    support = Support(csm)
    image = torch.arange(672.0).view(1, 1, 32, 21)
    assert (support.y, support.x) == ((8, 16), (16, 21))  # multiples of what the coarsest level sees, or the edge
    assert support.cut(image).shape == (1, 1, 8, 5)
    torch.testing.assert_close(support.put_back(support.cut(image)), image * support.where)
    nothing = Support(csm * 0)
    assert nothing.cut(image).shape == image.shape and not nothing.put_back(image).any()


def test_noise_level_reaches_the_network():
    method, kspace = trained("varnet"), drawn(4)
    csm = estimate_csm(kspace)
    with torch.no_grad():
        a, b = (method.reconstruct(replace(kspace, noise_cov=kspace.noise_cov * f), csm) for f in (1, 16))
    assert nrmse(a, b) > 3e-3


def test_samples_weigh_more_as_cascades_follow():
    """The image nears the measured samples after a refinement that knows nothing of them."""
    method, kspace = trained("varnet"), drawn(6)
    csm = estimate_csm(kspace)
    A = forward_model(kspace, csm)
    with torch.no_grad():
        equations = normal_equations(kspace, csm)
        start = equations.start()
        z = start * (1 + 0.3 * torch.randn(start.shape, generator=torch.Generator().manual_seed(0)))
        x = equations.consistent(z, torch.tensor(0.05), torch.tensor(1.0), 5)
        away = [float((A(v) - kspace.samples).norm()) for v in (z, x)]
        assert method.config.form == "solved" and away[1] < 0.5 * away[0]


def test_names_and_first_weights_are_those_that_runs_were_begun_with():
    torch.manual_seed(4)
    first = UNet(7, 2, **SIZES).state_dict()
    torch.manual_seed(4)
    state = varnet.Method(varnet.Config(n_cascades=3, **SIZES)).state_dict()
    for name, tensor in first.items():
        assert torch.equal(state[f"cascades.0.unet.{name}"], tensor)
    extra = {"mix", *(f"cascades.{i}.{name}" for i in range(3) for name in ("log_weight", "log_power"))}
    assert set(state) == extra | {f"cascades.{i}.unet.{name}" for i in range(3) for name in first}


def test_solved_data_consistency_beats_the_plain_form_before_training():
    kspace = drawn(6)
    assert kspace.target is not None
    with torch.no_grad():
        solved, plain = (nrmse(BUILD[form]()(kspace).values.abs(), kspace.target) for form in ("varnet", "e2e"))
    assert solved < 0.8 * plain


def test_plain_form_untrained_is_zero_filled():
    """The step is 1 and k-space is consistent from the start, so that nothing is left to do."""
    kspace = drawn(4)
    with torch.no_grad():
        found = BUILD["e2e"]()(kspace).values
    torch.testing.assert_close(found, root_sum_of_squares(ifft(kspace.samples)))


def test_plain_form_puts_measured_samples_back_by_its_step():
    """With a refinement that does nothing, k after a cascade is k - step M (k - y)."""
    kspace = drawn(3)
    cascade = EndToEnd(1, **SIZES, map_channels=(4,)).cascades[0]
    other = kspace.samples + fft(torch.ones_like(kspace.samples))
    S = Coils(estimate_csm(kspace))
    with torch.no_grad():
        cascade.step.fill_(0.25)
        k = cascade(other, kspace.samples, kspace.mask, S, torch.ones(1, 1, 1, 1))
    torch.testing.assert_close(k, other - 0.25 * kspace.mask * (other - kspace.samples))


def test_plain_form_estimates_maps_of_unit_norm_that_turn_with_the_coils():
    kspace, maps = drawn(5), CoilMaps((4, 6))
    for p in maps.parameters():
        torch.nn.init.normal_(p, std=0.05)
    with torch.no_grad():
        csm = maps(kspace)
        order = [3, 0, 4, 1, 2]
        turned = maps(replace(kspace, samples=kspace.samples[order]))
    assert csm.shape == (1, 5, 1, 40, 36)
    torch.testing.assert_close(csm.abs().square().sum(-4), torch.ones(1, 1, 40, 36))
    torch.testing.assert_close(turned, csm[:, order])


def test_plain_form_takes_calibration_lines_scanned_apart():
    kspace = drawn(4)
    centre = kspace.samples[..., 16:24, :]
    apart = replace(kspace, calib=centre)
    with torch.no_grad():
        csm, own = (CoilMaps((4,))(k) for k in (apart, kspace))
    assert nrmse(csm, own) < 1e-3
