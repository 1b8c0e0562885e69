"""Figures of the judge one by one, each on groups whose figure is known beforehand."""

from __future__ import annotations

import math
from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from phantom_heads import slices
from torch.nn import functional as F

from spinecho.evaluate.judge import Case, judge_of
from spinecho.evaluate.rows import Row
from spinecho.tasks.generate.judge import MEASURES, remarks
from spinecho.tasks.generate.judge.apart import FOLDS, _dealt, features, told_apart
from spinecho.tasks.generate.judge.groups import REAL, Inputs, Real, Slices
from spinecho.tasks.generate.judge.nearest import COARSE, Nearest, nearest, own_symmetry
from spinecho.tasks.generate.judge.scores import _detail, profile_off, profiles, scores
from spinecho.tasks.generate.judge.sight import kernel_distance, seen

CPU = torch.device("cpu")


def textured(n: int, seed: int, knots: int = 16) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    rough = F.interpolate(torch.randn(n, 1, knots, knots, generator=rng), (64, 64), mode="bicubic")[:, 0]
    return (slices(n, 64, seed) * (1 + 0.2 * rough.clamp(-2, 2))).clamp(0, 1)


def own(x: torch.Tensor) -> Slices:
    return Slices(x, torch.arange(len(x)))


@cache
def inputs() -> Inputs:
    groups = [own(textured(n, seed)) for n, seed in ((12, 1), (10, 2), (10, 3))]
    return Inputs(64, 0, groups[0], groups[1], groups[2], CPU)


@cache
def usual() -> dict[str, float]:
    return scores(inputs(), inputs().others)


def test_every_measure_is_told_for_every_group():
    assert {m.name for m in MEASURES} <= set(usual()) and all(math.isfinite(v) for v in usual().values())


def test_the_real_slices_themselves_differ_from_themselves_in_nothing():
    same = scores(inputs(), inputs().real)
    for name in ("variety", "detail"):
        assert same[name] == pytest.approx(1, abs=1e-5)
    assert same["profile"] == pytest.approx(0, abs=1e-5) and same["symmetry_off"] == pytest.approx(0, abs=1e-5)
    assert same["nearest"] == pytest.approx(same["held_out_median"], abs=1e-6)
    assert same["symmetry"] == same["symmetry_real"] and same["copies"] == 0


def test_a_method_that_always_makes_one_picture_has_no_variety():
    one = inputs().real.values[:1].expand(10, -1, -1)
    told = scores(inputs(), own(one))
    assert told["variety"] < 0.01 and told["detail"] > 0.7


def test_blur_takes_detail_and_gains_symmetry():
    blurred = F.avg_pool2d(inputs().others.values[:, None], 7, 1, 3)[:, 0]
    told = scores(inputs(), own(blurred))
    assert told["detail"] < 0.7 * usual()["detail"] and told["symmetry"] > usual()["symmetry"]
    assert told["kernel"] > usual()["kernel"]


def test_one_copy_among_others_is_counted():
    mixed = inputs().others.values.clone()
    mixed[3] = inputs().train.values[5]
    told = scores(inputs(), own(mixed))
    assert told["copies"] == pytest.approx(usual()["copies"] + 0.1, abs=0.11) and told["copies"] >= 0.1
    assert told["nearest"] < 0.999, "the median hides it: suspects are shown for that"


@settings(max_examples=10, deadline=None)
@given(st.floats(0.3, 3.0))
def test_detail_is_proportional_to_contrast(factor):
    x = textured(4, 9)
    assert float(_detail(factor * x) / _detail(x)) == pytest.approx(factor, rel=1e-4)


def test_detail_of_a_checkerboard_is_eight_times_its_height():
    board = torch.ones(1, 8, 8)
    board[:, ::2, 1::2] = board[:, 1::2, ::2] = -1
    assert float(_detail(board)) == 8 and float(_detail(torch.arange(64.0).reshape(1, 8, 8))) == 0


@pytest.mark.parametrize("shift", [(-4, 3), (5, 0), (0, -6)])
def test_a_profile_goes_with_its_head(shift):
    x = F.pad(textured(3, 4), [8] * 4)
    torch.testing.assert_close(profiles(x.roll(shift, (1, 2))), profiles(x), atol=1e-5, rtol=1e-5)


def test_a_profile_does_not_depend_on_the_head_s_size():
    y, x = torch.meshgrid(*[torch.linspace(-1, 1, 64)] * 2, indexing="ij")
    small, large = (((1.2 - r) * (r < 1))[None] for r in (torch.hypot(x / s, y / s) for s in (0.5, 0.9)))
    assert float((profiles(small) - profiles(large))[:, 1:-1].abs().max()) < 0.07


