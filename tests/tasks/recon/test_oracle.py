"""Oracles choose the best on the truth; bart's images lie on our grid."""

from __future__ import annotations

import shutil
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from spinecho import DataError, recon
from spinecho.evaluate.judge import judge_of
from spinecho.evaluate.methods import contenders
from spinecho.metrics.inside import score_inside
from spinecho.sim.mask_spec import MaskSpec
from spinecho.sim.scan import Scan, simulate_phantom
from spinecho.tasks.recon.judge import bart, oracle
from spinecho.tasks.recon.judge.case import flat_slices
from spinecho.tasks.recon.judge.scans import Inputs
from spinecho.tasks.recon.judge.truth import Source, load_truth
from spinecho.tasks.recon.retrospective import undersample

needs_bart = pytest.mark.skipif(shutil.which("bart") is None, reason="bart is absent")


def cut(n_coils: int = 4, spec: str = "random:3:16:0", matrix=(1, 64, 48)):
    full = simulate_phantom(Scan(matrix=matrix, sampling="full", n_coils=n_coils, snr=25)).kspace
    truth = flat_slices(full.target)
    return undersample(full, spec), truth


def psnr(truth, values) -> float:
    return score_inside(truth, flat_slices(values)).psnr


def test_ours_takes_the_best_weight(monkeypatch):
    monkeypatch.setattr(oracle, "N_WEIGHTS", 4)
    kspace, truth = cut()
    chosen = oracle.choose("oracle_cg_sense", kspace, truth)
    by_hand = {w: psnr(truth, recon(kspace, "cg_sense", l2=w).values) for w in oracle.weights("cg_sense")}
    assert chosen.weight == max(by_hand, key=lambda w: by_hand[w])
    assert psnr(truth, chosen.values) == pytest.approx(max(by_hand.values()))
    assert chosen.sweeps["cg_sense"] == pytest.approx(list(by_hand.values()))
    assert chosen.note.startswith("cg_sense") and ("end of the range" in chosen.note) == (
        chosen.weight in (1e-4, pytest.approx(0.1))
    )


def test_an_oracle_is_marked_and_says_what_it_chose(monkeypatch):
    monkeypatch.setattr(oracle, "N_WEIGHTS", 2)
    (one,) = contenders(judge_of("recon"), ["oracle_cg_sense"])
    full = simulate_phantom(Scan(matrix=(1, 32, 24), sampling="full", n_coils=2, snr=25)).kspace
    truth = load_truth(Source(name="phantom", n_slices=1, load=lambda _: full), 0)
    outcome = one.run(Inputs(truth=truth, kspace=truth.undersampled(MaskSpec("random", 2, 8, 0))))
    assert one.is_oracle and outcome.note.startswith("cg_sense") and outcome.result.shape == (1, 1, 32, 24)


def test_twelve_log_spaced_weights():
    w = oracle.weights("wavelet")
    ratios = [b / a for a, b in pairwise(w)]
    assert len(w) == 12 and max(ratios) == pytest.approx(min(ratios))


def test_unknown_methods_and_a_missing_bart_are_told_before_the_work(monkeypatch):
    with pytest.raises(DataError, match="no recon method 'oracle_zero_filled'"):
        contenders(judge_of("recon"), ["oracle_zero_filled"])
    bart.bart_version.cache_clear()
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(DataError, match="not on the PATH"):
        contenders(judge_of("recon"), ["zero_filled", "oracle"])


@pytest.mark.peer
@needs_bart
@pytest.mark.parametrize("n_coils", [1, 4])
def test_barts_image_lies_where_ours_does(n_coils, monkeypatch):
    monkeypatch.setattr(oracle, "N_WEIGHTS", 3)
    monkeypatch.setattr(bart, "SOLVERS", {name: line.replace("200", "20") for name, line in bart.SOLVERS.items()})
    monkeypatch.setattr(bart, "CALIBRATIONS", ("-m1", "-m1 -c 0"))
    kspace, truth = cut(n_coils)
    chosen = oracle.choose("oracle", kspace, truth)
    ours = recon(kspace, "cg_sense").values
    assert chosen.values.shape == ours.shape
    assert float(chosen.values.norm() / ours.norm()) == pytest.approx(1, abs=0.2), "on the scale of the samples"
    assert psnr(truth, chosen.values) > psnr(truth, ours) - 1.0
    assert bool(chosen.calibration) == (n_coils > 1)
    assert chosen.name in bart.SOLVERS and set(chosen.sweeps) == set(bart.SOLVERS)
    assert max(max(s) for s in chosen.sweeps.values()) == pytest.approx(psnr(truth, chosen.values))


@pytest.mark.peer
@needs_bart
def test_bart_says_why_it_fails(tmp_path):
    with pytest.raises(DataError, match="bart pics failed"):
        bart.run(tmp_path, "pics absent absent x")
    kspace, _ = cut()
    series = replace(
        kspace, samples=torch.stack([kspace.samples] * 2), mask=kspace.mask[None], axes=("time",), target=None
    )
    with pytest.raises(DataError, match="one image at a time"):
        bart.Bart(series, tmp_path)
