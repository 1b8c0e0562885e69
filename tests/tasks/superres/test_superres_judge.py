"""The judge of super-resolution: its figures on results that are known, its cases, its tables."""

from __future__ import annotations

import math
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from fine_heads import head

from spinecho.cli import main
from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.evaluate.judge import LeftOut
from spinecho.tasks.superres.judge import Options, dots, scores
from spinecho.tasks.superres.judge.degraded import Inputs, cases, columns, losses, run
from spinecho.tasks.superres.parts.degrade import Degradation, along, maps_of
from spinecho.tasks.superres.parts.spline import enlarged, sinc

CPU = torch.device("cpu")
SHAPE = (6, 64, 56)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    affine = np.array([[0, -1.1, 0, 5], [0.9, 0, 0, -3], [0, 0, 1.0, 7], [0, 0, 0, 1.0]])
    nib.save(nib.Nifti1Image(head(SHAPE).numpy().T * 900, affine), tmp_path / "person.nii.gz")
    return tmp_path / "person.nii.gz"


def inputs(file: Path, **options) -> Inputs:
    chosen = Options(images=(file,), **{"factors": (2.0,), "dots": 6, "slices": 0, **options})
    (case,) = cases(chosen, CPU).each
    return case.load()


def test_the_truth_is_perfect(file):
    one = inputs(file)
    figures = scores.figures(one, one.truth[None])
    assert figures["psnr_head"] == math.inf and figures["ssim_head"] == pytest.approx(1)
    assert figures["hfen"] == 0 and figures["sharpness"] == pytest.approx(1)
    assert figures["dots_kept"] == pytest.approx(1, abs=1e-3) and figures["dots_new"] == 0
    assert figures["disagreement"] < 1e-6


def test_interpolation_is_less_sharp_keeps_less_of_the_dots_and_invents_none(file):
    one = inputs(file)
    figures = scores.figures(one, enlarged(one.low.values, SHAPE))
    assert 15 < figures["psnr_head"] < 40 and 0 < figures["ssim_head"] < 1 and 0 < figures["hfen"] < 1
    assert figures["sharpness"] < 0.5 and 0.3 < figures["dots_kept"] < 1.01 and figures["disagreement"] > 1e-4


def test_zero_filling_has_nothing_of_the_lost_band(file):
    one = inputs(file)
    figures = scores.figures(one, enlarged(one.low.values, SHAPE, sinc))
    assert figures["sharpness"] < 0.1 and figures["disagreement"] < 0.02


def test_the_lost_band_is_what_the_coarse_grid_cannot_hold():
    low, x = (4, 8, 10), head((4, 24, 20)).double()
    beyond = scores.lost(x, low)
    torch.testing.assert_close(scores.lost(beyond, low), beyond)
    maps = maps_of((Degradation("kspace"),) * 3, low, x.shape)
    assert float(along(beyond, maps).abs().max()) < 1e-12
    assert scores.sharpness(x, x, low) == pytest.approx(1) and scores.sharpness(x, 2 * x, low) == pytest.approx(4)
    assert math.isnan(scores.sharpness(torch.zeros(4, 24, 20), x, low))


def test_what_cannot_be_judged_is_told(file):
    one = inputs(file)
    with pytest.raises(DataError, match="its shape is"):
        scores.figures(one, one.truth[None, :, :10])
    with pytest.raises(DataError, match="NaN"):
        scores.figures(one, one.truth[None] * torch.nan)


def test_dots_are_planted_apart_inside_by_turns_bright_and_dark():
    plain = head((8, 96, 90))
    truth, places = dots.planted(plain, 10)
    assert len(places) == 10 and dots.planted(plain, 10)[1] == places, "the same ones every time"
    far = [np.linalg.norm(np.subtract(a, b)) for i, a in enumerate(places) for b in places[:i]]
    assert min(far) >= 9
    change = [float(truth[p] - plain[p]) for p in places]
    assert all((c > 0) == (i % 2 == 0) for i, c in enumerate(change)) and all(plain[p] > 0 for p in places)
    assert dots.planted(plain, 0)[1] == []


