"""The judge of generation: copies are caught however they are moved, equal groups are equal, blur is told apart."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from phantom_heads import folder_of_heads, slices
from skimage.transform import rotate
from torch.nn import functional as F

from spinecho.cli import main
from spinecho.core.errors import DataError
from spinecho.core.state import save_state
from spinecho.evaluate.judge import Outcome
from spinecho.tasks.generate.judge import Options, cases, contender, judge, picture, remarks
from spinecho.tasks.generate.judge.apart import _STRENGTH, features, fitted, told_apart
from spinecho.tasks.generate.judge.groups import Inputs, Slices, run
from spinecho.tasks.generate.judge.nearest import moved, nearest, own_symmetry
from spinecho.tasks.generate.judge.scores import profile_off, profiles
from spinecho.tasks.generate.judge.sight import kernel_distance, seen
from spinecho.tasks.generate.methods.pca import Config, Method

CPU = torch.device("cpu")


@cache
def heads(n: int = 24, seed: int = 0) -> torch.Tensor:
    """Ellipses with folds of their own: no two correlate fully."""
    rng = torch.Generator().manual_seed(100 + seed)
    rough = torch.randn(n, 1, 20, 20, generator=rng)
    folds = F.interpolate(rough, (64, 64), mode="bicubic")[:, 0].clamp(-2, 2)
    x = slices(n, 64, seed)
    return (x * (1 + 0.25 * folds)).clamp(0, 1)


def group(x: torch.Tensor, each: int = 2) -> Slices:
    return Slices(x, torch.arange(len(x)) // each)


@cache
def inputs() -> Inputs:
    return Inputs(64, 0, group(heads(20)), group(heads(10, 1)), group(heads(10, 2)), CPU)


@settings(max_examples=6, deadline=None)
@given(st.booleans(), st.floats(-9, 9), st.floats(-4, 4), st.floats(-4, 4), st.integers(0, 23))
def test_a_copy_is_found_however_it_is_moved(mirror, angle, dy, dx, number):
    copy = moved(heads()[number : number + 1], float(mirror), angle, dy, dx)
    near = nearest(0.7 * copy + 0.1, heads())
    assert int(near.numbers[0, 0]) == number and float(near.values[0, 0]) > 0.97
    assert float(near.values[0, 1]) < 0.97 and bool((near.values.diff() <= 0).all())


def test_whole_pixels_and_right_angles_are_exact():
    x = heads(2)
    torch.testing.assert_close(moved(x, 0.0, 0.0, 0.0, 0.0), x, atol=1e-5, rtol=0)
    torch.testing.assert_close(moved(x, 1.0, 0.0, 0.0, 0.0), x.flip(-1), atol=1e-5, rtol=0)
    torch.testing.assert_close(moved(x, 0.0, 0.0, 3.0, -2.0)[:, 3:, :-2], x[:, :-3, 2:], atol=1e-5, rtol=0)
    quarter = moved(x, 0.0, 90.0, 0.0, 0.0)
    assert min(float((quarter - torch.rot90(x, k, (1, 2))).abs().max()) for k in (1, 3)) < 1e-4


def test_turns_are_those_of_another_library():
    x = heads(1)
    for angle in (5.0, -8.0):
        theirs = [rotate(x[0].numpy(), sign * angle) for sign in (1, -1)]
        assert min(np.abs(moved(x, 0.0, angle, 0.0, 0.0)[0].numpy() - t).max() for t in theirs) < 0.02


def test_nothing_correlates_with_a_constant():
    near = nearest(torch.zeros(1, 64, 64), heads(3))
    assert not near.values.any() and near.numbers.shape == (1, 3)
    assert nearest(heads(2), heads(2), k=9).values.shape == (2, 2)


def test_pictures_of_both_sizes_and_any_scale_are_compared():
    large = F.interpolate(heads(4)[:, None], scale_factor=2, mode="nearest")[:, 0]
    near = nearest(1e6 * large[1:2], large)
    assert int(near.numbers[0, 0]) == 1 and float(near.values[0, 0]) > 0.995
    assert nearest(1e-6 * heads(4)[:1], heads(4)).values[0, 0] > 0.995


def test_symmetry_is_one_for_what_is_symmetric():
    x = heads(4)
    even = (x + x.flip(-1)) / 2
    shifted = moved(even, 0.0, 2.0, 0.0, 1.0)
    assert float(own_symmetry(even).min()) > 0.999 and float(own_symmetry(shifted).min()) > 0.98
    assert float(own_symmetry(x).max()) < 0.99


def test_equal_groups_have_no_distance_and_others_have_one():
    rng = torch.Generator().manual_seed(0)
    a, b, c = (torch.randn(300, 6, generator=rng, dtype=torch.float64) + shift for shift in (0, 0, 1))
    assert abs(kernel_distance(a, b)) < 0.25 < kernel_distance(c, b)
    assert kernel_distance(a * 1e-6, b * 1e-6) == pytest.approx(kernel_distance(a, b), rel=1e-6)
    x = (a[:4] - b[:4].mean(0)) / b[:4].std(0), (b[:4] - b[:4].mean(0)) / b[:4].std(0)
    k = [[float((p @ q / 6 + 1) ** 3) for q in torch.cat(x)] for p in torch.cat(x)]
    mean = lambda rows, columns: np.mean([k[i][j] for i in rows for j in columns if i != j])  # noqa: E731
    first, second = range(4), range(4, 8)
    expected = mean(first, first) + mean(second, second) - 2 * mean(first, second)
    assert kernel_distance(a[:4], b[:4]) == pytest.approx(expected, rel=1e-9)


def test_the_network_sees_blur():
    x = heads()
    blurred = F.avg_pool2d(x[:, None], 5, 1, 2)[:, 0]
    sights = [seen(part, CPU) for part in (x[:12], x[12:], blurred[:12])]
    assert kernel_distance(sights[2], sights[1]) > 5 * abs(kernel_distance(sights[0], sights[1]))


def test_the_regression_is_at_its_minimum():
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(40, 5, generator=rng, dtype=torch.float64)
    y = (x[:, 0] + 0.5 * torch.randn(40, generator=rng, dtype=torch.float64) > 0).double()
    w = fitted(x, y)
    assert float(w[0]) > float(w[1:].abs().max())
    w.requires_grad_(True)
    ones = torch.cat([x, x.new_ones(40, 1)], 1)
    share = torch.where(y > 0.5, 0.5 / y.sum(), 0.5 / (1 - y).sum())
    loss = (share * F.softplus((1 - 2 * y) * (ones @ w))).sum() + _STRENGTH / 2 * w[:-1].square().sum()
    loss.backward()
    assert w.grad is not None and float(w.grad.abs().max()) < 1e-8


def test_what_is_alike_cannot_be_told_apart_and_blur_can():
    x = heads(160, 5)
    people = torch.arange(80) // 4
    assert 0.3 < told_apart(x[:80], x[80:], people, people) < 0.7
    blurred = F.avg_pool2d(x[80:, None], 3, 1, 1)[:, 0]
    assert told_apart(x[:80], blurred, people, torch.arange(80)) > 0.95
    assert features(torch.zeros(1, 64, 64)).isfinite().all()


def test_profiles_of_a_disc_are_flat_and_follow_the_brightness():
    y, x = torch.meshgrid(*[torch.linspace(-1, 1, 64)] * 2, indexing="ij")
    radius = torch.hypot(x / 0.6, y / 0.8)
    flat, falling = (radius < 1).float()[None], ((1.2 - radius) * (radius < 1))[None]
    assert float((profiles(flat)[0, :-1] - 1).abs().max()) < 0.02
    expected = 1.2 - (torch.arange(12) + 0.5) / 12
    assert float((profiles(falling)[0, 1:-1] - expected[1:-1]).abs().max()) < 0.05
    assert not profiles(torch.zeros(1, 64, 64)).any()
    assert profile_off(heads(20, 7), heads(20, 8)) < 1 < profile_off(heads(20, 7) ** 4, heads(20, 8))


def test_copies_are_caught_and_other_people_are_not():
    i = inputs()
    told = {w: judge(i, one.run(i)) for w in ("copies", "held_out") if (one := contender(w)) is not None}
    assert told["copies"]["nearest"] > 0.999 and told["copies"]["place"] == 1 and told["copies"]["copies"] == 1
    assert 0.05 < told["held_out"]["place"] < 0.95 and 0.7 < told["held_out"]["variety"] < 1.3
    assert abs(told["held_out"]["symmetry_off"]) < 1
    assert told["held_out"]["held_out_q25"] <= told["held_out"]["held_out_median"] <= told["held_out"]["held_out_q75"]
    assert contender("pca") is None


def test_pictures_that_are_no_numbers_are_refused():
    with pytest.raises(DataError, match="NaN"):
        judge(inputs(), Outcome(result=group(torch.full((4, 64, 64), math.nan))))


def test_suspects_are_shown_with_what_they_are_near_to():
    shown = picture(inputs(), {"pca": Outcome(result=group(heads(5, 3)))})
    assert [c.name for c in shown] == ["real, held out", "pca"]
    assert all(c.below is not None and "nearest to training slices (" in c.below.caption for c in shown)


def test_options_that_cannot_be_used_are_refused(tmp_path):
    with pytest.raises(DataError, match="there are no images"):
        cases(Options(), CPU)
    with pytest.raises(DataError, match="size is 50"):
        cases(Options(images=(tmp_path,), sizes=(50,)), CPU)
    with pytest.raises(DataError, match="is for test"):
        cases(Options(images=(folder_of_heads(tmp_path, 6),)), CPU)


def test_it_is_evaluated_by_the_one_command(tmp_path, capsys):
    method = Method(Config(size=32, components=5))
    method.prepare(slices(20, 32))
    kept = {"size": 32, "components": 5, "spread": 1.0}
    metadata = {"task": "generate", "method": "pca", "config": kept, "card": {}, "trained": {}}
    save_state(tmp_path / "w.safetensors", method.state_dict(), metadata)
    folder, report = folder_of_heads(tmp_path / "heads", 6), tmp_path / "r.html"
    command = ["evaluate", "generate", "--images", str(folder), "--part", "validate", "--threads", "1"]
    command += ["--methods", f"pca={tmp_path / 'w.safetensors'}", "copies", "held_out", "--report", str(report)]
    assert main([*command, "--sizes", "32"]) == 0
    told = capsys.readouterr().out
    assert "40 slices of people who train, 8 of people who do not" in told
    assert "there are no other people" in told and "Nearest training slice of held-out slices" in report.read_text()
    assert main([*command, "--sizes", "32"]) == 0
    assert "finished before" in capsys.readouterr().out
    assert main([*command, "--sizes", "64"]) == 0 and "pixels=64, but the weights make 32" in capsys.readouterr().out


def test_larger_pictures_count_as_means_over_squares(tmp_path):
    folder = folder_of_heads(tmp_path / "heads", 6)
    inputs = next(iter(cases(Options(images=(folder,), sizes=(32,), part="validate"), CPU).each)).load()
    method = Method(Config(size=64, components=5))
    method.prepare(slices(20, 64))
    kept = {"size": 64, "components": 5, "spread": 1.0}
    metadata = {"task": "generate", "method": "pca", "config": kept, "card": {}, "trained": {}}
    save_state(tmp_path / "w.safetensors", method.state_dict(), metadata)
    made = run(inputs, "pca", {"weights": tmp_path / "w.safetensors"}).result
    assert made.values.shape == inputs.real.values.shape and made.values.shape[-1] == 32


def test_remarks_tell_what_is_usual():
    assert remarks([]) == []
