"""The judge of translation: its figures on results that are known, its cases, its tables, lesions that get lost."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from two_contrasts import saved

from spinecho.cli import main
from spinecho.core.errors import DataError
from spinecho.evaluate.judge import LeftOut
from spinecho.evaluate.planting import planted
from spinecho.tasks.translate.judge import Options, scores
from spinecho.tasks.translate.judge.heads import Inputs, Result, amplitude, cases, columns, run
from spinecho.tasks.translate.parts.level import level

CPU, SHAPE = torch.device("cpu"), (16, 60, 56)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    names = {"t1": "t1", "t2": "t2", "flair": "flair", "lesions": "lesions"}
    return saved(tmp_path_factory.mktemp("heads") / "person", names, SHAPE, mm=2.0)


def inputs(folder: Path, **options) -> Inputs:
    chosen = Options(heads=(folder,), **{"pairs": ("t1-t2",), "slices": 0, "lesions": 3, **options})
    (case,) = cases(chosen, CPU).each
    return case.load()


def perfect(one: Inputs, share: float = 1.0) -> Result:
    """The truth, and the truth with lesions of that share of their amplitude."""
    sick = planted(one.truth, one.places, share * amplitude(one.pair[1]), one.sigma)
    return Result(replace(one.source, values=one.truth[None], extras={}), sick)


def test_lesions_are_dark_in_t1_and_bright_in_t2_and_flair():
    assert amplitude("t1") < -0.1 and amplitude("t2") > 0.1 and amplitude("flair") > 0.1


def test_the_truth_is_perfect(folder):
    one = inputs(folder)
    assert level(one.truth) == pytest.approx(1, rel=1e-3) and len(one.places) == 3
    figures = scores.figures(one, perfect(one))
    assert figures["psnr_head"] == math.inf and figures["ssim_head"] == pytest.approx(1) and figures["hfen"] == 0
    assert figures["sharpness"] == pytest.approx(1) and figures["direct"] == 0 and figures["invented"] == 0
    assert figures["sensitivity"] == 1 and figures["false_alarms"] == 0 and figures["auc"] == 1
    assert "cycle" not in figures and "spread_tells" not in figures and "lesion_dice" not in figures


def test_lesions_that_vanish_are_told(folder):
    one = inputs(folder)
    figures = scores.figures(one, perfect(one, 0.2))
    assert figures["sensitivity"] == 0 and figures["false_alarms"] == 0
    none = inputs(folder, lesions=0)
    assert none.places == [] and "sensitivity" not in scores.figures(none, replace(perfect(none), with_lesions=None))


def test_lesions_that_appear_are_told(folder):
    one = inputs(folder)
    sick = perfect(one).with_lesions
    assert sick is not None
    figures = scores.figures(one, Result(replace(one.source, values=sick[None], extras={}), sick))
    assert figures["false_alarms"] == 1 and figures["auc"] == pytest.approx(0.5)


def test_maps_are_compared_with_the_error(folder):
    one = inputs(folder)
    rough = 0.1 * torch.rand(SHAPE, generator=torch.Generator().manual_seed(0))
    maps = {"spread": rough[None], "cycle": torch.full((1, *SHAPE), 0.25)}
    made = Result(replace(one.source, values=(one.truth + rough)[None], extras=maps), None)
    figures = scores.figures(one, made)
    assert figures["spread_tells"] == pytest.approx(1, abs=1e-3) and figures["cycle"] == pytest.approx(0.25)
    assert 0.04 < figures["direct"] < 0.06


def test_sharpness_is_what_is_left_of_edges(folder):
    one = inputs(folder)
    everywhere = torch.ones(SHAPE, dtype=torch.bool)
    assert scores.sharpness(one.truth, 2 * one.truth, everywhere) == pytest.approx(2)
    assert scores.sharpness(one.truth, torch.ones(SHAPE), everywhere) == pytest.approx(0, abs=0.01)
    assert math.isnan(scores.sharpness(torch.zeros(SHAPE), one.truth, everywhere))


def test_lesions_of_a_made_flair_are_counted_by_the_threshold_of_the_real_one(folder):
    """Grey matter stands for lesions here: the threshold finds it in the truth, and nothing where it is dark."""
    one = inputs(folder, pairs=("t1-flair",))
    assert one.lesions is not None and bool(one.lesions.any())
    bright = torch.where(one.lesions, 1.2, 0.5 * one.truth)
    same = scores.lesions(bright, bright, one.lesions, (1, 1, 1))
    assert same["lesion_dice"] == pytest.approx(1)
    lost = scores.lesions(bright, torch.full(SHAPE, 0.4), one.lesions, (1, 1, 1))
    assert lost == {"lesion_dice": 0, "lesion_false_ml": 0}
    everywhere = scores.lesions(bright, torch.full(SHAPE, 2.0), one.lesions, (1, 2, 2))
    outside = float((~one.lesions).sum()) * 4 / 1000
    assert everywhere["lesion_false_ml"] == pytest.approx(outside)
    assert inputs(folder).lesions is None, "T2 has no such threshold"


def test_what_cannot_be_judged_is_told(folder):
    one = inputs(folder)
    with pytest.raises(DataError, match="NaN"):
        scores.figures(one, replace(perfect(one), image=replace(one.source, values=one.source.values * torch.nan)))


def test_cases_are_heads_and_pairs(folder, tmp_path):
    both = tmp_path / "both"
    saved(both / "a", {"t1": "t1", "t2": "t2"}, (12, 40, 36))
    saved(both / "b", {"b_t1": "t1", "b_t2": "t2", "c_t1": "t1"}, (12, 40, 36))
    found = cases(Options(heads=(both,), pairs=("t1-t2", "t1-flair"), slices=6), CPU)
    named = list(found.each)
    assert found.total == 2 and [c.group for c in named] == ["t2 of t1"] * 2 and len({c.scan for c in named}) == 2
    assert len({c.digest for c in named}) == 2 or named[0].digest == named[1].digest
    assert named[0].load().truth.shape == (6, 40, 36)
    for wrong, said in (((both,), "no head has the contrasts"), ((tmp_path / "absent",), "no such folder")):
        with pytest.raises(DataError, match=said):
            cases(Options(heads=wrong, pairs=("pd-t1",)), CPU)


def test_people_whose_folders_have_one_name_are_several(tmp_path):
    """As in BIDS: sub-01/anat/t1.nii.gz, sub-01/anat/t2.nii.gz."""
    for i in (1, 2, 3):
        saved(tmp_path / f"sub-0{i}" / "anat", {"t1": "t1", "t2": "t2"}, turn=0.1 * i)
    given = tuple(tmp_path / f"sub-0{i}" for i in (1, 2, 3))
    made = list(cases(Options(heads=given, pairs=("t1-t2",), slices=6), CPU).each)
    assert [c.scan for c in made] == ["sub-01/anat", "sub-02/anat", "sub-03/anat"]


def test_lesions_of_another_grid_are_left_out(tmp_path):
    folder = saved(tmp_path / "a", {"t1": "t1", "flair": "flair", "lesions": "lesions"})
    moved = np.diag([-1.0, -1.0, 1.0, 1.0])
    moved[2, 3] = 4
    nib.save(nib.Nifti1Image(nib.load(folder / "lesions.nii.gz").get_fdata(), moved), folder / "lesions.nii.gz")
    (one,) = cases(Options(heads=(folder,), pairs=("t1-flair",)), CPU).each
    assert isinstance(one, LeftOut) and "lesions.nii.gz: the lesions lie on another grid than t1" in one.why


def test_each_head_of_a_folder_has_its_own_lesions(tmp_path):
    names = {f"{who}_{c}": c for who in ("p1", "p2", "p3") for c in ("t1", "flair")}
    folder = saved(tmp_path / "all", {**names, "lesions_p2": "lesions"})
    values = nib.load(folder / "lesions_p2.nii.gz").get_fdata()
    nib.save(nib.Nifti1Image(np.flip(values, 0), np.diag([-1.0, -1, 1, 1])), folder / "p3_lesions.nii.gz")
    nib.save(nib.Nifti1Image(0 * values + 1, np.diag([-1.0, -1, 1, 1])), folder / "lesions.nii.gz")
    made = {c.scan: c.load().lesions for c in cases(Options(heads=(folder,), pairs=("t1-flair",), slices=0), CPU).each}
    assert made["all/p1"] is None, "nobody's are not everybody's"
    assert torch.equal(made["all/p2"], torch.from_numpy(values.T > 0))
    assert torch.equal(made["all/p3"], made["all/p2"].flip(2))
    alone = saved(tmp_path / "alone", {"p1_t1": "t1", "p1_flair": "flair", "lesions": "lesions"})
    (one,) = cases(Options(heads=(alone,), pairs=("t1-flair",)), CPU).each
    assert one.load().lesions is not None


def test_other_grids_are_left_out(tmp_path):
    folder = saved(tmp_path / "a", {"t1": "t1", "t2": "t2"})
    values = nib.load(folder / "t2.nii.gz").get_fdata()
    nib.save(nib.Nifti1Image(values, np.diag([2.0, 2, 2, 1])), folder / "t2.nii.gz")
    (one,) = cases(Options(heads=(folder,), pairs=("t1-t2",)), CPU).each
    assert isinstance(one, LeftOut) and "two grids" in one.why and "register" in one.why


def test_a_method_is_run_with_and_without_lesions(folder):
    one = inputs(folder)
    outcome = run(one, "lookup", {})
    result = outcome.result
    assert result.with_lesions is not None and outcome.n_parts == SHAPE[0]
    changed = (result.with_lesions - result.image.values[0]).abs()
    assert all(float(changed[p]) > 0.01 for p in one.places)
    far = planted(torch.zeros(SHAPE), one.places, 1.0, one.sigma) < 1e-3
    assert float(changed[far].max()) < 0.01, "far from them nothing changes"
    shown = columns(one, {"lookup": result})
    assert [c.name for c in shown] == ["t1", "t2", "lookup"] and shown[2].below is not None
    assert run(inputs(folder, lesions=0), "lookup", {}).result.with_lesions is None


def test_the_command_makes_a_table(folder, tmp_path, capsys):
    out = tmp_path / "rows.csv"
    words = ["evaluate", "translate", "--heads", str(folder), "--methods", "lookup", "auto", "--out", str(out)]
    assert main([*words, "--pairs", "t1-flair", "--slices", "12", "--lesions", "2"]) == 0
    said = capsys.readouterr().out
    assert "flair of t1" in said and "lesions seen" in said and "lesion Dice / real" in said and out.exists()
