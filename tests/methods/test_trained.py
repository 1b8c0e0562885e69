"""The weights in the package on scans that no training has seen: dB inside the object."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import numpy as np
import pytest
import torch

import spinecho
from spinecho.io.options import ReadOptions
from spinecho.io.read import read
from spinecho.methods import registry
from spinecho.sim.acquire import acquire
from spinecho.sim.mask import random_lines
from spinecho.sim.scan import Scan, simulate_phantom
from spinecho.tasks.recon.judge.protocol import figures, truth_of
from spinecho.tasks.recon.retrospective import undersample

pytestmark = pytest.mark.skipif(
    "varnet" not in registry.weights_names("recon"), reason="no trained weights in this tree"
)


@cache
def sample() -> spinecho.KSpace:
    kspace = spinecho.read(files("spinecho.samples") / "cartesian_r4.mrd.h5")
    assert isinstance(kspace, spinecho.KSpace)
    return kspace


@cache
def image_of_sample(method: str, **settings) -> spinecho.Image:
    """Shared by the tests."""
    return spinecho.recon(sample(), method, **settings)


def psnr(kspace, truth, method, **settings):
    return figures(truth, spinecho.recon(kspace, method, **settings).values)["psnr_inside"]


GAINS = {"varnet": 1.5, "varnet_fast": -0.5, "modl": -1.3, "pnp": 1.5, "hqs_net": 1.5, "auto": 1.2}
"""On the sample scan over l1_wavelet, dB; measured are 2.2, -0.1, -1.1, 2.3, 2.6 and 1.9 (auto takes checked)."""


@pytest.mark.parametrize("name", GAINS)
def test_sample_scan(name):
    truth = sample().target.flatten(0, -3).double()
    settings = {"noise_floor": False} if name in ("varnet", "varnet_fast", "modl") else {}
    ours, sparse = image_of_sample(name, **settings), image_of_sample("l1_wavelet")
    ours, sparse = (figures(truth, image.values)["psnr_inside"] for image in (ours, sparse))
    assert ours > sparse + GAINS[name]


def test_auto_takes_checked_and_that_says_where_varnet_is_outside_its_card():
    history = image_of_sample("auto").header.history
    assert any("auto took checked" in step for step in history) and any("varnet + pnp" in step for step in history)
    wide = simulate_phantom(Scan(matrix=(1, 64, 48), n_coils=40, snr=50.0, sampling="random:3:12:0")).kspace
    history = spinecho.recon(wide).header.history  # 40 coils, the card says 32
    assert any("varnet + pnp" in step for step in history)
    assert any(step.startswith("varnet outside its card: 40 coils") for step in history)


@pytest.mark.parametrize("mask, least", [("random:4:0.08:0", 32.0), ("random:8:0.04:0", 26.5)])
def test_real_brain(shared_data, mask, least):
    """Floors are a decibel and more below what was measured, so that other processors pass."""
    path = shared_data / "kspace/brain_t1_7coil_images.npz"
    full = read(path, ReadOptions(axes="y x coil", domain="coil-images", readout="y"))
    truth = truth_of(full)
    scan = undersample(full, mask)
    found = psnr(scan, truth, "varnet", noise_floor=False)
    assert found > least and found > psnr(scan, truth, "cg_sense") + 3
    assert found > psnr(scan, truth, "varnet_fast", noise_floor=False)
    assert psnr(scan, truth, "checked", folds=1) > max(found, psnr(scan, truth, "l1_wavelet")) + 0.3


def test_odd_sizes_one_coil_and_no_signal_at_the_edges():
    rng = torch.Generator().manual_seed(0)
    image = torch.zeros(1, 1, 97, 65, dtype=torch.complex64)
    image[..., 20:70, 15:50] = torch.rand(50, 35, generator=rng)
    mask = random_lines(97, 3.0, 12, rng)
    kspace = acquire(image, torch.ones(1, 1, 1, 97, 65, dtype=torch.complex64), mask=mask)
    values = spinecho.recon(kspace, "varnet").values
    assert values.shape == image.shape and bool(np.isfinite(values.abs().numpy()).all())
