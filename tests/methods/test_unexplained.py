"""An image that does not explain the measured samples is a loud warning, a noisy one is not; noise-free data."""

from __future__ import annotations

import warnings
from dataclasses import replace

import pytest
import torch

import forked
from spinecho import DoubtfulResult, KSpace, recon
from spinecho.calib.noise import noise_sigma
from spinecho.sim.scan import Scan, simulate_phantom

METHODS = ("cg_sense", "l1_wavelet", "tv")


def scan(sampling: str = "equispaced:2:16", **more) -> KSpace:
    """A phantom without a noise scan."""
    shape = {"matrix": (1, 48, 40), "fineness": 1, "n_coils": 6, **more}
    return replace(simulate_phantom(Scan(sampling=sampling, **shape)).kspace, noise_cov=None, target=None)


def wrong(kspace: KSpace) -> KSpace:
    """Calibration lines of other coils: the next one's, upside down."""
    return replace(kspace, calib=kspace.samples[..., 16:32, :].roll(1, -4).flip(-2).conj())


def quiet(kspace: KSpace, method: str):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return recon(kspace, method)


def residual(image) -> str:
    (step,) = (s for s in image.header.history if s.startswith("residual on the measured samples: "))
    return step


@pytest.mark.parametrize("method", METHODS)
def test_wrong_maps_are_told(method):
    with pytest.warns(DoubtfulResult, match="the image does not explain the measured samples: it leaves [4-9]. %"):
        image = recon(wrong(scan()), method)
    assert any("does not explain the measured samples" in w for w in image.header.warnings)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("sampling", ["full", "equispaced:2:16", "random:3:12"])
@pytest.mark.parametrize("snr", [1.0, 5.0, 40.0])
def test_a_noisy_scan_is_not_doubtful(method, sampling, snr):
    assert quiet(scan(sampling, snr=snr), method).header.warnings == ()


@pytest.mark.parametrize("method", METHODS)
def test_a_slice_of_noise_alone_is_not_doubtful(method, rng):
    kspace = scan()
    noise = torch.randn(kspace.samples.shape, dtype=torch.complex64, generator=rng) * noise_sigma(kspace)
    samples = torch.stack([kspace.samples, noise * kspace.mask])
    both = replace(kspace, samples=samples, geometries=kspace.geometries * 2, axes=("slice",))
    assert quiet(both, method).header.warnings == ()


def test_one_wrong_slice_among_many_is_named_and_mended():
    """Its share of the whole residual is small; the maps of its neighbour explain it."""
    kspace = scan()
    calib = kspace.samples[..., 16:32, :].repeat(8, 1, 1, 1, 1)
    calib[2] = wrong(kspace).calib
    samples = kspace.samples.repeat(8, 1, 1, 1, 1)
    stack = replace(kspace, samples=samples, geometries=kspace.geometries * 8, axes=("slice",))
    match = (
        r"slice 3 of 8: its own coil maps do not explain its samples: .* with the coil maps of slice [24]; the other"
    )
    with pytest.warns(DoubtfulResult, match=match):
        image = recon(replace(stack, calib=calib), "l1_wavelet")
    good = recon(replace(stack, calib=calib[:1]), "l1_wavelet")
    torch.testing.assert_close(image.values[3:], good.values[3:])
    assert (image.values[2] - good.values[2]).norm() < 0.2 * good.values[2].norm()


def warns_where() -> None:
    """Print the file that a warning names."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        recon(wrong(scan()), "cg_sense")
    print({w.filename for w in told if issubclass(w.category, DoubtfulResult)})


def test_a_warning_names_the_line_that_called():
    """In a process of its own: checked signatures stand between the two here."""
    assert forked.run(warns_where).stdout == f"{ {__file__} }\n"


def test_checked_mends_the_maps_of_wrong_lines():
    good, image = recon(scan(), "checked"), quiet(wrong(scan()), "checked")
    good, image = good.values.abs(), image.values.abs()  # maps and image may share out a phase in other ways
    assert (image - good).norm() < 0.05 * good.norm()


def torn(kspace: KSpace, rng: torch.Generator) -> KSpace:
    """Lines whose phase jumps by chance in each coil: no image and no maps explain them."""
    turns = torch.rand(*kspace.samples.shape[:-1], 1, generator=rng)
    calib = kspace.samples[..., 16:32, :]
    return replace(kspace, samples=kspace.samples * torch.exp(2j * torch.pi * turns), calib=calib)


def test_auto_steps_back_and_says_so(rng):
    with pytest.warns(DoubtfulResult, match="the image does not explain the measured") as told:
        image = recon(torn(scan(), rng), "auto")
    assert [str(w.message).partition(":")[0] for w in told] == ["checked", "l1_wavelet", "cg_sense"]
    (note,) = (s for s in image.header.history if s.startswith("auto took "))
    assert note.startswith("auto took zero_filled: ") and "residual" not in image.extras
    assert "not l1_wavelet, since the image does not explain the measured samples" in note


def smooth(noise: float, rng: torch.Generator) -> KSpace:
    """A Gaussian object, whose spectrum ends far inside k-space."""
    kspace = scan("full", matrix=(1, 64, 64), n_coils=2)
    k2 = torch.arange(64).sub(32).square().float()
    samples = torch.exp(-(k2[:, None] + k2) / 8).to(torch.complex64) * torch.tensor([1.0, 0.7j])[:, None, None, None]
    return replace(kspace, samples=samples + noise * torch.randn(samples.shape, dtype=torch.complex64, generator=rng))


@pytest.mark.parametrize("method", [*METHODS, "auto", "grappa"])
@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_noise_free_data_have_no_measurable_noise(method, scale, rng):
    kspace = smooth(0, rng)
    kspace = replace(kspace, samples=kspace.samples * scale)
    assert noise_sigma(kspace) == 0
    if method != "grappa":
        history = quiet(kspace, method).header.history
        assert not any("x the noise" in step for step in history)
        if method in METHODS:
            assert residual(quiet(kspace, method)).endswith(" % of their norm; they hold no measurable noise")


def test_little_noise_is_noise(rng):
    kspace = smooth(1e-5, rng)
    assert 0.8e-5 < noise_sigma(kspace) < 1.2e-5
    assert "x the noise" in residual(quiet(kspace, "cg_sense"))
