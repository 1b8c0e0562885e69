"""A cohort whose transforms are known: where the middle is, what each round is asked, what is counted and kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from heads import bend, grid, head
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import trim_mean

from spinecho.core.errors import DataError
from spinecho.core.image import Image
from spinecho.core.transform import Affine
from spinecho.methods.crew import Alone
from spinecho.tasks.register.cohort import average as averages
from spinecho.tasks.register.cohort.average import average, combined
from spinecho.tasks.register.cohort.files import read_split, read_volume, write_split
from spinecho.tasks.register.cohort.groupwise import Cohort, Round, TemplatePlan, groupwise
from spinecho.tasks.register.cohort.work import register_one
from spinecho.tasks.register.parts.mean_shape import Split, mean_matrix

GRID = grid(18, 9.0)
SHIFTS = np.array([[-6.0, 0, 3], [0, 9, 0], [12, -3, 0]])


def moved(image: Image, matrix: np.ndarray) -> Image:
    """The same voxels elsewhere in the world."""
    geometry = replace(image.geometry, affine=matrix @ image.geometry.affine)
    return replace(image, geometries=(geometry,))


def shifted(shift: Sequence[float]) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, 3] = shift
    return matrix


class Knowing(Alone):
    """Does the work but the registrations, whose answers it knows: where the head lies in each subject's world."""

    def __init__(self, places: Sequence[np.ndarray], bends: Sequence[Any] = (), notes: Sequence[str] = ()) -> None:
        self.places, self.bends, self.notes = places, bends or [None] * len(places), notes
        self.asked: list[tuple[int, int, str, dict[str, Any]]] = []

    def each(self, function: Any, calls: Sequence[tuple[Any, ...]]) -> Iterator[int]:
        if function is not register_one:
            yield from super().each(function, calls)
            return
        for i, (_, template, target, method, how, _) in enumerate(calls):
            number, subject = int(target.parent.name[-2:]), int(target.stem)
            self.asked.append((number, subject, method, how))
            bent = self.bends[subject] if number else None
            write_split(target, Split(self.answer(number, subject, template), bent), tuple(self.notes))
            yield i

    def answer(self, number: int, subject: int, template: Path) -> np.ndarray:
        start = read_volume(template.parent.parent / "round_00" / template.name).geometry.affine
        first = next(p for p in self.places if np.allclose(p @ GRID.affine, start))
        from_first = [p @ np.linalg.inv(first) for p in self.places]
        return from_first[subject] if number == 0 else from_first[subject] @ np.linalg.inv(mean_matrix(from_first))


def made(folder: Path, crew: Knowing, plan: TemplatePlan, **more: Any) -> Cohort:
    return groupwise([moved(head(geometry=GRID), p) for p in crew.places], folder, plan, crew=crew, **more)


def test_the_template_lies_in_the_middle_of_shifted_subjects_after_the_linear_round(tmp_path):
    crew = Knowing([shifted(s) for s in SHIFTS])
    cohort = made(tmp_path, crew, TemplatePlan(method="affine", rounds=2))
    first = min(np.linalg.norm(SHIFTS - SHIFTS.mean(0), axis=1), key=lambda d: abs(d - cohort.rounds[0].moved_mm))
    assert cohort.rounds[0].moved_mm == pytest.approx(first, abs=1e-3)
    assert [r.moved_mm for r in cohort.rounds[1:]] == pytest.approx([0, 0], abs=1e-4)
    points = torch.tensor([[0.0, 0, 0], [30, -20, 10]], dtype=torch.float64)
    for i, shift in enumerate(SHIFTS):
        wanted = points + torch.from_numpy(shift - SHIFTS.mean(0))
        torch.testing.assert_close(cohort.transform(i)(points), wanted, atol=1e-5, rtol=0)
    assert all(r.likeness > 0.995 for r in cohort.rounds)  # all are one head, interpolated elsewhere


def test_sizes_meet_at_their_geometric_mean(tmp_path):
    """Heads half as large again and smaller by as much: the template has the size between, not the mean of lengths."""
    crew = Knowing([np.diag([s, s, s, 1.0]) for s in (1.2, 1 / 1.2)])
    cohort = made(tmp_path, crew, TemplatePlan(method="affine", rounds=1))
    points = torch.tensor([[10.0, -20, 30]], dtype=torch.float64)
    ends = [cohort.transform(i)(points) / points for i in range(2)]
    torch.testing.assert_close(ends[0], torch.full_like(points, 1.2), atol=1e-6, rtol=0)
    torch.testing.assert_close(ends[0] * ends[1], torch.ones_like(points), atol=1e-6, rtol=0)


