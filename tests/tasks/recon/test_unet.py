"""unet: the zero-filled image until trained, one network for any coils, no word of the samples afterwards."""

from __future__ import annotations

import pytest
import torch
from drawn import BUILD, drawn, nrmse, trained

from spinecho.calib.csm import estimate_csm
from spinecho.ops.model import forward_model
from spinecho.tasks.recon.methods import unet, zero_filled
from spinecho.tasks.recon.parts.refinement import Support


@pytest.mark.parametrize("n_coils", [1, 4])
@pytest.mark.parametrize("kind", ["random", "points"])
def test_untrained_is_zero_filled(n_coils, kind):
    kspace = drawn(n_coils, kind=kind)
    csm = estimate_csm(kspace)
    with torch.no_grad():
        found = BUILD["unet"]().reconstruct(kspace, csm)
    torch.testing.assert_close(found, forward_model(kspace, csm).adjoint(kspace.samples), rtol=1e-4, atol=1e-5)
    if n_coils == 1:
        plain = zero_filled.Method(zero_filled.Config())(kspace).values
        torch.testing.assert_close(found.abs(), plain.abs(), rtol=1e-4, atol=1e-5)


def test_changes_nothing_outside_the_coil_maps():
    kspace = drawn(4, (48, 40), width=0.5)
    csm = estimate_csm(kspace)
    where = Support(csm).where
    with torch.no_grad():
        before, after = (m.reconstruct(kspace, csm) for m in (BUILD["unet"](), trained("unet")))
    assert not after[~where].any() and nrmse(after, before) > 0.05


def test_default_weights_fit_into_four_megabytes_at_half_precision():
    assert 2 * sum(p.numel() for p in unet.Method(unet.Config()).parameters()) < 4e6
