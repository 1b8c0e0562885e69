"""Growth between two visits: closed forms, exchange of the visits, intervals, and a known change found again."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from heads import linear_once
from scipy.stats import norm

from spinecho.cli import main
from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.core.transform import Affine, Rigid, Velocity
from spinecho.io.write import write
from spinecho.sim.warps import sample_affine, smooth_noise
from spinecho.tasks.register.change import Change, change, growth_of, region_changes, repeat_interval
from spinecho.tasks.register.methods import affine
from spinecho.tasks.register.run import Registration

SHAPE = (20, 22, 24)
GRID = Geometry.from_frame([10.0, -5.0, 3.0], np.diag([1.0, -1.0, 1.0]), (2.0, 2.0, 2.0), SHAPE)


@pytest.fixture(autouse=True, scope="module")
def _linear_once():
    with linear_once(6.0, affine):
        yield


def scaled(factor: float) -> Affine:
    matrix = np.eye(4)
    matrix[:3, :3] *= factor
    matrix[:3, 3] = (1 - factor) * np.array([10.0, -5.0, 3.0])
    return Affine(matrix)


def bump(size: float) -> Velocity:
    """A flow away from the middle: growth there, loss around it."""
    z, y, x = np.indices(SHAPE)
    world = GRID.to_world(np.stack([x, y, z], -1)) - [10.0, -5.0, 3.0]
    field = size * world * np.exp(-np.square(world).sum(-1, keepdims=True) / (2 * 6.0**2))
    return Velocity(torch.from_numpy(np.moveaxis(field, -1, 0)).float(), GRID)


def found_of(runs: torch.Tensor) -> Change:
    registration = Registration(Rigid(np.eye(4)), "rigid", {}, {})
    seen = torch.ones(SHAPE, dtype=torch.bool)
    return Change(growth=runs.log().mean(0).exp(), runs=runs, seen=seen, geometry=GRID, forward=registration)


def test_scaling_grows_by_its_cube_and_turning_by_nothing(rng: torch.Generator) -> None:
    there, back = growth_of(scaled(0.9), scaled(0.9).inverse(), GRID, GRID)
    torch.testing.assert_close(there, torch.full(SHAPE, 0.9**3), atol=1e-4, rtol=0)
    torch.testing.assert_close(back, torch.full(SHAPE, 0.9**3), atol=1e-4, rtol=0)
    turn = sample_affine(rng, (10.0, -5.0, 3.0), scale=0.0)
    for growth in growth_of(turn, turn.inverse(), GRID, GRID):
        torch.testing.assert_close(growth, torch.ones(SHAPE), atol=1e-4, rtol=0)


def test_both_directions_tell_the_same_of_a_flow_and_exchange_turns_the_sign() -> None:
    flow = bump(0.12)
    there, back = growth_of(flow, flow.inverse(), GRID, GRID)
    assert float(there[10, 11, 12]) > 1.2
    assert float((there.log() - back.log()).abs().max()) < 0.08  # on a grid of 2 mm
    forward = 0.5 * (there.log() + back.log())
    there, back = growth_of(flow.inverse(), flow, GRID, GRID)
    backward = Image(values=(0.5 * (there.log() + back.log()))[None], geometries=(GRID,))
    seen = flow.warp(backward).values[0]
    assert float((forward + seen).abs().max()) < 0.05
    assert float((forward - seen).abs().max()) > 0.3


def test_where_the_follow_up_was_not_scanned_the_forward_map_stands_alone() -> None:
    small = GRID.cropped([0, 0, 0], (10, 22, 24))
    there, back = growth_of(scaled(0.9), scaled(0.8).inverse(), GRID, small)
    torch.testing.assert_close(back[-4:], there[-4:])
    assert float(back[2, 11, 12]) == pytest.approx(0.8**3, abs=1e-3)


def test_a_region_changes_by_its_mean_growth_with_an_interval_about_it() -> None:
    runs = torch.stack([torch.full(SHAPE, 1 + 0.01 * v) for v in (4.0, 5.0, 6.0)])
    labels = torch.zeros(1, *SHAPE)
    labels[:, 5:8, 5:8, 5:8], labels[:, 0, 0, :3] = 7, 9
    (region,) = region_changes(found_of(runs), Image(values=labels, geometries=(GRID,)))
    assert (region.label, region.before_mm3) == (7, pytest.approx(27 * 8.0))
    assert region.percent == pytest.approx(5.0, abs=0.01)
    assert region.high - region.low == pytest.approx(2 * 4.302653 * math.sqrt(4 / 3), rel=1e-3)
    assert found_of(runs).percent.values.mean() == pytest.approx(5.0, abs=0.01)
    with pytest.raises(DataError, match="no label"):
        region_changes(found_of(runs), Image(values=0 * labels, geometries=(GRID,)))


def test_the_interval_holds_one_more_value_as_often_as_it_says() -> None:
    drawn = norm.rvs(size=(4000, 5), random_state=3)
    held = []
    for row in drawn:
        low, high = repeat_interval(row[:4].tolist())
        held.append(low <= row[4] <= high)
    assert np.mean(held) == pytest.approx(0.95, abs=0.015)


def ball(size: float) -> Image:
    """A bright ball with a textured shell on GRID."""
    z, y, x = np.indices(SHAPE)
    r = np.linalg.norm(GRID.to_world(np.stack([x, y, z], -1)) - [10.0, -5.0, 3.0], axis=-1)
    texture = smooth_noise(SHAPE, 1.5, torch.Generator().manual_seed(1), 1)[0]
    values = torch.from_numpy(1 / (1 + np.exp((r - size) / 0.7)) + 0.5 / (1 + np.exp((r - 18) / 0.7))).float()
    return Image(values=(values * (1 + 0.3 * texture))[None], geometries=(GRID,))


def test_a_scaled_head_is_found_again_from_another_start_too(rng: torch.Generator) -> None:
    baseline = ball(9.0)
    followup = scaled(0.95).inverse().warp(baseline)
    heard: list[tuple[int, int]] = []
    found = change(baseline, followup, rng, "affine", restarts=1, tell=lambda *done: heard.append(done))
    assert heard == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert found.runs.shape == (4, *SHAPE)
    for run in found.runs:
        assert float(run[6:14, 6:14, 6:14].mean()) == pytest.approx(0.95**3, abs=0.04)


def test_the_command_writes_map_table_and_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    baseline = ball(9.0)
    labels = Image(values=(baseline.values > 1).float() * 4, geometries=(GRID,))
    for name, image in (("a", baseline), ("b", scaled(0.95).inverse().warp(baseline)), ("seg", labels)):
        write(image, tmp_path / f"{name}.nii.gz")
    words = [str(tmp_path / "a.nii.gz"), str(tmp_path / "b.nii.gz"), "--labels", str(tmp_path / "seg.nii.gz")]
    words += [
        "-o",
        str(tmp_path / "c.nii.gz"),
        "--table",
        str(tmp_path / "t.csv"),
        "--report",
        str(tmp_path / "r.html"),
    ]
    nifti = nibabel.load(tmp_path / "a.nii.gz")
    nifti.set_sform(nifti.affine, "talairach")
    nibabel.save(nifti, tmp_path / "a.nii.gz")
    assert main(["change", *words, "--method", "affine", "--restarts", "0"]) == 0
    told = capsys.readouterr().out
    assert "95 % interval" in told
    assert "how well the registration repeats" in told
    assert (tmp_path / "t.csv").read_text().startswith("label,before_mm3,percent,low,high,seen\n4,")
    assert "Change of volume" in (tmp_path / "r.html").read_text()
    found = nibabel.load(tmp_path / "c.nii.gz")
    assert found.header["sform_code"] == 3  # the baseline's
    np.testing.assert_array_equal(found.affine, nifti.affine)


@pytest.fixture
def cut_visits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two visits of an unchanged head, the later without its topmost seven slices, and labels in the former's world."""
    unchanged = Registration(Rigid(np.eye(4)), "affine", {}, {})
    monkeypatch.setattr("spinecho.tasks.register.change.run", lambda *_, **__: unchanged)
    labels = torch.zeros(1, *SHAPE)
    labels[0, 4:8, 5:9, 4:8], labels[0, 9:14, 5:9, 9:13], labels[0, 12:17, 5:9, 14:18] = 1, 2, 3
    later = Image(values=ball(9.0).values[:, :13], geometries=(GRID.cropped([0, 0, 0], (13, 22, 24)),))
    for name, image in (("a", ball(9.0)), ("b", later), ("seg", Image(values=labels, geometries=(GRID,)))):
        write(image, tmp_path / f"{name}.nii.gz")
    files = [str(tmp_path / f"{name}.nii.gz") for name in ("a", "b", "seg")]
    return ["change", *files[:2], "--labels", files[2], "--method", "affine", "--restarts", "0"]


