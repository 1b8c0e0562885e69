"""The benchmark's pure functions: decibels by hand, ladders, weights, files of cases, rows of the tables."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.cases import CASES, SOURCES, Case, build
from benchmarks.results import COLUMNS, Circumstances, page
from benchmarks.rows import SLOW, suits
from benchmarks.scoring import decibels, psnr, scaled
from benchmarks.sides import METHODS, Bench
from benchmarks.tuning import LADDER, START, STEP, SWEEP_ITERS, Tuned, best_on_average, named, power, rungs, sweep_iters
from benchmarks.use import make_volume

from benchmarks import cases


@pytest.fixture
def case() -> Case:
    truth = np.zeros((16, 16), np.float32)
    truth[4:12, 4:12] = 2
    return Case(name="toy", kind="simulated", samples=np.ones((2, 16, 16), np.complex64), mask=np.arange(16) % 4 == 0,
                truth=truth, n_centre=4)  # fmt: skip


def test_decibels_by_hand(case):
    error = np.full((16, 16), 0.2)
    assert decibels(case, error) == pytest.approx(20)
    assert decibels(case, error / 10) == pytest.approx(40)


def test_the_scale_is_that_of_least_squares(case):
    image = case.truth + np.random.default_rng(0).random((16, 16))
    best = psnr(case, image)
    for factor in (0.97, 1.03):
        assert decibels(case, factor * scaled(case, image) - case.truth) < best
    residual = scaled(case, image) - case.truth
    assert abs((residual * image).sum()) < 1e-9 * (image**2).sum()


def test_holes_belong_to_the_object_and_specks_do_not(case):
    truth = np.zeros((64, 64), np.float32)
    truth[20:44, 20:44] = 2
    truth[30:34, 30:34] = 0
    truth[6, 8] = truth[55, 56] = 2
    holed = replace(case, truth=truth)
    assert holed.inside[22:42, 22:42].all()
    assert not holed.inside[6, 8] and not holed.inside[55, 56]


def test_a_case_as_spinecho_takes_it(case):
    kspace = case.kspace()
    assert kspace.samples.shape == (2, 1, 16, 16) and kspace.encoding.matrix == (1, 16, 16)
    assert torch.equal(kspace.mask.flatten(), torch.from_numpy(case.mask))


def test_a_case_is_built_once_and_read_back(tmp_path, monkeypatch):
    calls = []

    def source(shared: Path):
        calls.append(shared)
        full = torch.full((3, 1, 32, 20), 4 + 0j, dtype=torch.complex64)
        return "real", full, torch.full((32, 20), 8.0)

    monkeypatch.setitem(SOURCES, "toy", source)
    monkeypatch.setitem(CASES, "toy-random-R2", ("toy", "random:2:8:1"))
    made, again = (build("toy-random-R2", Path("shared"), tmp_path / "work") for _ in range(2))
    assert calls == [Path("shared")]
    np.testing.assert_array_equal(made.samples, again.samples)
    assert (made.name, made.kind, made.n_centre) == ("toy-random-R2", "real", 8)
    assert np.abs(made.samples).max() == 1 and made.truth.max() == 2, "one factor for both"
    assert made.mask[12:20].all() and made.mask.sum() == 16
    assert not made.samples[:, ~made.mask].any()


def test_names_of_cases_say_what_they_are():
    for name, (source, spec) in CASES.items():
        kind, factor, _, _ = spec.split(":")
        assert name == f"{source}-{kind}-R{factor}" and source in SOURCES
    assert len(CASES) == 12 and cases.parse(CASES["sim8-random-R8"][1]).centre == 12


@pytest.mark.parametrize("k", [-12, -8, -1, 0, 3])
def test_weights_are_powers_of_the_step_and_keys_of_json(k):
    assert power(k) == pytest.approx(STEP**k, rel=1e-5)
    assert float(named(power(k))) == power(k)
    assert power(-8) == 0.01 and named(None) == "None"


def test_ladders_and_sweeps():
    assert rungs("bart") == rungs("spinecho") == LADDER == tuple(sorted(set(LADDER)))
    assert rungs("sigpy")[-1] == 100 and set(rungs("sigpy")) < set(LADDER)
    assert sweep_iters("bart", "tv") == 2 * sweep_iters("sigpy", "tv") == 200
    assert sweep_iters("bart", "grappa") is sweep_iters("pygrappa", "grappa") is None
    assert set(START) == set(SWEEP_ITERS) <= set(METHODS["spinecho"])


def test_enough_iterations_where_the_first_rung_is_close_and_where_none_but_the_last_is():
    assert Tuned(ladders={"0.1": {"3": 30.02, "5": 30.0}}).enough(0.1) == 3
    assert Tuned(ladders={"0.1": {"3": 20.0, "5": 25.0, "7": 30.0}}).enough(0.1) == 7


def test_the_best_weight_is_the_top_of_the_sweep():
    assert Tuned(sweep={"-10": 28.0, "-9": 29.5, "-8": 29.4}).best == power(-9)


def test_the_best_on_average_lies_between_two_tops_and_is_the_top_of_one():
    peak = lambda at: {str(k): 30 - (k - at) ** 2 / 4 for k in range(-14, -4)}  # noqa: E731
    assert best_on_average([peak(-10)]) == power(-10)
    assert best_on_average([peak(-11), peak(-7)]) == power(-9)


def test_slow_sides_are_left_out_and_zero_filling_suits_all():
    for name in CASES:
        assert suits(name, "spinecho", "zero_filled")
        for side, method in SLOW:
            assert not suits(name, side, method) or ("R4" in name and "sim16" not in name and "random" in name)
    assert suits("brain7-random-R4", "sigpy", "tv") and suits("sim16-random-R8", "sigpy", "cg_sense")


def test_everybody_gets_the_same_threads(tmp_path):
    bench = Bench(work=tmp_path, scratch=tmp_path, peers_python=Path("python"), threads=3)
    counts = {v for k, v in bench.environment.items() if k.endswith("NUM_THREADS")}
    assert counts == {"3"} and "PATH" in bench.environment


def test_a_page_without_rows_has_no_tables_and_its_columns_match_their_rule():
    how = Circumstances(command="c", date="d", machine="m", threads=2, repeats=3, ladder=(3, 9), load_before="0",
                        load_after="1", versions="v")  # fmt: skip
    text = page([], [], how)
    assert "## Real" not in text and "## Failed" not in text
    assert "converged image (9 iterations" in text.replace("\n", " ")
    head, rule = COLUMNS.strip().split("\n")
    assert head.count("|") == rule.count("|") == 17


def test_the_made_volume_is_sampled_as_it_says(tmp_path):
    make_volume(tmp_path / "v.npy", 2, 3, 64)
    volume = np.load(tmp_path / "v.npy")
    assert volume.shape == (2, 3, 64, 64) and volume.dtype == np.complex64
    measured = (volume != 0).any((0, 1, 3))
    assert measured[::4].all() and measured[20:44].all() and measured.sum() == 24 + 10
    assert np.abs(volume[..., 32, 32]).mean() > 10 * np.abs(volume[..., 0, 0]).mean()
