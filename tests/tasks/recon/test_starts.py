"""Where unrolled networks begin: from as many iterations of l1_wavelet as a scan needs, unless a number is given."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from denoising import SMALL
from drawn import SIZES, drawn

from spinecho.calib.csm import estimate_csm
from spinecho.core.kspace import KSpace
from spinecho.methods import registry
from spinecho.methods.pretrained import trained_config
from spinecho.tasks.recon.methods import cg_sense, hqs_net, l1_wavelet, varnet
from spinecho.tasks.recon.parts.refinement import Support
from spinecho.tasks.recon.parts.splitting import problem


def scan(step: int) -> KSpace:
    """A slice of which every so many lines of those measured were kept, and those about the centre."""
    kspace = drawn(3, shape=(96, 24))
    assert kspace.mask is not None
    y = torch.arange(96)[:, None]
    kept = kspace.mask & ((y % step == 0) | ((y - 48).abs() < 6))
    return replace(kspace, samples=kspace.samples * kept, mask=kept)


def begun(method: str, kspace: KSpace, **settings: int) -> torch.Tensor:
    """The image before the first step."""
    csm = estimate_csm(kspace)
    with torch.no_grad():
        if method == "varnet":
            return varnet.Method(varnet.Config(n_cascades=1, **SIZES, **settings)).images(kspace, csm)[0]
        network = hqs_net.Method(hqs_net.Config(n_steps=1, early=1, **SMALL, **settings))
        return network.start(kspace, csm, problem(kspace, csm), network.config.start_iters)


@pytest.mark.parametrize("method", ["varnet", "hqs_net"])
def test_fewer_measured_lines_get_more_iterations(method):
    counts = []
    for step in (1, 3):
        kspace = scan(step)
        csm, n = estimate_csm(kspace), l1_wavelet.iterations(kspace)
        where = Support(csm).where if method == "varnet" else 1
        expected = l1_wavelet.reconstruct(kspace, csm, l1_wavelet.Config(n_iters=n)) * where
        torch.testing.assert_close(begun(method, kspace), expected)
        assert not torch.allclose(begun(method, kspace, start_iters=n // 2), expected)
        counts.append(n)
    assert counts[1] > 1.5 * counts[0]


@pytest.mark.parametrize("method", ["varnet", "hqs_net"])
def test_the_weights_in_the_package_name_no_number(method):
    weights = registry.offer("recon", method).weights
    assert weights is not None and trained_config("recon", weights).start_iters is None


def test_in_training_they_do_not_hang_on_the_scan(monkeypatch):
    counts: list[int | None] = []
    zero = lambda k, csm, c, **_: counts.append(c.n_iters) or torch.zeros_like(csm[..., 0, :, :, :])  # noqa: E731
    monkeypatch.setattr(l1_wavelet, "reconstruct", zero)
    network = hqs_net.Method(hqs_net.Config(n_steps=1, early=1, **SMALL))
    for step in (1, 3):
        network.loss(scan(step))
    assert counts == [60, 60], "as many whatever else is in the batch"
    learner = varnet.Method(varnet.Config(**SIZES))
    assert {n for seed in range(9) for n in learner.drawn_iters(drawn(2, seed=seed))} <= {0, 38, 60, 90}


@pytest.mark.parametrize("method", ["l1_wavelet", "hqs_net", "cg_sense"])
def test_a_slice_is_not_poorer_for_those_beside_it(method):
    """A slice of few lines beside slices of many: iterations are those that it needs, and so is its residual."""
    scans = [replace(drawn(3, shape=(96, 48), seed=s), target=None, noise_cov=None) for s in range(3)]
    kept = (torch.arange(96)[:, None] % 3 == 0) | ((torch.arange(96)[:, None] - 48).abs() < 6)
    few = replace(scans[2], samples=scans[2].samples * kept, mask=scans[2].mask & kept)
    masks = [torch.ones_like(k.mask) for k in scans[:2]] + [few.mask]
    with torch.no_grad():
        alone = image(method, few)
        together = image(
            method,
            replace(
                few,
                samples=torch.stack([100 * k.samples for k in scans[:2]] + [few.samples]),
                mask=torch.stack(masks),
                axes=("slice",),
                geometries=(few.geometries[0],) * 3,
            ),
        )[2]
    assert float((together - alone).norm() / alone.norm()) < 0.05


def image(method: str, kspace: KSpace) -> torch.Tensor:
    csm = estimate_csm(kspace)
    if method == "cg_sense":
        return cg_sense.reconstruct(kspace, csm, cg_sense.Config())
    if method == "l1_wavelet":
        return l1_wavelet.reconstruct(kspace, csm, l1_wavelet.Config(weight=0.003))
    network = hqs_net.Method(hqs_net.Config(n_steps=1, early=1, **SMALL))
    return network.start(kspace, csm, problem(kspace, csm), None)