def test_opposite_bends_leave_no_move_and_equal_ones_move_the_template_by_their_size(tmp_path):
    there, plan = bend(4.0, geometry=GRID), TemplatePlan(rounds=1, settings={"voxels": 4000})
    places = [np.eye(4), np.eye(4)]
    opposite = made(tmp_path / "a", Knowing(places, [there, there.inverse()]), plan)
    equal = made(tmp_path / "b", Knowing(places, [there, there]), plan)
    assert opposite.rounds[-1].moved_mm < 1e-4 < 2 < equal.rounds[-1].moved_mm < 8
    found, mean = (read_split(equal.files.transform(1, 0))[0], read_split(equal.files.mean(1))[0])
    points = 20 * torch.randn(20, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    back = equal.transform(0)(mean.transform(points))
    assert float((back - found.transform(points)).norm(dim=1).max()) < 0.6  # its grid is of 18 mm


def test_rounds_are_asked_what_the_plan_says_and_progress_counts_all_of_it(tmp_path):
    crew, progress, told = Knowing([shifted(s) for s in SHIFTS]), list[tuple[int, int]](), list[Round]()
    plan = TemplatePlan(rounds=3, settings={"voxels": 8000, "smoothness": 2.0})
    made(tmp_path, crew, plan, tell=lambda *n: progress.append(n), told=told.append)
    assert [(n, i) for n, i, _, _ in crew.asked] == [(n, i) for n in range(4) for i in range(3)]
    by_round = {n: (method, how) for n, _, method, how in crew.asked}
    assert by_round == {
        0: ("affine", {}),
        1: ("hybrid", {"voxels": 2000, "smoothness": 2.0}),
        2: ("hybrid", {"voxels": 8000, "smoothness": 2.0}),
        3: ("hybrid", {"voxels": 8000, "smoothness": 2.0}),
    }
    done = [d for d, _ in progress]
    assert done == sorted(done) and progress[-1] == (3 * (1 + 6 * 3),) * 2 and {t for _, t in progress} == {57}
    assert [r.number for r in told] == [0, 1, 2, 3]


@pytest.mark.parametrize(("method", "first"), [("rigid", "rigid"), ("affine", "affine"), ("hybrid", "affine")])
def test_the_linear_round_allows_no_more_than_the_method(method, first):
    assert TemplatePlan(method=method).of_round(0) == (first, {})
    assert TemplatePlan(method=method, rounds=1).of_round(1) == (method, {})


def test_what_is_lost_of_a_folder_is_done_again_and_nothing_else(tmp_path):
    places, plan = [shifted(s) for s in SHIFTS], TemplatePlan(method="affine", rounds=2)
    whole = made(tmp_path, Knowing(places), plan)
    for lost in ("round_02/round.json", "round_02/0001.npz", "round_03/template.volume.npz"):
        (tmp_path / lost).unlink()
    crew, progress = Knowing(places), list[int]()
    again = made(tmp_path, crew, plan, tell=lambda done, total: progress.append(done))
    assert [(n, i) for n, i, _, _ in crew.asked] == [(2, 1)] and progress[-1] == 3 * 13
    assert torch.equal(again.template.values, whole.template.values) and again.rounds == whole.rounds
    assert not list(tmp_path.glob("round_*/*.npy")), "warped subjects are not kept"


@pytest.mark.parametrize(
    "change", [{"rounds": 3}, {"average": "mean"}, {"spacing_mm": 9.5}, {"settings": {"finest_mm": 4.0}}]
)
def test_another_plan_does_not_go_on_with_the_folder(tmp_path, change):
    places, plan = [shifted(s) for s in SHIFTS[:2]], TemplatePlan(method="affine", rounds=1)
    made(tmp_path, Knowing(places), plan)
    with pytest.raises(DataError, match="another plan left finished work here"):
        made(tmp_path, Knowing(places), replace(plan, **change))


def test_a_subject_that_moved_by_a_millimetre_is_another_subject(tmp_path):
    places, plan = [shifted(s) for s in SHIFTS[:2]], TemplatePlan(method="affine", rounds=1)
    made(tmp_path, Knowing(places), plan)
    with pytest.raises(DataError, match="another images left finished work here"):
        made(tmp_path, Knowing([places[0], shifted(SHIFTS[1] + [1, 0, 0])]), plan)


@pytest.mark.parametrize("spacing", [0.0, 6.0])
def test_the_templates_grid_lies_along_lps_holds_every_subject_and_has_the_spacing(tmp_path, spacing):
    crew = Knowing([shifted(s) for s in SHIFTS])
    cohort = made(tmp_path, crew, TemplatePlan(method="affine", rounds=1, spacing_mm=spacing))
    g = cohort.template.geometry
    np.testing.assert_allclose(g.affine[:3, :3], np.eye(3) * (spacing or 9.0))
    inside = head(geometry=GRID).values[0] > 20
    z, y, x = (n.numpy() for n in inside.nonzero().T)
    places = GRID.to_world(np.stack([x, y, z], -1))
    index = g.to_voxel(places)
    assert (index >= -0.5).all() and (index <= np.array(g.shape[::-1]) - 0.5).all()
    assert float(cohort.template.values.min()) >= 0 and float(cohort.template.values.max()) <= 1


def test_a_template_of_too_many_voxels_is_refused_with_its_size(tmp_path):
    with pytest.raises(DataError, match=r"voxels of 0\.1 mm .* give another spacing_mm"):
        made(
            tmp_path, Knowing([shifted(s) for s in SHIFTS[:2]]), TemplatePlan(method="affine", rounds=1, spacing_mm=0.1)
        )


def test_warnings_of_the_last_round_are_told_with_their_subject(tmp_path):
    cohort = made(
        tmp_path, Knowing([shifted(s) for s in SHIFTS], notes=["look"]), TemplatePlan(method="affine", rounds=1)
    )
    assert cohort.warnings == ((0, "look"), (1, "look"), (2, "look"))
    cohort.files.remove()
    assert not tmp_path.exists()


VALUES = st.lists(st.one_of(st.floats(0, 1, width=32), st.just(float("nan"))), min_size=1, max_size=12)


@given(VALUES)
@settings(max_examples=60, deadline=None)
def test_averages_of_a_voxel_are_numpys_and_scipys_over_what_was_measured(values):
    stack = torch.tensor(values, dtype=torch.float32)[:, None, None, None]
    measured = np.array([v for v in values if not np.isnan(v)])
    wanted = {"mean": np.mean, "median": np.median, "robust": lambda v: trim_mean(v, 0.2)}
    for how, of in wanted.items():
        expected = float(of(measured)) if len(measured) else 0.0
        assert float(combined(stack, how)) == pytest.approx(expected, abs=1e-5), how


def test_slabs_of_any_size_average_to_the_same_bits(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    files = [tmp_path / f"{i}.npy" for i in range(4)]
    for file in files:
        np.save(file, rng.random((7, 5, 6)).astype(np.float32))
    whole = average(files, "robust")
    monkeypatch.setattr(averages, "_AT_ONCE", 4 * 5 * 6 * 2)
    slabs = average(files, "robust")
    assert torch.equal(whole[0], slabs[0]) and whole[1] == pytest.approx(slabs[1])
    means = np.mean([np.corrcoef(np.load(f).ravel(), whole[0].numpy().ravel())[0, 1] for f in files])
    assert whole[1] == pytest.approx(float(means), abs=1e-5)


@given(st.permutations(range(4)))
@settings(max_examples=8, deadline=None)
def test_the_mean_matrix_of_pure_shifts_and_of_sizes_is_the_plain_and_the_geometric_mean(order):
    shifts, sizes = np.arange(12.0).reshape(4, 3) ** 1.5, np.array([0.8, 1.0, 1.3, 1.1])
    np.testing.assert_allclose(mean_matrix([shifted(shifts[i]) for i in order])[:3, 3], shifts.mean(0), atol=1e-9)
    mean = mean_matrix([np.diag([sizes[i], 1, sizes[i] ** 2, 1]) for i in order])
    size = np.exp(np.log(sizes).mean())
    np.testing.assert_allclose(mean, np.diag([size, 1, size**2, 1]), atol=1e-9)


def test_a_subject_from_a_grid_of_its_own_says_where_it_was_measured(tmp_path):
    """Half of a head: the other half of the template is made of the whole one alone, and is not darker."""
    whole, n = head(geometry=GRID), GRID.shape[2]
    half = Image(
        values=whole.values[..., : n // 2 + 2], geometries=(GRID.cropped((0, 0, 0), (*GRID.shape[:2], n // 2 + 2)),)
    )
    crew = Knowing([np.eye(4), np.eye(4)])
    crew.answer = lambda number, subject, template: np.eye(4)  # type: ignore[method-assign]
    cohort = groupwise([whole, half], tmp_path, TemplatePlan(method="affine", rounds=1, average="mean"), crew=crew)
    seen = Affine(np.eye(4)).warp(cohort.template, onto=GRID).values[0]
    reference = whole.values[0] / whole.values.quantile(0.995)
    right = (slice(None), slice(None), slice(n // 2 + 4, n - 4))
    assert float(torch.corrcoef(torch.stack([seen[right].flatten(), reference[right].flatten()]))[0, 1]) > 0.99
    assert float(seen[right].mean()) > 0.8 * float(reference[right].clamp_max(1).mean())
