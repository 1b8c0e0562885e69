"""How denoising is judged: levels in units of the head, context, label maps, real noise."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
import torch
from noisy_heads import head

from spinecho.core.errors import DataError
from spinecho.evaluate.judge import Asked, LeftOut, Outcome
from spinecho.metrics.head import brightness
from spinecho.metrics.inside import inside
from spinecho.ops.fourier import fft
from spinecho.tasks.denoise import judge
from spinecho.tasks.denoise.judge import real
from spinecho.tasks.denoise.parts.magnitude import mean_of

CPU = torch.device("cpu")


@pytest.fixture
def files(tmp_path):
    values = 300 * head((20, 48, 40))[0].numpy()
    nib.save(nib.Nifti1Image(values.transpose(2, 1, 0), np.eye(4)), tmp_path / "head.nii.gz")
    labels = np.where(values > 250, 2, np.where(values > 150, 3, np.where(values > 0, 507, 0)))
    nib.save(nib.Nifti1Image(labels.transpose(2, 1, 0).astype(np.int16), np.eye(4)), tmp_path / "labels_99.nii.gz")
    rng = torch.Generator().manual_seed(0)
    complex_ = head((1, 96, 80)) * torch.polar(torch.ones(()), 2 * torch.linspace(0, 1, 80))
    scan = fft(complex_ + 0.04 * torch.randn(complex_.shape, dtype=torch.complex64, generator=rng))
    np.save(tmp_path / "scan.npy", scan[0, 0].numpy())
    return tmp_path


def cases(**settings):
    return list(judge.cases(judge.Options(**settings), CPU).each)


def expected_psnr(truth: torch.Tensor, kind: str, sigma: float = 0.1) -> float:
    """In closed form: E (m - t)^2 = E m^2 - 2 t E m + t^2 over the object, m Gaussian, Rician or chi of 4 channels."""
    t = truth[inside(truth)].double().numpy() / sigma
    n = {"gaussian": 0, "rician": 1, "chi": 4}[kind]
    error = 2 * t**2 + 2 * n - 2 * t * mean_of(t, n) if n else np.ones(1)
    return float(-10 * np.log10(sigma**2 * error.mean()))


@pytest.mark.parametrize("kind", ["rician", "gaussian", "chi"])
def test_noise_is_in_units_of_the_brightness_and_of_its_kind(files, kind):
    (case,) = cases(images=(files / "head.nii.gz",), levels=(0.1,), noise=kind)
    inputs = case.load()
    assert inputs.noisy.values.shape == inputs.truth.shape == (1, 20, 48, 40) and inputs.kept == slice(9, 12)
    assert brightness(inputs.truth[0, inputs.kept]) == pytest.approx(1)
    difference = (inputs.noisy.values - inputs.truth)[inputs.truth > 0.7]
    assert float(difference.std()) == pytest.approx(0.1, rel=0.05)
    assert (float(inputs.noisy.values.min()) < 0) == (kind == "gaussian") and case.kind == "simulated"
    outcome = judge.run(inputs, Asked("wavelet", "wavelet"))
    figures = judge.judge(inputs, outcome)
    before = judge.judge(inputs, judge.contender("noisy").run(inputs))
    assert figures["psnr_head"] > before["psnr_head"] + 1 and figures["ssim_head"] > before["ssim_head"]
    assert before["psnr_head"] == pytest.approx(expected_psnr(inputs.truth[0, inputs.kept], kind), abs=0.3)
    assert figures["level"] == pytest.approx(1, rel=0.12) and "level" not in before
    assert "denoised by wavelet" in outcome.note


def test_label_maps_are_rendered_by_their_names(files):
    one, two = (cases(labels=(files / "labels_99.nii.gz",), levels=(0.05,))[0] for _ in range(2))
    assert one.digest == two.digest
    truth = one.load().truth
    assert brightness(truth[0, one.load().kept]) == pytest.approx(1) and float((truth == 0).float().mean()) > 0.1


def test_real_scans_are_judged_without_a_truth(files):
    complex_, magnitude = cases(real=(files / "scan.npy",))
    assert (complex_.kind, magnitude.kind) == ("real", "real") and complex_.group != magnitude.group
    for case in (complex_, magnitude):
        inputs = case.load()
        assert inputs.truth is None
        figures = judge.judge(inputs, judge.run(inputs, Asked("wavelet", "wavelet")))
        assert figures["air_removed"] > 50 and 0 <= figures["residual"] < 0.5
        same = judge.judge(inputs, Outcome(result=inputs.noisy))
        assert same == {"air_removed": pytest.approx(0, abs=1e-4), "residual": 0.0}
        names = {"wavelet": judge.run(inputs, Asked("wavelet", "wavelet"))}
        assert [c.name for c in judge.picture(inputs, names)] == ["wavelet"]


def test_what_is_white_is_not_correlated_and_what_is_smooth_is():
    rng = torch.Generator().manual_seed(0)
    where = torch.ones(1, 64, 64, dtype=torch.bool)
    white = torch.randn(1, 64, 64, generator=rng)
    smooth = white + white.roll(1, -1)
    assert real._neighbours(white, where, -1) < 0.05
    assert real._neighbours(smooth, where, -1) == pytest.approx(0.5, abs=0.05)


def test_what_cannot_be_judged_is_told(files):
    with pytest.raises(DataError, match="no images"):
        judge.cases(judge.Options(), CPU)
    with pytest.raises(DataError, match="levels"):
        judge.cases(judge.Options(images=(files,), levels=(2.0,)), CPU)
    with pytest.raises(DataError, match="channels"):
        judge.cases(judge.Options(images=(files,), channels=0), CPU)
    with pytest.raises(DataError, match="no such file"):
        judge.cases(judge.Options(images=(files / "absent",)), CPU)
    (left,) = cases(real=(files / "head.nii.gz",))
    assert isinstance(left, LeftOut) and "image" in left.why and left.n == 2
