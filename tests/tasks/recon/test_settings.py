"""Settings out of bounds are refused by name, before any work."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import spinecho
from spinecho import recon
from spinecho.core.errors import DataError
from spinecho.methods import registry
from spinecho.sim.scan import Scan, simulate_phantom


@pytest.mark.parametrize(
    ("method", "settings", "told"),
    [
        ("grappa", {"kernel": (2, 0, 7)}, "kernel is 2 x 0 x 7 -> give three numbers of 1 or more"),
        ("grappa", {"kernel": (2, -2, 3)}, "kernel is 2 x -2 x 3"),
        ("grappa", {"l2": -1.0}, "l2 is -1 -> give 0 or more"),
        ("llr", {"block": 0}, "block is 0 -> give 1 or more"),
        ("llr", {"weight": -1.0}, "weight is -1"),
        ("tv", {"weight": -1.0}, "weight is -1"),
        ("l1_wavelet", {"weight": -1.0}, "weight is -1"),
        ("l1_wavelet", {"weight": math.nan}, "weight is nan"),
        ("l1_wavelet", {"power": 2.0}, "power is 2 -> give 1"),
        ("cg_sense", {"l2": math.nan}, "l2 is nan"),
        ("cg_sense", {"l2": -1.0}, "l2 is -1"),
        ("nufft_cg", {"l2": -0.1}, "l2 is -0.1"),
    ],
)
def test_out_of_bounds(method, settings, told):
    with pytest.raises(DataError, match=told):
        registry.load("recon", method).Config(**settings)


def test_the_bounds_themselves_may_be_said():
    for method, settings in (("llr", {"block": 1, "weight": 0.0}), ("cg_sense", {"l2": 0.0}), ("tv", {"weight": None})):
        registry.load("recon", method).Config(**settings)


def test_a_kernel_wider_than_the_calibration_readout_is_said_to_be():
    kspace = simulate_phantom(Scan(matrix=(1, 64, 48), n_coils=4, sampling="equispaced:2:16")).kspace
    calib = kspace.samples[..., 24:40, 21:27]
    lines = torch.arange(64)[:, None] % 2 == 0
    apart = spinecho.KSpace(
        samples=kspace.samples * lines,
        mask=lines[None, None],
        encoding=kspace.encoding,
        geometries=kspace.geometries,
        calib=calib,
    )
    with pytest.raises(DataError, match="6 samples along the readout, and the kernel 7 -> give a kernel whose third"):
        recon(apart, "grappa")
    assert np.isfinite(spinecho.to_numpy(recon(apart, "grappa", kernel=(2, 2, 5)))).all()
