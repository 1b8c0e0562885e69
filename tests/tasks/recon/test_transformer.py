"""The transformer: any scan and scale, batches one by one, samples kept, its prompt, its k-space, one scan by heart."""

from __future__ import annotations

import resource
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from drawn import drawn, nrmse, slices

from spinecho import recon
from spinecho.calib.csm import estimate_csm
from spinecho.calib.prepare import rescale
from spinecho.cli import main
from spinecho.core.errors import DataError
from spinecho.core.kspace import KSpace
from spinecho.nets.features import root_mean_square
from spinecho.ops.fourier import fft
from spinecho.ops.psf import CartesianSense
from spinecho.tasks.recon.methods.transformer import Config, Method
from spinecho.tasks.recon.parts.prompt import N_NUMBERS, contrast, prompt, reach
from spinecho.tasks.recon.parts.refinement import relative_noise
from spinecho.tasks.recon.parts.whitened import N_PLACES, Whitened

SMALL = {"n_cascades": 2, "channels": 8, "groups": 1, "heads": 2, "side": 4, "line_blocks": 1, "start_iters": 4}


def trained(**settings) -> Method:
    """With weights that change the image."""
    torch.manual_seed(0)
    method = Method(Config(**{**SMALL, **settings}))
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in method.parameters():
            p.add_(0.02 * torch.randn(p.shape, generator=rng))
    return method


@pytest.mark.parametrize("n_coils", [1, 2, 5, 32])
@pytest.mark.parametrize(("kind", "shape"), [("random", (40, 36)), ("points", (33, 46))])
def test_any_coils_masks_and_sizes(n_coils, kind, shape):
    kspace = drawn(n_coils, shape, kind)
    with torch.inference_mode():
        image = trained()(kspace)
    assert image.values.shape == (1, 1, *shape) and image.extras["csm"].shape == (1, kspace.n_coils, 1, *shape)
    assert nrmse(image.values.abs(), kspace.target) < 0.6


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_the_scale_does_not_matter_though_there_are_biases(factor):
    method, kspace = trained(), drawn(3)
    with torch.inference_mode():
        assert nrmse(method(rescale(kspace, factor)).values / factor, method(kspace).values) < 2e-3
        double = method(rescale(kspace, 4.0)).values / 4
    torch.testing.assert_close(double, method(kspace).values, rtol=1e-4, atol=1e-5)


def test_a_batch_is_its_scans_one_by_one():
    method, scans = trained(), [drawn(3, seed=seed) for seed in (0, 1)]
    with torch.no_grad():
        apart = torch.stack([method.loss(k) for k in scans]).mean()
        together = method.loss(KSpace.joined(scans))
        csm = torch.stack([estimate_csm(k) for k in scans])
        both = method.stages(KSpace.joined(scans), csm)[-1]
        for i, kspace in enumerate(scans):
            assert nrmse(both[i], method.stages(kspace, csm[i])[-1]) < 1e-5
    assert float(together) == pytest.approx(float(apart), rel=1e-5)


def test_slices_stand_alone():
    method, scan = trained(), slices(drawn(4, seed=0), drawn(4, seed=0, width=0.6))
    with torch.no_grad():
        both = method(scan).values
        alone = method(slices(drawn(4, seed=0), drawn(4, seed=0))).values
    assert nrmse(both[0], alone[0]) < 1e-4 < nrmse(both[1], alone[1])


def test_data_consistency_is_least_squares():
    """One coil: measured samples are the weighted mean of what was measured and what the network says."""
    kspace, method = drawn(1, seed=1), trained(n_cascades=1, line_blocks=0, cg_iters=3)
    csm = torch.ones_like(kspace.samples).unsqueeze(-5)
    with torch.no_grad():
        start, x = method.images(kspace, csm)
        A, step = CartesianSense(kspace.mask, csm), method.cascades[0]
        unit = root_mean_square(start)
        step.log_weight.fill_(-15.0)
        kept = method.images(kspace, csm)[1]
    assert nrmse(A(kept), kspace.samples) < 1e-4, "with no weight on the network the samples stay as they are"
    assert nrmse(kept, x) > 1e-4 and float(unit) > 0
    left = float((A(x) - kspace.samples).norm())
    assert 1e-4 * float(kspace.samples.norm()) < left < float(kspace.samples.norm())


def test_untrained_it_is_least_squares_from_the_start():
    kspace = drawn(4)
    csm = estimate_csm(kspace)
    method = Method(Config(**{**SMALL, "n_cascades": 1, "line_blocks": 0, "cg_iters": 60}))
    with torch.no_grad():
        start, x = method.images(kspace, csm)
        A = CartesianSense(kspace.mask, csm)
        w = method.cascades[0].weight(relative_noise(kspace, root_mean_square(start)))
        assert nrmse(A.adjoint(A(x)) + w * x, A.adjoint(kspace.samples) + w * start) < 1e-3


def test_the_prompt_is_what_the_scan_says():
    kspace = drawn(4, shape=(64, 40))
    noise, x = torch.full((1, 1, 1, 1), 0.1), torch.ones(1, 1, 64, 40, dtype=torch.complex64)
    told = prompt(kspace, x, noise)
    assert told.shape == (1, N_NUMBERS) and kspace.mask is not None
    accel = 1 / float(kspace.mask.float().mean())
    assert float(told[0, 0]) == pytest.approx(0.5 * torch.tensor(accel / 4).log().item(), rel=1e-5)
    assert float(told[0, 1]) == pytest.approx(0.0, abs=1e-6) and float(told[0, 2]) == pytest.approx(2 / 5)
    assert float(told[0, 5]) == pytest.approx(0.0, abs=1e-6), "one grey has no contrast"
    assert torch.equal(prompt(kspace, 1e6 * x, noise), told)
    both = KSpace.joined([kspace, drawn(4, shape=(64, 40), seed=5)])
    assert prompt(both, x.expand(2, 1, 1, 64, 40), noise.expand(2, 1, 1, 1, 1)).shape == (2, N_NUMBERS)


