"""The benchmark's own arithmetic: scaling, convergence, weights, tables. No peer is run."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.cases import CASES, Case
from benchmarks.results import Circumstances, page
from benchmarks.rows import Row, suits
from benchmarks.scoring import object_psnr, psnr, scaled, scores
from benchmarks.sides import Setting
from benchmarks.tuning import Oracle, Tuned, best_on_average, code_digest, power


@pytest.fixture
def case() -> Case:
    truth = np.zeros((32, 32), np.float32)
    truth[8:24, 8:24] = np.linspace(0.5, 1, 16, dtype=np.float32)
    samples = np.ones((2, 32, 32), np.complex64)
    mask = np.arange(32) % 2 == 0
    return Case(name="toy", kind="real", samples=samples, mask=mask, truth=truth, n_centre=8)


def row(**changed) -> Row:
    facts = {
        "case": "toy", "kind": "real", "method": "tv", "side": "spinecho", "chosen": "oracle", "weight": 0.1,
        "n_iters": 20, "maps_s": 0.1, "solve_s": 0.5, "whole_s": 1.0, "psnr": 30.0, "ssim": 0.9, "nrmse": 0.1,
        "object_psnr": 28.0,
        "peak_mb": 300.0,
    }  # fmt: skip
    return Row(**{**facts, **changed})


def test_scale_and_phase_do_not_matter(case):
    noisy = case.truth + np.random.default_rng(0).normal(0, 0.02, case.truth.shape)
    assert psnr(case, 1e-6 * noisy) == pytest.approx(psnr(case, noisy))
    assert psnr(case, noisy) == pytest.approx(scores(case, noisy).psnr)
    np.testing.assert_allclose(scaled(case, 3j * case.truth), case.truth, rtol=1e-6)


def test_object_is_what_is_bright(case):
    assert case.inside[10:22, 10:22].all()
    assert not case.inside[:2].any()
    dark = case.truth.copy()
    dark[:2] += 0.3
    assert object_psnr(case, dark) > psnr(case, dark)


def test_enough_is_the_rung_from_which_on_psnr_stays_close():
    ladder = {"3": 20.0, "5": 29.99, "7": 30.5, "10": 30.03, "20": 30.0}
    assert Tuned(ladders={"0.1": ladder}).enough(0.1) == 10
    assert Tuned(ladders={"None": dict.fromkeys(("3", "5"), 1.0)}).enough(None) == 3


def test_best_on_average_fills_what_was_not_tried():
    first = {"-12": 20.0, "-10": 24.0, "-8": 22.0}
    second = {"-10": 20.0, "-8": 26.0, "-6": 25.0}
    assert best_on_average([first, second]) == power(-8)


def test_oracle_finds_the_top_and_keeps_it(case, tmp_path):
    class Folder:
        work = tmp_path

    def search(side: str) -> tuple[Oracle, list]:
        tried: list = []
        oracle = Oracle(Folder(), case, tmp_path / "toy.npz", side, "tv")  # type: ignore[arg-type]

        def answer(settings: list[Setting]) -> list[float]:
            tried.extend(settings)
            return [30 - (np.log10(s.weight) + 0.6) ** 2 for s in settings]

        oracle.run = answer
        return oracle, tried

    oracle, tried = search("bart")
    assert np.log10(oracle.weight()) == pytest.approx(-0.6, abs=0.13)
    assert len(tried) < 14
    again, tried = search("bart")
    assert again.weight() == oracle.weight()
    assert not tried, "a peer's tuning is kept"
    assert code_digest() in search("spinecho")[0].file.name, "ours is found anew when the code has changed"


def test_random_cases_are_for_iterations_and_equispaced_ones_for_grappa():
    for name in CASES:
        assert suits(name, "spinecho", "grappa") == ("equispaced" in name)
        assert suits(name, "bart", "tv") == ("random" in name)
    assert not suits("sim16-random-R4", "sigpy", "tv")


def test_page_keeps_real_and_simulated_apart_and_compares_like_with_like():
    rows = [
        row(),
        row(chosen="automatic", solve_s=0.25),
        row(side="bart", solve_s=2.0, whole_s=5.0),
        row(side="bart", chosen="best on average", solve_s=2.0),
        row(kind="simulated", case="sim"),
    ]
    how = Circumstances(
        command="python -m benchmarks", date="today", machine="here", threads=2, repeats=3, ladder=(3, 5),
        load_before="0", load_after="0", versions="none",
    )  # fmt: skip
    text = page(rows, ["bart tv on x failed:\nlong story"], how)
    real, simulated = text.split("## Simulated data")
    assert "| sim |" in simulated and "| sim |" not in real
    assert "| bart | 0.1 | oracle | 20 | 0.100 | 2.000 | 4.0 | 5.000 | 5.0 |" in real
    assert "| bart | 0.1 | best on average | 20 | 0.100 | 2.000 | 8.0 | 1.000 | 1.0 |" in real
    assert "- bart tv on x failed:" in text and "long story" not in text
