"""The benchmark of choices by samples left out: its masks, its scores, its page."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.held_out import Outcome, lines, outcome, page, real, score

from spinecho.sim.scan import Scan, simulate_phantom


def made(name: str, accel: int, chosen: str, **psnr: float) -> Outcome:
    return Outcome(name=name, accel=accel, psnr=psnr, mean=31.0, baseline=30.0, chosen=chosen)


@pytest.mark.parametrize("accel", [4, 8])
def test_lines_have_their_centre_and_number(accel):
    mask = lines(256, accel, 0)
    centre = round(256 * {4: 0.08, 8: 0.04}[accel])
    assert mask[(256 - centre + 1) // 2 :][:centre].all()
    assert abs(np.mean([lines(256, accel, s).mean() for s in range(40)]) - 1 / accel) < 0.01


def test_the_score_does_not_depend_on_the_scale():
    truth = torch.zeros(1, 1, 40, 40)
    truth[..., 8:32, 8:32] = 1
    noisy = truth + 0.05 * torch.randn(truth.shape, generator=torch.Generator().manual_seed(0))
    assert score(noisy * 7, truth) == pytest.approx(score(noisy, truth), abs=1e-4) == pytest.approx(26, abs=0.7)


def test_the_page_counts_near_choices_for_each_acceleration():
    text = page(
        [made("a", 4, "x", x=30.0, y=30.1), made("b", 4, "x", x=29.0, y=31.0), made("c", 8, "y", y=33.0)], "how"
    )
    assert "R = 4: the candidate with the smallest held-out error is within 0.2 dB of the best one in 1 of 2" in text
    assert "R = 8" in text and "in 1 of 1 cases; the weighted mean gains +1.00 dB, +1.00 at least" in text
    assert "| c | 8 | 30.00 |  | +3.00 | y | 0.00 | +1.00 |" in text


def test_a_case_from_end_to_end():
    kspace = simulate_phantom(
        Scan(matrix=(1, 48, 40), n_coils=4, snr=40.0, sampling="random:2:10:1", fineness=1)
    ).kspace
    args = Namespace(network="none", hqs_net="none", denoiser="wavelet", folds=1)
    with torch.inference_mode():
        case = outcome("phantom", 2, kspace, args)
    assert set(case.psnr) == {"l1_wavelet", "l1_wavelet + pnp"} and case.lost >= 0 and np.isfinite(case.mean)


def test_real_slices_are_found(shared_data):
    name, accel, kspace = next(real(shared_data.parent, [0]))
    assert name == "T1 head, 7 coils" and accel == 4 and kspace.samples.shape == (7, 1, 216, 256)
    assert kspace.target is not None and float(kspace.target.max()) > 0
