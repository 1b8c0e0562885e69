"""What moving supplies are made of: pictures by path, windows, coils, phases, lines; and how denoising is judged."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import toy

from spinecho.tasks.recon.examples import moving, series
from spinecho.tasks.recon.examples.moving import Pictures, SmallSeries
from spinecho.tasks.recon.parts.series import Series

DISC = toy.disc((48, 52))
STACK = DISC.expand(5, -1, -1).numpy().astype(np.float16)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Answers(torch.nn.Module):
    """A method that says what it is told to."""

    def __init__(self, answer) -> None:
        super().__init__()
        self.answer = answer

    def estimate(self, noisy, change, level):
        return self.answer(noisy)


def examples() -> list[Series]:
    return [SmallSeries(Pictures((STACK,), (1.0,)), 20, 0)(step, 0) for step in (1, 2)]


def judged() -> series.Noisy:
    return series.Noisy(examples(), toy.context(lambda _: None))


def test_a_gain_is_in_decibels_of_the_error():
    assert judged().scores(Answers(lambda x: x))["gain"] == pytest.approx(0, abs=1e-5)
    cleans = iter([e.noisy + 0.9 * (e.clean - e.noisy) for e in examples()])
    assert judged().scores(Answers(lambda x: next(cleans)))["gain"] == pytest.approx(20, abs=0.01)
    assert series.told({"gain": 3.14159}) == "noise lower by 3.14 dB"


def test_a_picture_of_a_validation_is_written(tmp_path):
    judged().picture(Answers(lambda x: x), tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 100


def test_each_path_is_drawn_from_equally_often(tmp_path):
    for name, stacks in (("many", 6), ("few", 1)):
        (tmp_path / name).mkdir()
        for i in range(stacks):
            np.save(tmp_path / name / f"{i}.npy", STACK[: 1 + i % 2])
    context = toy.context(lambda _: None)
    held = series.pictures([tmp_path / "many", tmp_path / "few"], "train", context)
    assert held is not None and sum(held.weights) == pytest.approx(2)
    assert held.weights[-1] == pytest.approx(1) and len(held.stacks) > 3
    assert max(held.weights[:-1]) / min(held.weights[:-1]) == pytest.approx(2**0.5)


def test_windows_are_squares_that_hold_something():
    pair = torch.stack([DISC, 0.5 * DISC])
    for seed in range(5):
        cut = moving._window(pair, 20, seeded(seed))
        assert cut.shape == (2, 20, 20) and float(cut[0].mean()) > 0.02
        assert torch.allclose(cut[1], 0.5 * cut[0], atol=1e-4)


def test_resizing_keeps_the_mean():
    smooth = moving.resized(DISC[None], (24, 26))
    assert float(smooth.mean()) == pytest.approx(float(DISC.mean()), rel=0.02)
    assert moving.resized(DISC[None], (48, 52)) is not None and float(smooth.min()) >= 0


def test_coils_differ_and_are_smooth():
    maps = moving._maps(6, torch.ones(1, 80, 48), (40, 24), seeded())
    assert maps.shape == (1, 6, 1, 40, 24) and torch.isfinite(maps.abs()).all()
    steps = maps.diff(dim=-1).abs().mean() / maps.abs().mean()
    flat = maps.flatten(2)[0] / maps.flatten(2)[0].norm(dim=1, keepdim=True)
    assert float(steps) < 0.2 and float((flat @ flat.mH).abs().fill_diagonal_(0).max()) < 0.999


def test_phases_stand_still_more_often_than_not():
    still = [
        bool((p - p[:1]).abs().max() < 1e-6)
        for p in (moving._phases(torch.ones(4, 8, 8), seeded(i)) for i in range(30))
    ]
    assert 15 <= sum(still) < 30


@pytest.mark.parametrize("rate", [1.3, 3.0, 6.0])
def test_lines_are_as_many_as_the_acceleration_says(rate):
    lines = moving._lines(10, 48, rate, seeded())
    assert lines.shape == (10, 48, 1) and float(lines.float().mean()) == pytest.approx(1 / rate, rel=0.1)
    assert bool(lines[:, 23:25].all())


def test_series_are_moved_with_all_they_hold():
    example = examples()[0].to(torch.device("cpu"))
    parts = SimpleNamespace(**vars(example))
    assert parts.change.shape == parts.noisy.shape == parts.clean.shape and parts.level.shape == (1,)
