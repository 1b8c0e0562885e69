"""Planted lesions: coils see them, the truth shows all of them, a blurred image fewer and less detail."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from scipy.ndimage import gaussian_filter

from benchmarks import invention
from spinecho.calib.prepare import prepare
from spinecho.evaluate.planting import calm_places
from spinecho.ops.coils import root_sum_of_squares
from spinecho.ops.fourier import ifft
from spinecho.sim.scan import Scan, simulate_phantom


@pytest.fixture(scope="module")
def full():
    return simulate_phantom(Scan(matrix=(1, 128, 128), sampling="full", n_coils=4, snr=1000)).kspace


def picture(kspace) -> torch.Tensor:
    return root_sum_of_squares(ifft(kspace.samples)).reshape(-1, 128, 128)


def test_each_coil_sees_the_spots(full):
    places = calm_places(picture(full), 5, invention.SIGMA)
    planted = invention.with_spots(full, places)
    ratio = picture(planted) / picture(full)
    assert len(places) >= 3
    for place in places:
        assert float(ratio[place]) == pytest.approx(1 + invention.CONTRAST, abs=0.02)
    bright = full.target > 0.1
    assert torch.allclose((planted.target / full.target)[bright], ratio.view_as(bright)[bright], atol=0.1)
    assert invention.with_spots(replace(full, target=None), places).target is None


def test_the_truth_shows_all_and_a_blurred_one_less(full):
    truth = full.target.abs().reshape(-1, 128, 128)
    places = calm_places(truth, 8, invention.SIGMA)
    spotted = invention.with_spots(full, places).target.abs().reshape(-1, 128, 128)
    best = invention.score(truth, truth, spotted, places)
    assert (best.sensitivity, best.false_alarms, best.invented, best.detail) == (1, 0, 0, 1)

    def blurred(x: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(gaussian_filter(x.numpy(), (0, 2.5, 2.5)))

    worse = invention.score(truth, blurred(truth), blurred(spotted), places)
    assert worse.sensitivity < 0.5 and worse.detail < 0.5 and worse.hfen > 0.3 and worse.psnr < 40


def test_a_scan_is_scored_by_each_method(full):
    scan = prepare(full)[0]
    scores = invention.scored(scan, invention.MaskSpec("random", 4, 0.08, 0), ["zero_filled", "cg_sense"])
    assert list(scores) == ["zero_filled", "cg_sense"] and scores["cg_sense"].psnr > scores["zero_filled"].psnr
    rows = invention.lines({(4, name): [each] for name, each in (scores | {"varnet": scores["cg_sense"]}).items()})
    assert [row[:3] for row in rows] == [["4", f"`{n}`", "1"] for n in ("zero_filled", "cg_sense", "varnet")]
    assert rows[2][-2].endswith("(+0.0)")


def test_rows_without_the_network_that_is_compared_with():
    one = invention.Score(psnr=30.0, hfen=0.3, detail=0.9, sensitivity=0.5, false_alarms=0.02, invented=1)
    made = invention.lines({(4, "gan"): [one], (8, "gan"): []})
    assert made == [["4", "`gan`", "1", "30.00", "0.300", "0.90", "50.0", "2.0", "1.0"]]