def test_brighter_rims_are_seen():
    real = textured(12, 5)
    y, x = torch.meshgrid(*[torch.linspace(-1, 1, 64)] * 2, indexing="ij")
    shaded = real * (1 + 0.5 * torch.hypot(x, y))
    assert profile_off(shaded, real) > 3 * profile_off(textured(12, 6), real) or profile_off(shaded, real) > 1


def test_people_stay_together_and_folds_are_even():
    people = torch.arange(100) // 5
    dealt = _dealt(people, torch.Generator().manual_seed(0))
    assert all(len(dealt[people == p].unique()) == 1 for p in range(20))
    assert torch.bincount(dealt, minlength=FOLDS).tolist() == [20] * FOLDS
    gaps = torch.tensor([7, 7, 900, 3, 3, 3])
    assert len(_dealt(gaps, torch.Generator().manual_seed(0))) == 6


def test_the_order_of_groups_does_not_matter_much_and_the_seed_fixes_it():
    a, b = textured(40, 6), textured(40, 7)
    people = torch.arange(40) // 4
    one, again, other = (told_apart(a, b, people, people, s) for s in (0, 0, 1))
    assert one == again and 0 <= other <= 1
    assert abs(told_apart(b, a, people, people) - one) < 0.3


def test_darker_pictures_are_told_apart():
    a = textured(60, 8)
    people = torch.arange(30)
    assert told_apart(a[:30], 0.6 * a[30:], people, people) > 0.9


def test_few_pictures_are_no_reason_to_fail():
    x = textured(3, 1)
    assert 0 <= told_apart(x[:2], x[1:], torch.arange(2), torch.arange(2)) <= 1
    assert features(x).shape[0] == 3 and features(x).isfinite().all()


def test_symmetry_of_shifted_halves():
    x = textured(3, 2)
    half = x.clone()
    half[:, :, 32:] = 0
    assert float(own_symmetry(half).max()) < float(own_symmetry(x).min())


def test_the_best_come_first_and_are_different_slices():
    near = nearest(textured(12, 1)[:5], textured(12, 1))
    assert isinstance(near, Nearest) and near.values.shape == (5, 3)
    assert near.numbers[:, 0].tolist() == list(range(5)) and bool((near.values[:, 0] > 0.999).all())
    assert all(len(set(row)) == 3 for row in near.numbers.tolist())


def test_pictures_of_the_coarse_size_are_compared_too():
    small = F.avg_pool2d(textured(6, 3)[:, None], 2)[:, 0]
    assert small.shape[-1] == COARSE
    near = nearest(small[2:3], small)
    assert int(near.numbers[0, 0]) == 2 and float(near.values[0, 0]) > 0.999


def test_features_are_of_each_picture_alone_and_the_network_stays():
    x = textured(6, 4)
    torch.testing.assert_close(seen(x, CPU)[2:4], seen(x[2:4], CPU), rtol=1e-4, atol=1e-6)
    assert torch.equal(seen(x, CPU), seen(x, CPU))


def test_the_kernel_distance_knows_no_order_of_features_and_leaves_constants_out():
    rng = torch.Generator().manual_seed(1)
    a, b = torch.randn(2, 40, 5, generator=rng, dtype=torch.float64)
    order = torch.tensor([3, 0, 4, 1, 2])
    assert kernel_distance(a[:, order], b[:, order]) == pytest.approx(kernel_distance(a, b), rel=1e-9)
    wide = [torch.cat([x, torch.full((40, 2), 7.0, dtype=x.dtype)], 1) for x in (a, b)]
    assert kernel_distance(*wide) == pytest.approx(kernel_distance(a, b), rel=1e-9)


@pytest.mark.parametrize("word", REAL)
def test_real_contenders_have_as_many_slices_and_people(word):
    outcome = Real(word).run(inputs())
    assert outcome.result.values.shape == (10, 64, 64) and len(outcome.result.people) == 10
    case = Case(name="a", digest="b", scan="c", group="d", load=inputs)
    assert Real(word).version(case) and not Real(word).is_oracle
    others = {Real(w).version(case) for w in REAL}
    assert len(others) == 2


def test_remarks_tell_what_is_usual_once():
    judge = judge_of("generate")
    named = {"key": "k", "task": "generate", "case": "c", "scan": "s", "group": "g", "kind": "real"}
    figures = dict(usual())
    rows = [Row(**named, method=m, figures=figures) for m in ("a", "b")] + [Row(**named, method="c", refused="no")]
    assert len(judge.remarks(rows)) == 1 == len(remarks(rows))
    assert f"median {figures['held_out_median']:.3f}" in remarks(rows)[0]
