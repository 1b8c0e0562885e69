"""Who is in which group of an evaluation, and when a kept row still counts."""

from __future__ import annotations

import pytest
import torch
from phantom_heads import head

from spinecho.core.errors import DataError
from spinecho.io.write import write
from spinecho.tasks.generate.judge import Options, cases
from spinecho.tasks.generate.judge.groups import Real, run
from spinecho.tasks.generate.parts.slices import N_LEVELS, mid_axial, resized, without_air

CPU = torch.device("cpu")
PEOPLE = {"IXI013": 1, "IXI014": 2, "IXI451": 3, "IXI568": 4, "IXI575": 5}
"""Two who train, one who validates, two who are for judging, by the project's splits"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("ixi")
    for name, seed in PEOPLE.items():
        write(head(seed, 6.0, (30, 38, 34)), path / f"{name}.nii")
    return path


def inputs(folder, **options):
    return next(iter(cases(Options(images=(folder,), sizes=(32,), **options), CPU).each)).load()


@pytest.mark.parametrize(("part", "n_real", "n_others"), [("test", 2, 1), ("validate", 1, 2)])
def test_each_group_has_its_people(folder, part, n_real, n_others):
    given = inputs(folder, part=part)
    assert [len(g.values) // N_LEVELS for g in (given.train, given.real, given.others)] == [2, n_real, n_others]
    assert given.real.people.tolist() == [p for p in range(n_real) for _ in range(N_LEVELS)]
    first = resized(mid_axial(head(4 if part == "test" else 3, 6.0, (30, 38, 34))), 32)
    torch.testing.assert_close(given.real.values[:N_LEVELS], without_air(first), atol=1e-4, rtol=0)
    seen = torch.cat([g.values for g in (given.train, given.real, given.others)])
    assert not bool(((seen > 0) & (seen < 0.03)).any()), "air is 0 in all of them, as it is in what is made"
    groups = [g.values.flatten(1) for g in (given.train, given.real, given.others)]
    assert float(torch.cdist(groups[0], torch.cat(groups[1:])).min()) > 0, "nobody is in two"


def test_cases_are_sizes_times_seeds_and_each_has_its_name(folder):
    options = Options(images=(folder,), sizes=(32, 64), seeds=(0, 1, 2))
    planned = cases(options, CPU)
    made = list(planned.each)
    assert planned.total == len(made) == 6
    assert len({c.name for c in made}) == len({c.digest for c in made}) == 6
    assert {c.group for c in made} == {"32 pixels", "64 pixels"} and {c.kind for c in made} == {"real"}
    assert (made[4].load().size, made[4].load().seed) == (64, 1)


def test_another_head_is_another_case(folder, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    for name, seed in {**PEOPLE, "IXI014": 9}.items():
        write(head(seed, 6.0, (30, 38, 34)), other / f"{name}.nii")
    digests = [next(iter(cases(Options(images=(f,), sizes=(32,)), CPU).each)).digest for f in (folder, other, folder)]
    assert digests[0] == digests[2] != digests[1]


def test_what_is_no_head_is_refused_by_name(folder, tmp_path):
    broken = tmp_path / "heads"
    broken.mkdir()
    for name, seed in PEOPLE.items():
        write(head(seed, 6.0, (30, 38, 34)), broken / f"{name}.nii")
    cropped = head(1)
    write(type(cropped)(values=0 * cropped.values, geometries=cropped.geometries), broken / "IXI013.nii")
    with pytest.raises(DataError, match=r"IXI013\.nii.*it is empty"):
        next(iter(cases(Options(images=(broken,)), CPU).each))


def test_as_many_pictures_as_real_slices_and_of_their_size(folder):
    finest = next(iter(cases(Options(images=(folder,), sizes=(128,)), CPU).each)).load()
    assert run(finest, "pca", {}).result.values.shape == (2 * N_LEVELS, 128, 128), "made finer"
    larger = next(iter(cases(Options(images=(folder,)), CPU).each)).load()
    made = run(larger, "pca", {})
    assert made.result.values.shape == (2 * N_LEVELS, 64, 64) and made.n_parts == 2 * N_LEVELS
    assert len(made.result.people.unique()) == 2 * N_LEVELS, "nobody twice"
    assert torch.equal(run(larger, "pca", {}).result.values, made.result.values)


def test_real_contenders_are_cut_to_as_many(folder):
    given = inputs(folder, part="validate")
    for word in ("held_out", "copies"):
        assert len(Real(word).run(given).result.values) == N_LEVELS
