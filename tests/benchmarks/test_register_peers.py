"""The runner of the registration peers: its pairs, its scores against SimpleITK, and that it goes on where it was."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from benchmarks.register_pairs import write_lists
from benchmarks.register_peers import __main__ as runner
from benchmarks.register_peers import pairs, peers, score

from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.tasks.register.judge.pairs import pairs as named_pairs
from spinecho.tasks.register.methods import ants, elastix, greedy
from spinecho.tasks.register.parts.foreign import Program

ENGINE = Path(__file__).parents[1] / "tasks" / "register" / "engine_of_a_test.py"


def write(path: Path, values: np.ndarray, shift: float = 0.0) -> Path:
    turn = np.linalg.qr(np.array([[1.0, 0.3, -0.2], [-0.3, 1.0, 0.4], [0.2, -0.4, 1.0]]))[0]
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = turn @ np.diag([2.0, 3.0, 2.5]), (5.0 + shift, -7.0, 11.0)
    nib.save(nib.Nifti1Image(values, affine), path)
    return path


def labels(seed: int, shape: tuple[int, int, int] = (14, 12, 13)) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 4, tuple(-(-n // 4) for n in shape))
    return np.kron(coarse, np.ones((4, 4, 4), int))[: shape[0], : shape[1], : shape[2]].astype(np.uint8)


def test_pairs_are_of_the_test_split_and_never_turn_round(shared_data: Path) -> None:
    found = pairs.ixi("test")
    subjects = sorted(p.name.split(".")[0] for p in (shared_data / "ixi_2mm/t1").glob("*.nii.gz"))[-20:]
    both = [tuple(p.name.split("-")) for p in found]
    assert [f for f, _ in both] == subjects and sorted(m for _, m in both) == subjects
    assert len({frozenset(b) for b in both}) == 20
    assert all(p.fixed.exists() and p.moving_labels and p.moving_labels.exists() for p in found)


def test_made_pairs_have_what_lies_in_their_folder(tmp_path: Path) -> None:
    for name, files in (("b", ["truth.npy"]), ("a", ["fixed_labels.nii.gz", "moving_labels.nii.gz"])):
        (tmp_path / name).mkdir()
        for file in [*files, "fixed.nii.gz"]:
            (tmp_path / name / file).touch()
    first, second = pairs.listed(tmp_path)
    assert (first.name, first.truth, second.fixed_labels) == ("a", None, None)
    assert first.moving_labels == tmp_path / "a/moving_labels.nii.gz" and second.truth == tmp_path / "b/truth.npy"


def test_names_say_whether_contrasts_differ() -> None:
    assert [pairs.differs(n) for n in ("agreeing_17_18", "differing_17_18", "t1-t1", "t1-flair")] == [0, 1, 0, 1]


def test_peers_that_count_voxels_are_told_others_at_1_mm() -> None:
    convex = peers.PEERS["convexadam"]
    assert convex.told(2.0)["arguments"]["grid_sp_adam"] == 1 and convex.told(1.0)["arguments"]["grid_sp_adam"] == 2
    assert peers.PEERS["ants"].told(1.0) == peers.PEERS["ants"].told(2.0)


def test_labels_are_warped_as_simpleitk_does(tmp_path: Path) -> None:
    import SimpleITK as sitk

    fixed, moving = write(tmp_path / "f.nii", labels(1)), write(tmp_path / "m.nii", labels(2), shift=4.0)
    field = np.random.default_rng(3).normal(0, 3, (3, 13, 12, 14)).astype(np.float32)
    ours = score.warp_labels(field, fixed, moving)
    on = sitk.ReadImage(str(fixed))
    vectors = sitk.GetImageFromArray(field.transpose(1, 2, 3, 0).astype(np.float64), isVector=True)
    vectors.CopyInformation(on)
    transform = sitk.DisplacementFieldTransform(vectors)
    theirs = sitk.Resample(sitk.ReadImage(str(moving)), on, transform, sitk.sitkNearestNeighbor, 0)
    same = (ours == sitk.GetArrayFromImage(theirs).transpose(2, 1, 0))[1:-1, 1:-1, 1:-1]
    assert same.mean() > 0.999


def test_an_affine_is_a_field(tmp_path: Path) -> None:
    fixed = write(tmp_path / "f.nii", labels(1))
    matrix = np.eye(4)
    matrix[:3, 3] = (1, 2, 3)
    np.testing.assert_allclose(score.affine_field(matrix, fixed)[:, 4, 5, 6], [1, 2, 3], atol=1e-9)


def test_small_regions_are_left_out() -> None:
    fixed = np.zeros((10, 10, 10), np.uint8)
    fixed[:5, :5, :4], fixed[9, 9, 9], fixed[5:, :5, :4] = 1, 2, 3
    warped = np.roll(fixed, 1, axis=2)
    assert score.dice(warped, fixed) == {1: 0.75, 3: 0.75}


def test_errors_leave_out_what_is_not_known() -> None:
    truth = np.zeros((3, 2, 2, 2))
    field = truth + np.array([3.0, 4.0, 0.0])[:, None, None, None]
    truth[:, 0, 0, 0] = np.nan
    assert score.errors_mm(field, truth) == {"mean": 5.0, "p95": 5.0, "max": 5.0}


def test_the_runner_scores_keeps_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    maps = [write(tmp_path / f"{n}.nii", labels(i)) for i, n in enumerate("fm")]
    pair = pairs.Pair(name="f-m", fixed=maps[0], moving=maps[1], fixed_labels=maps[0], moving_labels=maps[1])
    monkeypatch.setattr(runner, "PYTHON", sys.executable)
    monkeypatch.setitem(runner.SETS, "ixi", lambda: [pair])
    for name, play in (("greedy", "well"), ("ants", "raise")):
        monkeypatch.setitem(runner.PEERS, name, peers.Peer(engine=ENGINE, parameters={"play": play}))
    arguments = ["x", "--peers", "greedy", "ants", "--out", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", arguments)
    runner.main()
    folder = tmp_path / "out/ixi"
    told = json.loads((folder / "greedy/f-m.json").read_text())
    with np.load(folder / "greedy/f-m.npz") as kept:
        assert kept["field"].shape == (3, 13, 12, 14) and kept["field"].dtype == np.float32
    assert 0 <= told["dice"] <= 1 and told["calls"] == ["fake --exactly this"]
    assert 0 < told["cpu_s"] < 60 and told["wall_s"] > 0 and told["peak_mb"] > 1 and told["dice_affine_regions"]
    failed = json.loads((folder / "ants/f-m.json").read_text())
    assert "images do not overlap" in failed["failed"] and not (folder / "ants/f-m.npz").exists()
    capsys.readouterr()
    runner.main()
    assert capsys.readouterr().out == ""


def test_the_methods_of_the_package_are_the_peers_as_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the tables call ants and greedy is what `spinecho register --method` runs by default."""
    tiny = Image(values=torch.zeros(1, 2, 2, 2), geometries=(Geometry.unknown((2, 2, 2)),))
    for module, name in ((ants, "ants"), (greedy, "greedy"), (elastix, "elastix")):
        seen: list[Program] = []
        monkeypatch.setattr(module, "stages", lambda program, *_, seen=seen: seen.append(program) or iter(()))
        list(module.Method(module.Config()).stages(tiny, tiny))
        (program,) = seen
        assert program.engine == peers.PEERS[name].engine
        if name == "elastix":
            assert program.parameters["overrides"]["bspline"] == {
                "MaximumNumberOfIterations": ["256"],
                "NumberOfSpatialSamples": ["2048"],
                "FinalGridSpacingInPhysicalUnits": ["10.0"],
            }
        else:
            assert program.parameters == peers.PEERS[name].parameters


def test_lists_of_made_pairs_are_those_that_evaluate_takes(tmp_path: Path) -> None:
    folder = tmp_path / "warps" / "pairs"
    for name in ("t1-t1", "t1-flair", "t2-flair"):
        (folder / name).mkdir(parents=True)
        for image in ("fixed", "moving"):
            write(folder / name / f"{image}.nii.gz", np.ones((6, 5, 4), np.float32))
        np.save(folder / name / "truth.npy", np.zeros((3, 4, 5, 6), np.float32))
    write_lists(folder)
    found = {word: named_pairs(str(folder.parent / f"warps_{word}.json")) for word in ("alike", "unlike")}
    assert [p.name for p in found["alike"]] == ["t1-t1"]
    assert [p.name for p in found["unlike"]] == ["t1-flair", "t2-flair"]
    truth = found["unlike"][0].truth
    assert truth is not None and truth.samefile(folder / "t1-flair" / "truth.npy")
