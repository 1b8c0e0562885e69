"""Coil maps by ESPIRiT or by Walsh, as a person asks for, in every method that solves with coil maps."""

from __future__ import annotations

import dataclasses
import inspect
from functools import cache

import numpy as np
import pytest
import torch

from spinecho import KSpace, recon
from spinecho.cli import main
from spinecho.core.errors import DataError
from spinecho.io.write import write
from spinecho.methods import registry
from spinecho.sim.scan import Scan, simulate_phantom

SCANS = {
    "cg_sense": {"sampling": "equispaced:2:14"},
    "l1_wavelet": {"sampling": "random:2.5:12:1"},
    "tv": {"sampling": "random:2.5:12:1"},
    "llr": {"sampling": "kt-random:2.5:8:1", "n_frames": 4},
    "nufft_cg": {"sampling": "radial:24"},
}


@cache
def scan(method: str) -> tuple[KSpace, torch.Tensor]:
    drawn = Scan(matrix=(1, 48, 40), n_coils=6, snr=50.0, fineness=1, **SCANS[method])
    if method == "nufft_cg":
        drawn = dataclasses.replace(drawn, matrix=(1, 48, 48))
    simulated = simulate_phantom(drawn)
    assert simulated.kspace.target is not None
    return simulated.kspace, simulated.kspace.target


def error(values: torch.Tensor, truth: torch.Tensor) -> float:
    a, b = values.abs().flatten(), truth.abs().flatten()
    return float(torch.linalg.vector_norm(a - b) / torch.linalg.vector_norm(b))


@pytest.mark.parametrize("method", SCANS)
def test_both_kinds_of_maps_give_the_object(method):
    kspace, truth = scan(method)
    settings = {"n_iters": 60} if method == "l1_wavelet" else {}
    images = {kind: recon(kspace, method, csm=kind, **settings) for kind in ("espirit", "walsh")}
    usual = recon(kspace, method, **settings)
    assert torch.equal(images["espirit"].values, usual.values)
    assert not torch.equal(images["walsh"].extras["csm"], usual.extras["csm"])
    norm = images["walsh"].extras["csm"].abs().square().sum(-4)
    assert torch.allclose(norm[norm > 0], torch.ones(()), atol=1e-4)
    errors = {kind: error(image.values, truth) for kind, image in images.items()}
    assert errors["walsh"] < 1.3 * errors["espirit"] + 0.01, errors


def test_every_method_with_sets_of_maps_or_a_plain_solver_can_be_told_the_kind():
    """Learned ones were trained on ESPIRiT's maps; where maps only combine coils, `combine` is the choice."""
    solvers = set()
    for name in registry.names("recon"):
        module = registry.load("recon", name)
        fields = {f.name for f in dataclasses.fields(module.Config)}
        if "estimate_csm(kspace" in inspect.getsource(module) and "combine" not in fields:
            if module.Method.learned or module.Method.leans_on:
                continue
            assert "csm" in fields, name
            solvers.add(name)
    assert solvers == set(SCANS)


def test_walsh_has_one_set_of_maps():
    with pytest.raises(DataError, match="Walsh's method gives one set of maps, 2 were asked for"):
        recon(scan("cg_sense")[0], "cg_sense", csm="walsh", maps=2)


def test_an_unknown_kind_is_refused():
    with pytest.raises(DataError):
        recon(scan("cg_sense")[0], "cg_sense", csm="welsh")


def test_the_command_takes_the_kind(tmp_path):
    kspace, _ = scan("cg_sense")
    write(kspace, tmp_path / "scan.mrd.h5")
    for kind in ("espirit", "walsh"):
        given = ["--method", "cg_sense", "--csm", kind, "-o", str(tmp_path / f"{kind}.npy")]
        assert main(["recon", str(tmp_path / "scan.mrd.h5"), *given]) == 0
    one, other = (np.load(tmp_path / f"{kind}.npy") for kind in ("espirit", "walsh"))
    assert 0 < np.abs(one - other).max() < 0.2 * one.max()


def test_scale_does_not_matter():
    kspace, _ = scan("cg_sense")
    usual = recon(kspace, "cg_sense", csm="walsh").values
    for scale in (1e-9, 1e9):
        scaled = dataclasses.replace(kspace, samples=kspace.samples * scale, noise_cov=None)
        same = recon(dataclasses.replace(kspace, noise_cov=None), "cg_sense", csm="walsh").values
        found = recon(scaled, "cg_sense", csm="walsh").values / scale
        assert float((found - same).abs().max()) < 1e-3 * float(usual.abs().max())