def test_what_the_follow_up_did_not_see_is_told_and_not_given(
    cut_visits: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs = ["-o", tmp_path / "c.nii.gz", "--table", tmp_path / "t.csv", "--report", tmp_path / "r.html"]
    assert main([*cut_visits, *map(str, outputs)]) == 0
    captured = capsys.readouterr()
    partly = "the follow-up saw only part of region 2 (80 %): its change is that of the part"
    hardly = "the follow-up saw less than 50 % of region 3 (20 %): its change is not given"
    assert partly in captured.err and hardly in captured.err and "region 1" not in captured.err
    assert [
        line.split()[:: len(line.split()) - 1]
        for line in captured.out.splitlines()
        if line.lstrip()[:2] in ("1 ", "2 ", "3 ")
    ] == [
        ["1", "100"],
        ["2", "80"],
        ["3", "20"],
    ]
    rows = [row.split(",") for row in (tmp_path / "t.csv").read_text().splitlines()]
    assert rows[0] == ["label", "before_mm3", "percent", "low", "high", "seen"]
    assert [float(row[-1]) for row in rows[1:]] == pytest.approx([1.0, 0.8, 0.2])
    assert [row[2] == "" for row in rows[1:]] == [False, False, True] and rows[3][2:5] == ["", "", ""]
    page = (tmp_path / "r.html").read_text()
    assert "80 %" in page and "not given" in page and hardly in page
    percent = nibabel.load(tmp_path / "c.nii.gz").get_fdata()
    assert np.isnan(percent[..., 13:]).all() and np.isfinite(percent[..., :13]).all()


def test_a_region_changes_as_the_part_that_was_seen() -> None:
    runs = torch.ones(2, *SHAPE)
    runs[:, 8:] = 3.0
    labels = torch.zeros(1, *SHAPE)
    labels[:, 4:9, 5:9, 5:9] = 7
    half = replace(found_of(runs), seen=torch.arange(20)[:, None, None].expand(SHAPE) < 8)
    (region,) = region_changes(half, Image(values=labels, geometries=(GRID,)))
    assert (region.percent, region.seen) == (pytest.approx(0, abs=1e-4), pytest.approx(0.8))
    assert region.before_mm3 == pytest.approx(80 * 8.0)


def test_wishes_that_cannot_be_met_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        write(ball(9.0), tmp_path / f"{name}.nii.gz")
    both = [str(tmp_path / "a.nii.gz"), str(tmp_path / "b.nii.gz")]
    for words, why in (
        ([], "nothing to report"),
        (["--table", str(tmp_path / "t.csv")], "lists regions"),
        (["-o", str(tmp_path / "c.nii.gz"), "--restarts", "-1"], "restarts"),
        (["-o", str(tmp_path / "c.nii.gz"), "--method", "rigid"], "changes no volume"),
        (["-o", str(tmp_path / "c.nii.gz"), "--method", "ants", "--kind", "rigid"], "changes no volume"),
        (["--report", str(tmp_path / "r.pdf")], "give a name that ends in .html"),
        (["--report", str(tmp_path)], "it is a folder"),
    ):
        assert main(["change", *both, *words]) == 2
        assert why in capsys.readouterr().err
    assert main(["change", both[0], both[0], "-o", str(tmp_path / "c.nii.gz")]) == 2
    assert "both visits are the same file" in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.nii.gz", "b.nii.gz"]
