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
    "volume": {"sampling": "equispaced:2:14", "matrix": (4, 40, 32), "fov_mm": (40.0, 240.0, 240.0)},
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


@cache
def without_noise_known(method: str, name: str) -> tuple[KSpace, torch.Tensor]:
    """A scan that says nothing of its noise, and its image; shared by the tests."""
    kspace = replace(scan(name), noise_cov=None, target=None)
    return kspace, recon(kspace, method).values


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("factor", [1e-9, 1e9])
def test_scale_of_the_samples_changes_nothing(method, factor):
    kspace, values = without_noise_known(method, taken(method)[-1])
    scaled = replace(kspace, samples=kspace.samples * factor)
    # p-shrinkage jumps at its threshold: 120 iterations of l1_wavelet turn rounding errors into 1 to 2 per cent here
    limit = 3e-2 if method in ("l1_wavelet", "auto") else 1e-3
    assert nrmse(recon(scaled, method).values / factor, values) < limit


def two_slices(name: str) -> tuple[KSpace, KSpace]:
    """Two seeds of a scan as two slices, and the second alone; the first alone is `scan(name)`."""
    one = scan(name)
    other = replace(scan(name, 1), noise_cov=one.noise_cov, target=None)
    first = one.geometries[0]
    moved = first.affine.copy()
    moved[:3, 3] += 10 * first.directions[:, 2]
    both = replace(
        one,
        samples=torch.stack([one.samples, other.samples]),
        mask=one.mask.unsqueeze(0) if one.mask.ndim > 4 else one.mask,
        geometries=(first, replace(first, affine=moved)),
        axes=("slice", *one.axes),
        target=None,
    )
    return both, other


STACKED = [name for name in SCANS if name != "radial"]
"""Trajectories of two slices are equal anyway."""


@pytest.mark.parametrize("method", [m for m in METHODS if m != TAKES_ALL])
def test_slices_together_are_slices_apart(method):
    for name in [n for n in taken(method) if n in STACKED]:
        both, other = two_slices(name)
        together = recon(both, method)
        assert together.axes == both.axes and len(together.geometries) == 2
        for i, alone in enumerate((reconstructed(method, name), recon(other, method))):
            assert nrmse(together.values[i].abs(), alone.values.abs()) < 0.03, f"{name}, slice {i}"


def test_auto_takes_the_same_for_slices_together_and_apart():
    """What it takes is tested above; that it is taken, on one scan for each method."""
    tried: set[str] = set()
    for name in STACKED:
        both, other = two_slices(name)
        chosen = {prepared_choice(k) for k in (both, scan(name), other)}
        assert len(chosen) == 1, f"{name}: {chosen}"
        if chosen <= tried:
            continue
        tried |= chosen
        together = recon(both, TAKES_ALL)
        for i, alone in enumerate((reconstructed(TAKES_ALL, name), recon(other, TAKES_ALL))):
            assert nrmse(together.values[i].abs(), alone.values.abs()) < 0.03, f"{name}, slice {i}"
            assert took(together) == took(alone) and set(took(alone)) == chosen
    assert len(tried) > 1


def prepared_choice(kspace: KSpace) -> str:
    """The first that auto would try."""
    return registry.load("recon", TAKES_ALL).Method.choice(prepare(kspace)[0])


def took(image) -> list[str]:
    """What the history says that auto took."""
    return [step.split()[2].rstrip(":") for step in image.header.history if step.startswith("auto took ")]


@pytest.mark.gpu
@pytest.mark.parametrize("method", METHODS)
def test_same_picture_on_the_gpu(method):
    for name in taken(method):
        image = recon(scan(name).to("cuda"), method).to("cpu")
        assert nrmse(image.values.abs(), reconstructed(method, name).values.abs()) < 1e-3, name
