"""A cohort's template: in the middle, whatever the order, and what is finished is never done twice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from heads import VOXEL_MM, bend, correlation, grid, head, linear_once, seen_through
from scipy.linalg import expm

from spinecho.core.errors import DataError
from spinecho.core.image import Image
from spinecho.core.transform import Affine, Composite, Displacement, Velocity
from spinecho.methods.crew import Alone, crew
from spinecho.tasks.register.cohort.average import average, combined
from spinecho.tasks.register.cohort.files import CohortFiles, read_json, read_split, write_split, write_volume
from spinecho.tasks.register.cohort.groupwise import TemplatePlan, groupwise
from spinecho.tasks.register.cohort.work import measure
from spinecho.tasks.register.methods import affine, hybrid
from spinecho.tasks.register.parts.mean_shape import Split, mean_bend, mean_matrix, nearest_affine, split

QUICK = {"iters": (20, 20, 10, 10, 0)}


@pytest.fixture(autouse=True, scope="module")
def _linear_once():
    with linear_once(VOXEL_MM, affine, hybrid):
        yield


def turned(seed: int, size: float = 0.2) -> np.ndarray:
    drawn = np.zeros((4, 4))
    drawn[:3] = np.random.default_rng(seed).normal(size=(3, 4)) * [size, size, size, 10]
    return expm(drawn)


def test_the_mean_of_matrices_is_the_middle_in_any_order_and_world():
    matrices = [turned(seed) for seed in range(5)]
    mean = mean_matrix(matrices)
    np.testing.assert_allclose(mean_matrix(matrices[::-1]), mean, atol=1e-8)
    np.testing.assert_allclose(mean_matrix([np.linalg.inv(m) for m in matrices]), np.linalg.inv(mean), atol=1e-8)
    other = turned(9)
    np.testing.assert_allclose(mean_matrix([m @ other for m in matrices]), mean @ other, atol=1e-8)
    np.testing.assert_allclose(mean_matrix([other @ m for m in matrices]), other @ mean, atol=1e-8)
    np.testing.assert_allclose(mean_matrix([turned(1), np.linalg.inv(turned(1))]), np.eye(4), atol=1e-10)


def test_half_a_turn_apart_there_is_no_middle():
    half = np.diag([-1.0, -1.0, 1.0, 1.0])
    half[0, 1] = 1e-3
    with pytest.raises(DataError, match="half a turn"):
        mean_matrix([np.eye(4), np.eye(4), half])


def test_a_flow_and_its_inverse_have_no_mean_and_fields_are_averaged():
    there = bend(5.0)
    flat = mean_bend([there, there.inverse()], grid())
    assert isinstance(flat, Velocity)
    assert float(flat.field.abs().max()) < 1e-5
    field = Displacement(there.field, there.geometry)
    found = mean_bend([field, None], grid())
    assert isinstance(found, Displacement)
    torch.testing.assert_close(found.field, 0.5 * there.field)
    assert mean_bend([None, None], grid()) is None


def test_any_chain_splits_into_a_matrix_and_one_bend():
    geometry, matrix = grid(16, 10.0), turned(3, 0.05)
    whole = Composite((Affine(matrix), bend(4.0, 1), bend(4.0, 2)))
    points = geometry.to_world(np.random.default_rng(0).integers(4, 12, (50, 3)))
    places = torch.from_numpy(points)
    found = split(whole, geometry)
    np.testing.assert_allclose(found.matrix, matrix)
    assert float((found.transform(places) - whole(places)).norm(dim=-1).max()) < 1e-3
    assert split(Affine(matrix), geometry).bend is None


def test_the_affine_part_is_found_again(rng: torch.Generator) -> None:
    matrix = np.array([[1.1, 0.1, 0, 5], [0, 0.9, 0.2, 300], [0.1, 0, 1, -3], [0, 0, 0, 1.0]])
    points = 50 * torch.randn(500, 3, generator=rng, dtype=torch.float64) + 100
    np.testing.assert_allclose(nearest_affine(Affine(matrix), points).matrix, matrix, atol=1e-9)
    near = nearest_affine(Affine(matrix) @ bend(4.0), points).matrix
    np.testing.assert_allclose(near[:3, :3], matrix[:3, :3], atol=0.05)


def test_what_is_kept_comes_back(tmp_path: Path):
    there = bend(3.0)
    for bent in (None, there, there.as_displacement):
        write_split(tmp_path / "a.npz", Split(turned(1), bent), ("left may be right",))
        found, notes = read_split(tmp_path / "a.npz")
        np.testing.assert_array_equal(found.matrix, turned(1))
        assert notes == ("left may be right",)
        assert type(found.bend) is type(bent)
        if found.bend is not None and bent is not None:
            assert torch.equal(found.bend.field, bent.field)


@pytest.mark.parametrize(("how", "wanted"), [("mean", 22.0), ("median", 3.0), ("robust", 3.0)])
def test_averages_bear_outliers_and_gaps(how: str, wanted: float, tmp_path: Path):
    values = torch.tensor([1.0, 2, 3, 4, 100]).view(5, 1, 1, 1).expand(5, 1, 1, 2).clone()
    values[1:, ..., 1] = torch.nan
    found = combined(values, how)
    assert found[0, 0].tolist() == [wanted, 1.0]
    assert float(combined(torch.full((3, 1, 1, 1), torch.nan), how)) == 0
    assert float(combined(torch.tensor([1.0, 3.0]).view(2, 1, 1, 1), how)) == 2


def test_likeness_is_the_mean_correlation(tmp_path: Path):
    drawn = np.random.default_rng(1).normal(size=(3, 4, 5, 6)).astype(np.float32)
    files = []
    for i, volume in enumerate(drawn):
        np.save(tmp_path / f"{i}.npy", volume)
        files.append(tmp_path / f"{i}.npy")
    mean, likeness = average(files, "mean")
    np.testing.assert_allclose(mean[0].numpy(), drawn.mean(0), atol=1e-6)
    wanted = np.mean([np.corrcoef(v.ravel(), drawn.mean(0).ravel())[0, 1] for v in drawn])
    assert likeness == pytest.approx(wanted, abs=1e-6)


def test_two_opposite_warps_give_the_head_back_half_way(tmp_path: Path):
    middle, there = head(), bend(8.0)
    opposite = [seen_through(middle, there), seen_through(middle, there.inverse())]
    cohort = groupwise(opposite, tmp_path / "work", TemplatePlan(rounds=1, settings=QUICK))
    assert correlation(middle, cohort.template) > 0.996
    assert correlation(opposite[0], cohort.template) < 0.99
    inside = middle.values[0] > 30
    truth = [there.inverse().displacement(middle.geometry), there.displacement(middle.geometry)]
    found = [cohort.transform(i).displacement(middle.geometry) for i in range(2)]
    for one, wanted in zip(found, truth, strict=True):
        assert float((one - wanted)[:, inside].norm(dim=0).mean()) < 0.35 * float(wanted[:, inside].norm(dim=0).mean())
    assert float((found[0] + found[1])[:, inside].norm(dim=0).mean()) / 2 < 0.1 * 6.0


def test_no_order_changes_the_template(tmp_path: Path):
    cohort = [seen_through(head(geometry=grid(20, 8.0)), bend(6.0, seed, grid(20, 8.0))) for seed in (1, 2, 3)]
    plan = TemplatePlan(rounds=1, settings=QUICK)
    one = groupwise(cohort, tmp_path / "one", plan)
    other = groupwise([cohort[i] for i in (2, 0, 1)], tmp_path / "other", plan)
    assert one.template.geometry.matches(other.template.geometry, 1e-3)
    torch.testing.assert_close(one.template.values, other.template.values, atol=2e-3, rtol=0)
    a, b = one.transform(0).displacement(grid(20, 8.0)), other.transform(1).displacement(grid(20, 8.0))
    torch.testing.assert_close(a, b, atol=0.05, rtol=0)


class Tired(Alone):
    """Stops after so many pieces of work."""

    def __init__(self, n: int) -> None:
        self.n = n

    def each(self, function, calls):
        yield from super().each(self._counted(function), calls)

    def _counted(self, function):
        def call(*arguments):
            if self.n == 0:
                raise KeyboardInterrupt
            self.n -= 1
            function(*arguments)

        return call


def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path: Path):
    cohort = [seen_through(head(geometry=grid(20, 8.0)), Affine(turned(seed, 0.03))) for seed in (1, 2)]
    plan, folder = TemplatePlan(method="affine", rounds=1), tmp_path / "work"
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            groupwise(cohort, folder, plan, crew=Tired(3))
    counted, progress = Tired(100), []
    found = groupwise(cohort, folder, plan, crew=counted, tell=lambda *done: progress.append(done))
    assert 100 - counted.n == 2 + 4 * 2 - 6
    assert progress[-1] == (14, 14)
    whole = groupwise(cohort, tmp_path / "whole", plan)
    assert torch.equal(found.template.values, whole.template.values)
    assert [r.number for r in found.rounds] == [0, 1]
    counted = Tired(0)
    assert torch.equal(groupwise(cohort, folder, plan, crew=counted).template.values, whole.template.values)
    with pytest.raises(DataError, match="other plan"):
        groupwise(cohort, folder, replace(plan, average="median"))
    with pytest.raises(DataError, match="other images"):
        groupwise(cohort[::-1], folder, plan)


def test_bad_input_is_told(tmp_path: Path):
    one = head(geometry=grid(20, 8.0))
    with pytest.raises(DataError, match="at least two images"):
        groupwise([one], tmp_path / "a")
    with pytest.raises(DataError, match="no setting"):
        groupwise([one, one], tmp_path / "b", TemplatePlan(settings={"speed": 1}))
    for spacing in (-1.0, float("nan")):
        with pytest.raises(DataError, match=r"voxels of .* mm"):
            groupwise([one, one], tmp_path / "b", TemplatePlan(spacing_mm=spacing))
    assert not (tmp_path / "b").exists()
    (tmp_path / "c").mkdir()
    (tmp_path / "c/letter.txt").write_text("dear")
    with pytest.raises(DataError, match="not from an interrupted run"):
        CohortFiles(tmp_path / "c").begin({})
    empty = Image(values=torch.zeros(1, 20, 20, 20), geometries=(grid(20, 8.0),))
    with pytest.raises(DataError, match=r"0001.volume.npz: the moving image is empty"):
        groupwise([one, empty], tmp_path / "d")
    with pytest.raises(DataError, match="both given"), crew(2, "tcp://nowhere:1"):
        pass


def test_the_form_does_not_depend_on_the_voxels(tmp_path: Path):
    forms = []
    for name, geometry in (("fine", grid()), ("thick", grid(20, 8.0))):
        write_volume(tmp_path / f"{name}.volume.npz", head(geometry=geometry))
        measure(tmp_path / f"{name}.volume.npz", tmp_path / f"{name}.json")
        forms.append(read_json(tmp_path / f"{name}.json")["form"])
    np.testing.assert_allclose(forms[0], forms[1], atol=0.1)


def _write(path: Path) -> None:
    if path.name == "bad":
        raise DataError("it is bad", do="leave it", file=path)
    path.write_text(path.name)


def test_a_cluster_does_the_same_work(tmp_path: Path):
    distributed = pytest.importorskip("distributed", reason="the extra `scale` is not installed")
    options = {"n_workers": 1, "threads_per_worker": 1, "processes": False, "dashboard_address": "127.0.0.1:0"}
    with distributed.LocalCluster(**options) as local, crew(0, local.scheduler_address) as many:
        paths = [tmp_path / str(i) for i in range(7)]
        assert sorted(many.each(_write, [(p,) for p in paths])) == list(range(7))
        assert all(p.read_text() == p.name for p in paths)
        with pytest.raises(DataError, match="it is bad"):
            list(many.each(_write, [(tmp_path / "fine",), (tmp_path / "bad",)]))


def test_without_dask_it_is_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    with pytest.raises(DataError, match=r"spinecho\[scale\]"), crew(2):
        pass
