"""Parts of benchmarks.arriving_contrast: strips of series, tissues away from borders, errors of curves."""

from __future__ import annotations

import torch
from benchmarks.moving import MATRIX, N_COILS, N_FRAMES, bolus, of_number

from benchmarks import arriving_contrast as bench
from spinecho.calib.centre import find_centre
from spinecho.ops.fourier import ifft


def test_a_strip_is_some_columns_of_a_series_and_has_no_truth():
    draw = bench.Strips(1)
    strip, whole = draw(1, 0), bench.undersampled(0)
    assert strip.target is None and strip.samples.shape == (N_FRAMES, N_COILS, 1, MATRIX, bench.STRIP)
    columns, all_columns = ifft(strip.samples, (-1,)), ifft(whole.samples, (-1,))
    places = all_columns.unfold(-1, bench.STRIP, 1)
    off = (places - columns.unsqueeze(-2)).abs().amax((0, 1, 2, 3, 5))
    assert float(off.min()) < 1e-5 * float(all_columns.abs().max())
    assert torch.equal(strip.samples, draw(1, 0).samples) and not torch.equal(strip.samples, draw(2, 0).samples)
    assert torch.equal(strip.mask, whole.mask) and find_centre(strip)[1:] == (MATRIX // 2, bench.STRIP // 2)
    assert torch.allclose(strip.noise_cov, whole.noise_cov)


def test_curves_leave_out_what_lies_near_a_border():
    tissues = bolus(of_number(0))[0]
    kept, coarse = bench.inner(tissues), tissues[::2, ::2]
    assert set(kept.unique().tolist()) == {0, 1, 2, 3}
    assert torch.equal(kept[kept > 0], coarse[kept > 0])
    y, x = (kept == 3).nonzero()[0].tolist()
    r = bench._EDGE
    assert (coarse[y - r : y + r + 1, x - r : x + r + 1] == 3).all()


def test_error_of_a_curve_is_in_percent_of_its_maximum():
    tissues = torch.tensor([[1, 1], [2, 0]])
    truth = torch.zeros(4, 1, 1, 2, 2)
    truth[..., 0, :], truth[..., 1, 0] = 2.0, torch.tensor([0.0, 1, 2, 4])[:, None, None]
    assert bench.curve_errors(3 * truth, truth, tissues) == {1: 0, 2: 0}
    wrong = truth.clone()
    wrong[3, ..., 1, 0] = 3.6
    errors = bench.curve_errors(wrong, truth, tissues)
    assert abs(errors[2] - 100 * (0.4**2 / 4) ** 0.5 / 4) < 1.5 and errors[1] < errors[2]


def test_the_page_has_gains_and_largest_errors():
    rows = {"llr": [(30.0, {1: 1.0}), (32.0, {1: 3.0, 3: 4.0})], "net": [(31.0, {1: 2.0}), (34.0, {1: 2.0, 3: 1.0})]}
    page = bench.page(rows, "told")
    assert "| llr | 31.00 | +0.00 | +0.00 | 2.0 (3.0) |  | 4.0 (4.0) |" in page
    assert "| net | 32.50 | +1.50 | +1.00 | 2.0 (2.0) |  | 1.0 (1.0) |" in page