def test_reach_and_contrast_by_their_closed_forms():
    mask = torch.zeros(2, 1, 1, 20, 8, dtype=torch.bool)
    mask[0, ..., 4:20:2, :] = mask[1] = True
    assert reach(mask, -2).flatten().tolist() == pytest.approx([15 / 20, 1.0])
    assert reach(mask, -1).flatten().tolist() == [1.0, 1.0]
    half = torch.ones(1, 1, 4, 4, dtype=torch.complex64)
    half[..., :2] = 3j
    assert float(contrast(half)) == pytest.approx(torch.log(torch.tensor(2 / 5**0.5)).item(), rel=1e-5)
    assert float(contrast(0 * half)) == 0.0


def test_prompts_change_what_is_made_of_the_same_samples():
    """Twice the noise is told, and nothing else differs but the weight of the samples, which is held."""
    kspace, method = drawn(3), trained(line_blocks=0, n_cascades=1)
    csm, step = estimate_csm(kspace), method.cascades[0]
    noisier = replace(kspace, noise_cov=4 * kspace.noise_cov)
    with torch.no_grad():
        step.log_power.zero_()
        step.network.enter.weight[:, 24:].zero_()  # the level among the features
        other, one = (method.images(k, csm)[-1] for k in (noisier, kspace))
    assert nrmse(other, one) > 1e-4


@pytest.mark.parametrize("turned", [False, True])
def test_whitened_samples_come_back(turned):
    kspace = drawn(2, shape=(40, 36))
    assert kspace.mask is not None
    if turned:
        lines = (torch.arange(36) % 2 == 0).reshape(1, 1, 1, 36)
        kspace = replace(kspace, mask=lines, samples=kspace.samples * lines)
    x = torch.randn(1, 1, 40, 36, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    spectrum = Whitened(kspace, x, torch.full((1, 1, 1, 1), 0.01))
    assert spectrum.turned is turned and spectrum.shape == ((1, 1, 36, 40) if turned else (1, 1, 40, 36))
    white = torch.complex(*spectrum.features[0].unbind(1)).reshape(spectrum.shape)
    assert nrmse(spectrum.image(white), x) < 1e-5
    assert sum(v.shape[1] for v in spectrum.features) == 2 + N_PLACES
    measured = spectrum.features[1][0, 0]
    assert torch.equal(measured.bool().any(1) & measured.bool().all(1), measured.bool()[:, 0]), "lines are rows"


def test_the_middle_of_k_space_does_not_drown_its_edge():
    kspace = drawn(1, shape=(64, 64))
    assert kspace.target is not None
    x = kspace.target.to(torch.complex64)
    x = x / root_mean_square(x)
    raw = fft(x).abs()
    white = Whitened(kspace, x, torch.full((1, 1, 1, 1), 0.02)).features[0].square().sum(1).sqrt()
    assert float(raw.max() / raw.median()) > 100 and float(white.max() / white.median()) < 20


def test_it_learns_one_scan_by_heart():
    kspace = drawn(3, seed=2)
    torch.manual_seed(0)
    method = Method(Config(**{**SMALL, "channels": 12, "start_iters": 0}))
    optimiser = torch.optim.Adam(method.parameters(), 5e-3)
    losses = []
    for _ in range(50):
        optimiser.zero_grad()
        losses.append(method.loss(kspace))
        losses[-1].backward()
        torch.nn.utils.clip_grad_norm_(method.parameters(), 1.0)
        optimiser.step()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in method.parameters())
    assert min(losses[-5:]) < 0.5 * losses[0]


def test_by_command_from_first_step_to_image(tmp_path, capsys):
    from small import QUICK, images

    folder, out = images(tmp_path / "pictures"), tmp_path / "run"
    few = ["--n-cascades", "1", "--channels", "8", "--groups", "1", "--heads", "2", "--side", "4", "--start-iters", "0"]
    given = [
        "train",
        "recon/transformer",
        "--data",
        str(folder),
        "--steps",
        "1",
        *few,
        *QUICK,
        "--validate-every",
        "0",
        "--out",
        str(out),
    ]
    assert main(given) == 0
    assert "to use it: spinecho recon SCAN" in capsys.readouterr().out
    image = recon(drawn(3), "transformer", weights=str(out / "weights.safetensors"), cg_iters=3)
    assert torch.isfinite(image.values.abs()).all()


def test_without_weights_it_says_how_to_make_some():
    with pytest.raises(DataError, match="spinecho train recon/transformer"):
        recon(drawn(2), "transformer")


@pytest.mark.parametrize("settings", [{"channels": 10}, {"side": 5}, {"n_cascades": 0}, {"heads": 0}])
def test_attentions_that_cannot_be(settings):
    with pytest.raises(DataError, match="no such attention"):
        Config(**settings)


@pytest.mark.slow
def test_a_step_takes_less_than_6_gb():
    """256 x 256 pixels, 12 coils, at full size, in a process of its own."""
    code = "import test_transformer; test_transformer.one_step()"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=__file__.rpartition("/")[0])
    peak_kib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    assert peak_kib < 6 * 2**20


def one_step() -> None:
    """Of training."""
    method = Method(Config())
    optimiser = torch.optim.Adam(method.parameters(), 1e-3)
    for _ in range(2):
        optimiser.zero_grad()
        method.loss(drawn(12, (256, 256))).backward()
        optimiser.step()
