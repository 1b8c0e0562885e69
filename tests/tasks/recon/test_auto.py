"""Auto takes the method that suits the scan, tells why, and falls back where that one cannot."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files
from types import SimpleNamespace

import pytest
import torch

import spinecho
from spinecho import Encoding, Geometry, KSpace, recon
from spinecho.calib.prepare import prepare
from spinecho.ops.fourier import fft, ifft
from spinecho.sim.scan import Scan, simulate_phantom
from spinecho.tasks.recon.methods import auto
from spinecho.tasks.recon.methods.auto import choices


def scan(sampling: str, **more) -> KSpace:
    settings = {"matrix": (1, 40, 32), "n_coils": 4, **more}
    return simulate_phantom(Scan(sampling=sampling, fineness=1, **settings)).kspace


@pytest.mark.parametrize(
    ("sampling", "taken", "words"),
    [
        ("full", "zero_filled", "fully sampled, 4 coils"),
        ("partial:0.7", "pocs", "partial Fourier along k1"),
        ("equispaced:3:12", "checked", "R = 3"),
        ("random:3:10", "checked", "3.1-fold undersampled"),
        ("radial:20", "checked", "radial trajectory, 1 points for each pixel"),
        ("radial:70", "nufft_cg", "radial trajectory"),
    ],
)
def test_choice_and_reason(sampling, taken, words):
    image = recon(scan(sampling), "auto")
    (note,) = (step for step in image.header.history if step.startswith("auto took "))
    assert note.startswith(f"auto took {taken}: ") and words in note


def test_series_outside_the_card_of_the_network_take_llr():
    history = recon(scan("kt:3:8", n_frames=5), "auto").header.history
    (note,) = [step for step in history if step.startswith("auto took llr: 5 frames")]
    assert "not varnet_kt, since the scan is outside its card" in note and "sampling 1d regular" in note


def test_series_inside_its_card_take_the_network_of_series():
    series = spinecho.read(str(files("spinecho.samples") / "kt_series.mrd.h5"))
    assert isinstance(series, KSpace)
    history = recon(series.take("time", range(4)), "auto").header.history
    assert any(step.startswith("auto took varnet_kt: 4 frames") for step in history)


def test_the_choice_that_is_told_beforehand_minds_the_card_too():
    assert auto.Method.choice(prepare(scan("kt:3:8", n_frames=5))[0]) == "llr"
    assert auto.Method.choice(prepare(scan("kt-random:4:6:0", n_frames=4, matrix=(1, 48, 44)))[0]) == "varnet_kt"


def test_without_its_weights_series_take_llr(monkeypatch):
    monkeypatch.setattr(auto, "registry", SimpleNamespace(offer=lambda task, name: SimpleNamespace(is_ready=False)))
    assert auto._of_series() == ("llr",)


def test_series_along_a_trajectory_are_left_to_the_classical_method():
    kspace = scan("radial:20")
    series = KSpace.joined([kspace, kspace])
    axes = tuple("time" if axis == "example" else axis for axis in series.axes)
    assert choices(replace(series, axes=axes))[0] == ("nufft_cg", "gridding")


def test_few_spokes_come_nearer_to_the_truth_than_by_the_classical_method():
    kspace = scan("radial:12", snr=60)
    errors = [_error(recon(kspace, method), kspace) for method in ("auto", "nufft_cg")]
    assert errors[0] < 0.9 * errors[1]


def _error(image, kspace) -> float:
    truth = kspace.target.abs()
    return float((image.values.abs() - truth).square().mean() / truth.square().mean()) ** 0.5


def test_two_frames_are_too_few_for_llr():
    history = recon(scan("kt:3:8", n_frames=2), "auto").header.history
    assert any(step.startswith("auto took checked") and "not llr, since it has 2 frames" in step for step in history)


def test_fully_sampled_series_needs_no_model():
    assert choices(scan("full", n_frames=4))[0] == ("zero_filled",)


def test_no_calibration_lines_still_give_a_picture():
    full = scan("full")
    mask = torch.zeros(1, 1, 40, 1, dtype=torch.bool)
    mask[..., 1::4, :] = True
    image = recon(replace(full, samples=full.samples * mask, mask=mask, target=None), "auto")
    (note,) = (step for step in image.header.history if step.startswith("auto took "))
    assert note.startswith("auto took zero_filled") and "calibration" in note
    assert torch.isfinite(image.values).all()


def test_partial_fourier_with_too_narrow_a_centre():
    full = scan("full")
    mask = (torch.arange(40) >= 18).reshape(1, 1, 40, 1)
    image = recon(replace(full, samples=full.samples * mask, mask=mask, target=None), "auto")
    assert any("auto took zero_filled" in step and "not pocs" in step for step in image.header.history)


def test_plain_call_is_auto():
    kspace = scan("full")
    assert torch.equal(recon(kspace).values, recon(kspace, "auto").values)


def test_an_oversampled_readout_that_nobody_recorded_is_told_and_the_image_keeps_its_size():
    plain = simulate_phantom(Scan(matrix=(1, 48, 96), n_coils=3, sampling="random:2:12:0", snr=40)).kspace
    images = torch.nn.functional.pad(ifft(plain.samples), (48, 48))
    matrix = (1, 48, 192)
    encoding, grid = Encoding.cartesian(matrix), Geometry.unknown(matrix)
    wide = KSpace(samples=fft(images), mask=plain.mask, encoding=encoding, geometries=(grid,))
    image = recon(wide)
    assert image.values.shape[-3:] == matrix
    assert [step for step in image.header.history if step.startswith("the outer half of the readout is air")]
    told = recon(replace(wide, encoding=replace(wide.encoding, recon_matrix=(1, 48, 96))))
    assert told.values.shape[-3:] == (1, 48, 96) and not any("outer half" in step for step in told.header.history)