def test_dots_half_kept_and_dots_of_its_own():
    plain = head((8, 96, 90))
    truth, places = dots.planted(plain, 8)
    half = (plain + truth) / 2
    assert dots.kept(truth, plain, half, places) == pytest.approx(0.5, abs=0.01)
    assert dots.kept(truth, plain, plain, places) == pytest.approx(0, abs=0.01)
    assert dots.new(truth, truth, places) == 0
    moved = truth.clone()
    for _, y, x in places[:4]:
        moved[:, y - 1 : y + 2, x + 6] += 0.6
    assert dots.new(truth, moved, places) >= 1
    assert math.isnan(dots.kept(truth, plain, truth, [])) and math.isnan(dots.new(truth, truth, []))


def test_cases_are_files_times_factors(file):
    options = Options(images=(file.parent,), factors=(2.0, 3.0), degradation="blur", axes="all", slices=4)
    all_ = cases(options, CPU)
    rows = list(all_.each)
    assert all_.total == len(rows) == 2 and len({r.digest for r in rows}) == len({r.name for r in rows}) == 2
    assert rows[0].group == "Gaussian blur of 1 coarse voxels and decimation, all x2" and rows[0].kind == "simulated"
    assert rows[1].load().low.geometry.shape == (1, 21, 19)


def test_slices_at_a_distance_are_one_case():
    geometry = Geometry.unknown((100, 60, 50), (0.88, 0.88, 0.88))
    options = Options(images=(), degradation="slices", axes="through-plane", distance_mm=5.0, thickness_mm=4.0)
    (loss,) = losses(options, geometry)
    assert loss.degradation == Degradation("slices", 0.8) and loss.name == "4 mm at 5 mm"
    assert loss.shape((100, 60, 50)) == (18, 60, 50)


def test_a_method_is_told_what_was_lost(file):
    one = inputs(file, degradation="slices", axes="through-plane", factors=(3.0,))
    outcome = run(one, "bspline", {})
    assert outcome.result.shape == (1, *SHAPE) and "thick slices (box, 1 of their distance)" in outcome.note
    assert scores.figures(one, outcome.result)["disagreement"] < 1e-4
    apart = scores.figures(one, run(one, "bspline", {"agree": False}).result)
    assert apart["disagreement"] > 1e-4


@pytest.mark.parametrize("axes", ["in-plane", "through-plane", "all"])
def test_pictures_show_a_plane_with_the_loss(file, axes):
    one = inputs(file, axes=axes)
    shown = columns(one, {"bspline": enlarged(one.low.values, SHAPE)})
    assert [c.name for c in shown] == ["truth", "bspline"] and shown[1].below is not None
    assert all(c.image.png.startswith(b"\x89PNG") for c in shown)


def test_what_makes_no_case_is_told(file, tmp_path):
    for options, words in (
        (Options(images=(file,), factors=(1.0,)), "give numbers over 1"),
        (Options(images=(file,), distance_mm=2.0, thickness_mm=9.0), "up to twice the distance"),
        (Options(images=()), "there are no images"),
        (Options(images=(tmp_path / "absent",)), "no such file or folder"),
    ):
        with pytest.raises(DataError, match=words):
            cases(options, CPU)
    np.save(tmp_path / "dark.npy", np.zeros((3, 40, 40), np.float32))
    (left,) = cases(Options(images=(tmp_path / "dark.npy",), factors=(2.0,)), CPU).each
    assert isinstance(left, LeftOut) and "empty" in left.why


def test_it_is_evaluated_like_every_task(file, tmp_path, capsys):
    np.save(tmp_path / "stack.npy", head((4, 48, 40)).numpy())
    report = tmp_path / "report.html"
    command = ["evaluate", "superres", "--images", str(file), str(tmp_path / "stack.npy"), "--factors", "2"]
    command += ["--methods", "bspline", "interpolated", "zero_filled", "--dots", "4", "--slices", "3", "--threads", "1"]
    assert main([*command, "--report", str(report)]) == 0
    out = capsys.readouterr().out
    assert "k-space truncation, in-plane x2" in report.read_text() and "`zero_filled`" in out
    assert main([*command, "--report", str(report)]) == 0
    assert "rows were finished before" in capsys.readouterr().out
