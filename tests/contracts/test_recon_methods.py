"""Every reconstruction method, found by listing its folder, keeps what `core.method.Recon` promises."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from spinecho import KSpace, recon
from spinecho.calib.prepare import prepare
from spinecho.methods import registry
from spinecho.methods.pretrained import load_learned
from spinecho.sim.scan import Scan, simulate_phantom
from spinecho.tasks.recon.run import refusal

FILES = registry.names("recon")
METHODS = [offer.name for offer in registry.offers("recon") if offer.is_ready]
"""What can be run: methods, learned ones with the weights that the package has."""
MATRIX = (1, 40, 32)
SCANS = {
    "full": {"sampling": "full"},
    "regular": {"sampling": "equispaced:2:14"},
    "random": {"sampling": "random:2.5:10:1"},
    "partial": {"sampling": "partial:0.7"},
    "series": {"sampling": "kt-random:2.5:8:1", "n_frames": 4},
    "radial": {"sampling": "radial:24"},
    "one coil": {"sampling": "random:2:8:1", "n_coils": 1},
    "one coil, partial": {"sampling": "partial:0.7", "n_coils": 1},
    "odd": {"sampling": "equispaced:2:13", "matrix": (1, 41, 33)},
    "volume": {"sampling": "equispaced:2:14", "matrix": (6, 40, 32), "fov_mm": (60.0, 240.0, 240.0)},
}
TAKES_ALL = "auto"


@cache
def scan(name: str, seed: int = 0) -> KSpace:
    settings = {"matrix": MATRIX, "n_coils": 4, "snr": 50.0, "fineness": 1, "seed": seed, **SCANS[name]}
    return simulate_phantom(Scan(**settings)).kspace


@cache
def reconstructed(method: str, name: str):
    """The image, or the sentence why not; shared by the tests."""
    reason = refusal(method, prepare(scan(name))[0])
    return reason if reason is not None else recon(scan(name), method)


def taken(method: str) -> list[str]:
    return [name for name in SCANS if not isinstance(reconstructed(method, name), str)]


def nrmse(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(torch.linalg.vector_norm(a - b) / torch.linalg.vector_norm(b))


@pytest.mark.parametrize("name", registry.weights_names("recon"))
def test_weights_in_the_package_are_loaded_and_have_their_card(name):
    offer = registry.offer("recon", name)
    runner = load_learned("recon", name)
    assert isinstance(runner, registry.load("recon", offer.method).Method) and not runner.training
    assert offer.summary and {"coils", "acceleration", "matrix", "noise", "masks"} <= set(runner.card)
    assert offer.weights is not None and offer.weights.stat().st_size <= 12 * 10**6
    assert offer.weights.with_suffix(".md").is_file(), "a model card for people"


@pytest.mark.parametrize("method", METHODS)
def test_takes_a_scan_or_says_why_not(method):
    for name in SCANS:
        found, kspace = reconstructed(method, name), scan(name)
        if isinstance(found, str):
            assert len(found.split()) > 4 and not found.endswith("."), found
            continue
        assert tuple(found.values.shape) == (*kspace.samples.shape[:-4], 1, *kspace.encoding.recon_matrix)
        assert found.axes == kspace.axes
        assert found.values.dtype in (torch.float32, torch.complex64)
        for key, extra in found.extras.items():
            assert torch.isfinite(torch.view_as_real(extra) if extra.is_complex() else extra).all(), f"{name}: {key}"
        assert torch.isfinite(found.values.abs()).all() and float(found.values.abs().max()) > 0, name
        for geometry, expected in zip(found.geometries, kspace.geometries, strict=True):
            assert geometry.shape == tuple(found.values.shape[-3:])
            np.testing.assert_allclose(geometry.affine[:3, :3], expected.affine[:3, :3], atol=1e-6)
    assert taken(method), "it takes none of the scans: add one to SCANS"


def test_auto_takes_everything():
    assert taken(TAKES_ALL) == list(SCANS)
    for name in SCANS:
        assert any(step.startswith("auto took ") for step in reconstructed(TAKES_ALL, name).header.history)


@pytest.mark.parametrize("method", METHODS)
def test_resembles_the_object(method):
    for name in taken(method):
        x, target = reconstructed(method, name).values.abs().flatten(), scan(name).target.abs().flatten()
        correlation = torch.corrcoef(torch.stack([x, target]))[0, 1]
        assert correlation > 0.8, f"{name}: {correlation:.2f}"


@pytest.mark.parametrize("method", METHODS)
def test_same_twice_and_input_untouched(method):
    name = taken(method)[0]
    kspace = scan(name)
    before = kspace.samples.clone()
    again = recon(kspace, method)
    assert torch.equal(again.values, reconstructed(method, name).values)
    assert torch.equal(kspace.samples, before)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("factor", [1e-9, 1e9])
def test_scale_of_the_samples_changes_nothing(method, factor):
    name = taken(method)[-1]
    kspace = replace(scan(name), noise_cov=None, target=None)
    scaled = replace(kspace, samples=kspace.samples * factor)
    # p-shrinkage jumps at its threshold: 120 iterations of l1_wavelet turn rounding errors into 1 to 2 per cent here
    limit = 3e-2 if method in ("l1_wavelet", "auto") else 1e-3
    assert nrmse(recon(scaled, method).values / factor, recon(kspace, method).values) < limit


@pytest.mark.parametrize("method", METHODS)
def test_slices_together_are_slices_apart(method):
    for name in taken(method):
        if name == "radial":
            continue  # trajectories of two slices are equal anyway
        two = [scan(name, seed) for seed in (0, 1)]
        two = [replace(k, noise_cov=two[0].noise_cov, target=None) for k in two]
        second = two[0].geometries[0]
        moved = second.affine.copy()
        moved[:3, 3] += 10 * second.directions[:, 2]
        axes = ("slice", *two[0].axes)
        both = replace(
            two[0],
            samples=torch.stack([k.samples for k in two]),
            mask=two[0].mask.unsqueeze(0) if two[0].mask.ndim > 4 else two[0].mask,
            geometries=(second, replace(second, affine=moved)),
            axes=axes,
        )
        together = recon(both, method)
        assert together.axes == axes and len(together.geometries) == 2
        for i, kspace in enumerate(two):
            assert nrmse(together.values[i].abs(), recon(kspace, method).values.abs()) < 0.03, f"{name}, slice {i}"


@pytest.mark.gpu
@pytest.mark.parametrize("method", METHODS)
def test_same_picture_on_the_gpu(method):
    for name in taken(method):
        image = recon(scan(name).to("cuda"), method).to("cpu")
        assert nrmse(image.values.abs(), reconstructed(method, name).values.abs()) < 1e-3, name
