"""The judge on its own: noise as said, scores in closed form, real scans, label maps, what is shown and left out."""

from __future__ import annotations

import math

import nibabel as nib
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from noisy_heads import head
from scipy import stats

from spinecho.core.errors import DataError
from spinecho.evaluate.judge import LeftOut, Outcome
from spinecho.metrics.head import brightness
from spinecho.ops.fourier import fft
from spinecho.sim.tissue import TISSUE_OF_LABEL
from spinecho.tasks.denoise import judge
from spinecho.tasks.denoise.judge import noisy, real
from spinecho.tasks.denoise.judge.inputs import Inputs, plain
from spinecho.tasks.denoise.judge.rendered import rendered

CPU = torch.device("cpu")
TRUTH = head((9, 56, 48))


def given_noise(kind: str, level: float = 0.1, seed: int = 0, channels: int = 4, truth=TRUTH) -> Inputs:
    return noisy._Given(truth, slice(3, 6), level, seed, kind, channels).inputs(CPU)


@pytest.mark.parametrize(("kind", "dof"), [("rician", 2), ("chi", 8)])
def test_air_gets_noise_of_its_distribution(kind, dof):
    air = given_noise(kind).noisy.values[TRUTH == 0].numpy() / 0.1
    assert stats.kstest(air[::3], stats.chi(dof).cdf).pvalue > 1e-3
    assert (air**2).mean() == pytest.approx(dof, rel=0.03)


def test_gaussian_noise_is_normal_and_signed():
    difference = ((given_noise("gaussian").noisy.values - TRUTH) / 0.1).flatten().numpy()
    assert stats.kstest(difference[::5], stats.norm.cdf).pvalue > 1e-3


def test_chi_of_one_channel_is_rician():
    one, other = given_noise("chi", channels=1), given_noise("rician")
    torch.testing.assert_close(one.noisy.values, other.noisy.values)


def test_levels_share_their_noise_and_seeds_do_not():
    weak, strong, other = (given_noise("gaussian", level, seed) for level, seed in ((0.01, 0), (0.1, 0), (0.1, 1)))
    torch.testing.assert_close(10 * (weak.noisy.values - TRUTH), strong.noisy.values - TRUTH, rtol=1e-3, atol=1e-5)
    assert not torch.allclose(strong.noisy.values, other.noisy.values)
    assert strong.sigma == 0.1 and strong.truth is TRUTH


