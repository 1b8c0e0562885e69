"""Choice by left-out lines: which lines are left out, what the error is, and how choices are counted."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.choice import Candidate, judge, tally, text
from benchmarks.held_out import EVERY, held_out_error, left_out

from spinecho.calib.csm import estimate_csm
from spinecho.calib.prepare import prepare
from spinecho.core.errors import DataError
from spinecho.core.kspace import KSpace
from spinecho.evaluate.methods import asked
from spinecho.evaluate.rows import Row
from spinecho.ops.fourier import ifft
from spinecho.sim.mask_spec import MaskSpec
from spinecho.sim.scan import Scan, simulate_phantom
from spinecho.tasks.recon.judge.scans import Inputs
from spinecho.tasks.recon.judge.truth import Source, load_truth
from spinecho.tasks.recon.run import build


def scan(sampling: str = "random:2:16:0", snr: float = 40) -> KSpace:
    drawn = Scan(matrix=(1, 96, 80), sampling=sampling, n_coils=4, snr=snr, seed=2)
    return prepare(simulate_phantom(drawn).kspace)[0]


def test_the_folds_share_the_outer_lines_among_them():
    kspace = scan()
    assert kspace.mask is not None
    measured = kspace.mask[0, 0, :, 0]
    folds = [left_out(kspace, fold) for fold in range(EVERY)]
    together = torch.stack(folds).int().sum(0)
    assert int(together.max()) == 1 and bool((measured | (together == 0)).all())
    kept = measured & (together == 0)
    assert int(kept.sum()) >= 16 and bool(kept[40:56].all()), "the calibration block is never left out"
    sizes = [int(f.sum()) for f in folds]
    assert max(sizes) - min(sizes) <= 1 and sum(sizes) == int(measured.sum()) - int(kept.sum())


def test_lines_can_only_be_left_out_where_there_are_some():
    with pytest.raises(DataError, match="outside the calibration block"):
        left_out(scan("random:6:16:0"), 0)
    with pytest.raises(DataError, match="one Cartesian slice"):
        left_out(scan("poisson:3:16:0"), 0)


def test_the_truth_is_wrong_by_the_noise_and_nothing_by_all_the_signal():
    kspace, full = scan(), scan("full")
    csm = estimate_csm(full)
    image = (csm[0].conj() * ifft(full.samples)).sum(-4, keepdim=True)
    seen = []

    def truth(given: KSpace):
        seen.append(given)
        return given.image(image, csm=csm)

    known = replace(full, samples=full.samples * kspace.mask, mask=kspace.mask)
    error, dark = held_out_error(known, truth, 0), held_out_error(known, lambda k: k.image(0 * image, csm=csm), 0)
    assert error < 1.5 and dark > 3 * error
    out = left_out(known, 0)
    assert not bool(seen[0].mask[0, 0, out].any()) and not bool(seen[0].samples[..., out, :].any())


def test_a_better_image_predicts_better_at_any_scale():
    kspace = scan()
    few, many = (held_out_error(kspace, build("cg_sense", {"n_iters": n}), 1) for n in (1, 10))
    assert many < few
    larger = replace(kspace, samples=1e6 * kspace.samples, noise_cov=1e12 * kspace.noise_cov)
    assert held_out_error(larger, build("cg_sense", {"n_iters": 10}), 1) == pytest.approx(many, rel=1e-3)
    with pytest.raises(DataError, match="no coil maps"):
        held_out_error(kspace, build("zero_filled", {}), 0)


def test_a_candidate_is_scored_by_the_truth_and_by_left_out_lines():
    full = simulate_phantom(Scan(matrix=(1, 96, 80), sampling="full", n_coils=4, snr=40)).kspace
    truth = load_truth(Source(name="phantom", n_slices=1, load=lambda _: full), 0)
    inputs = Inputs(truth=truth, kspace=truth.undersampled(MaskSpec("random", 2, 16, 0)))
    figures = judge().judge(inputs, Candidate(asked("cg_sense"), 0).run(inputs))
    assert figures["held_out"] > 0.5 and figures["psnr_inside"] > 15


def row(case: str, method: str, error: float, psnr: float, kind="real") -> Row:
    figures, facts = {"held_out": error, "psnr_inside": psnr}, {"accel": 4.0}
    return Row(
        key="", task="recon", case=case, scan=case, group="", kind=kind, method=method, facts=facts, figures=figures
    )


def test_choices_are_counted_against_the_best():
    rows = [row("a", "x", 1.0, 30.0), row("a", "y", 2.0, 29.0)]  # right
    rows += [row("b", "x", 2.0, 30.0), row("b", "y", 1.0, 29.9)]  # as good as right
    rows += [row("c", "x", 1.0, 28.0), row("c", "y", 2.0, 30.0), row("d", "x", 1.0, 9.0)]  # wrong; not by all
    counted = tally(rows, ["x", "y"])
    assert counted is not None and (counted.n, counted.within, counted.alike, counted.pairs) == (3, 2, 1, 2)
    assert counted.losses == pytest.approx((0.0, 0.1, 2.0)) and counted.best == {"x": 2, "y": 1}
    assert tally(rows[-1:], ["x", "y"]) is None
    told = text([*rows, row("e", "x", 1, 2, "simulated"), row("e", "y", 2, 1, "simulated")], ["x", "y"], "made")
    assert "**Real cases** of 4 scans" in told and "| 4 | 3 | 2 (67 %) | 0.70, 2.00 | 1 of 2 | `x` 2, `y` 1 |" in told
    assert "| 4 | 1 | 1 (100 %) |" in told.split("**Simulated")[1]