@given(st.integers(1, 60), st.integers(0, 12), st.floats(1e-5, 1e5))
@settings(max_examples=15, deadline=None)
def test_the_middle_is_cut_with_slices_around_and_a_brightness_of_one(n, wanted, factor):
    values = (head((1, 16, 14)).expand(1, n, 16, 14) + 0.01) * factor
    cut, kept = noisy._cut(values, wanted)
    judged = min(wanted or n, n)
    first = max(0, n // 2 - judged // 2)
    assert kept == slice(min(16, first), min(16, first) + judged) and first <= n // 2 <= first + judged
    assert cut.shape[1] == min(16, first) + judged + min(16, n - first - judged)
    assert brightness(cut[0, kept]) == pytest.approx(1, rel=1e-4)


@pytest.mark.parametrize("values", [torch.zeros(1, 4, 16, 16), torch.full((1, 4, 16, 16), torch.nan)])
def test_empty_volumes_are_left_out(values):
    with pytest.raises(DataError, match="empty, or holds values that are not numbers"):
        noisy._cut(values, 2)


def test_scores_of_the_truth_are_perfect_and_of_an_offset_known():
    inputs = given_noise("rician")
    assert inputs.truth is not None
    perfect = noisy.scores(inputs, plain(TRUTH))
    assert perfect["psnr_head"] == math.inf and perfect["ssim_head"] == pytest.approx(1)
    off = noisy.scores(inputs, plain(TRUTH + 0.1))
    bright = brightness(TRUTH[0, 3:6])
    assert off["psnr_head"] == pytest.approx(20 + 20 * math.log10(bright), abs=0.01) and "level" not in off
    outside = TRUTH.clone()
    outside[0, :3] = 7
    assert noisy.scores(inputs, plain(outside))["psnr_head"] == math.inf, "other slices are not judged"


def test_results_that_are_no_numbers_are_refused():
    values = TRUTH.clone()
    values[0, 4, 3, 3] = torch.inf
    with pytest.raises(DataError, match="NaN or infinite"):
        noisy.scores(given_noise("rician"), plain(values))


def test_columns_show_truth_and_error_or_what_was_taken_away():
    inputs = given_noise("rician")
    with_truth = noisy.columns(inputs, {"noisy": inputs.noisy})
    assert [c.name for c in with_truth] == ["truth", "noisy"] and with_truth[1].below is not None
    without = Inputs(truth=None, noisy=inputs.noisy, kept=slice(0, 9), sigma=math.nan)
    assert [c.name for c in noisy.columns(without, {"a": inputs.noisy, "b": inputs.noisy})] == ["a", "b"]


def test_the_baseline_does_nothing():
    inputs = given_noise("rician")
    assert judge.contender("wavelet") is None
    untouched = judge.contender("noisy")
    assert untouched is not None and untouched.run(inputs).result is inputs.noisy


def save(path, values: np.ndarray):
    nib.save(nib.Nifti1Image(values.transpose(2, 1, 0), np.eye(4)), path)
    return path


def test_files_of_a_folder_are_each_with_every_level_and_seed(tmp_path):
    for name in ("b.nii.gz", "a.nii", ".hidden.nii"):
        save(tmp_path / name, TRUTH[0].numpy())
    (tmp_path / "words.txt").write_text("no image")
    save(tmp_path / "dark.nii", 0 * TRUTH[0].numpy())
    cases = judge.cases(judge.Options(images=(tmp_path,), levels=(0.02, 0.2), seeds=(0, 5)), CPU)
    each = list(cases.each)
    left = [c for c in each if isinstance(c, LeftOut)]
    assert cases.total == 12 and len(each) == 9 and [c.n for c in left] == [4] and left[0].scan == "dark.nii"
    kept = [c for c in each if not isinstance(c, LeftOut)]
    assert len({c.name for c in kept}) == 8 and len({c.digest for c in kept}) == 4, "one head, four noises"
    assert {c.group for c in kept} == {"rician noise 0.02", "rician noise 0.2"} and kept[0].scan == "a.nii"


@pytest.mark.parametrize("dtype", [np.float32, np.complex64, np.int16])
def test_volumes_are_magnitudes_without_negative_values(tmp_path, dtype):
    values = (200 * TRUTH[0, 0:1].numpy().repeat(3, 0) - 20).astype(dtype)
    np.save(tmp_path / "x.npy", values)
    for file in (tmp_path / "x.npy", save(tmp_path / "x.nii", np.real(values))):
        volume, _ = noisy._volume(file)
        assert volume.shape == (1, 3, 56, 48) and not volume.is_complex() and float(volume.min()) >= 0


def test_voxels_have_the_files_size_and_stacks_are_thick(tmp_path):
    """What decides whether a volume may be sliced in every direction."""
    thin = save(tmp_path / "x.nii", TRUTH[0].numpy())
    np.save(tmp_path / "y.npy", TRUTH[0].numpy())
    for file, wanted in ((thin, nib.load(thin).header.get_zooms()), (tmp_path / "y.npy", (1, 1, 5))):
        (case, *_) = noisy.cases(judge.Options(images=(file,), levels=(0.1,)), torch.device("cpu")).each
        assert case.load().noisy.geometry.voxel_mm == pytest.approx(wanted)


def scan(sigma: float = 0.03, n_coils: int = 1, size: tuple[int, int] = (96, 80)) -> np.ndarray:
    image = head((1, *size))[0] * torch.polar(torch.ones(()), 2 * torch.linspace(0, 1, size[1]))
    noise = sigma * torch.randn(n_coils, *size, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    samples = fft((image + noise)[:, None]).numpy()[:, 0]
    return samples if n_coils > 1 else samples[0]


def test_real_scans_of_several_coils_or_with_gaps_are_left_out(tmp_path):
    np.save(tmp_path / "one.npy", scan())
    np.save(tmp_path / "coils.npy", scan(n_coils=3))
    gaps = scan()
    gaps[::2] = 0
    np.save(tmp_path / "gaps.npy", gaps)
    found_cases = list(real.cases([tmp_path / f"{n}.npy" for n in ("one", "coils", "gaps")], CPU))
    left = [c for c in found_cases if isinstance(c, LeftOut)]
    assert [c.scan for c in left] == ["coils.npy", "gaps.npy"] and all(c.n == 2 for c in left)
    assert ["one coil" in c.why for c in left] == [True, True], [c.why for c in left]
    complex_, magnitude = (c.load() for c in found_cases if not isinstance(c, LeftOut))
    assert complex_.noisy.values.is_complex() and torch.equal(complex_.noisy.values.abs(), magnitude.noisy.values)
    assert float(magnitude.noisy.values.max()) == pytest.approx(1) and math.isnan(magnitude.sigma)


def real_inputs(sigma: float = 0.05, seed: int = 0) -> Inputs:
    truth = head((2, 128, 112))
    noise = sigma * torch.randn(truth.shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(seed))
    return real._inputs(truth + noise, CPU)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_air_removed_is_the_share_of_the_variance(share):
    inputs = real_inputs()
    values = inputs.noisy.values
    _, air = real.parts(values[0])
    after = torch.where(air, values * (1 - share) ** 0.5, values)
    figures = real.scores(inputs, plain(after))
    assert figures["air_removed"] == pytest.approx(100 * share, abs=0.1) and figures["residual"] == 0.0
    lifted = real.scores(inputs, plain(after + 3))
    assert lifted["air_removed"] == pytest.approx(100 * share, abs=0.1), "a level for all is no noise"


@pytest.mark.parametrize("factor", [1e-6, 1.0, 1e6])
def test_residuals_of_noise_are_white_at_any_scale_and_edges_are_not(factor):
    inputs = real_inputs()
    truth = head((2, 128, 112)).to(torch.complex64)
    scaled = Inputs(truth=None, noisy=plain(inputs.noisy.values * factor), kept=slice(0, 2), sigma=math.nan)
    white = real.scores(scaled, plain(truth * factor))
    assert white["residual"] < 0.05 and white["air_removed"] > 99
    shading = 0.3 * truth * torch.linspace(-1, 1, 112)
    assert real.scores(scaled, plain((inputs.noisy.values - shading) * factor))["residual"] > 0.9


@pytest.mark.parametrize("axis", [-1, -2])
def test_correlation_sees_either_direction(axis):
    inputs = real_inputs()
    noise = torch.randn(2, 128, 112, generator=torch.Generator().manual_seed(9))
    taken = noise + noise.roll(1, axis)
    figures = real.scores(inputs, plain(inputs.noisy.values - 0.01 * taken))
    assert figures["residual"] == pytest.approx(0.5, abs=0.06)


def test_object_and_air_have_a_seam_and_padding_is_neither():
    values = head((2, 128, 112))[0] + 0.01
    values[:, :8] = 0
    object_, air = real.parts(values)
    assert not bool((object_ & air).any()) and not bool(air[:, :8].any()) and bool(air[:, 9:, :2].any())
    grown = torch.nn.functional.max_pool2d(object_[:, None].float(), 13, 1, 6)[:, 0] > 0
    assert not bool((grown & air).any()) and bool((~object_ & ~air)[:, 8:].any())
    for flip in ((1,), (2,)):
        for part, other in zip(real.parts(values.flip(flip)), (object_, air), strict=True):
            assert float((part.flip(flip) != other).float().mean()) < 0.002


def labels(tmp_path, name: str = "labels_07.nii.gz", strange: int | None = None):
    known = sorted(k for k, tissue in TISSUE_OF_LABEL.items() if tissue != "air")[:4]
    values = np.zeros((10, 40, 36), np.int16)
    for i, label in enumerate(known):
        values[2:8, 6 + 7 * i : 13 + 7 * i, 5:30] = label
    if strange is not None:
        values[5, 5, 5] = strange
    return save(tmp_path / name, values)


def test_label_maps_are_cut_to_the_head_and_contrasts_go_by_name(tmp_path):
    one, again = (rendered(labels(tmp_path))[0] for _ in range(2))
    other = rendered(labels(tmp_path, "labels_08.nii.gz"))[0]
    assert one.shape == (1, 6, 40, 36) and torch.equal(one, again) and not torch.allclose(one, other)
    assert not one[:, :, :, 32:].any() and float(one[0, :, 6:34, 5:30].std()) > 0
    assert torch.equal(one, rendered(labels(tmp_path, "labels_07.nii"))[0]), "the ending is no part of the name"


def test_tissue_is_a_little_uneven(tmp_path):
    patch = rendered(labels(tmp_path))[0][0, 1:5, 8:11, 8:28]
    assert 0.002 < float(patch.std() / patch.mean()) < 0.1


def test_label_maps_with_labels_nobody_knows_are_left_out(tmp_path):
    file = labels(tmp_path, strange=32001)
    (left,) = judge.cases(judge.Options(labels=(file,), levels=(0.1,)), CPU).each
    assert isinstance(left, LeftOut) and left.n == 1 and left.scan == file.name


def test_measures_say_which_way_is_better_and_cover_what_is_scored():
    names = {m.name for m in judge.MEASURES}
    inputs = given_noise("rician")
    figures = judge.judge(inputs, Outcome(result=inputs.noisy))
    without = judge.judge(real_inputs(), Outcome(result=real_inputs().noisy))
    assert set(figures) | set(without) <= names and {m.name for m in judge.MEASURES if m.headline} <= set(figures)
