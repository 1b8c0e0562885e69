"""Examples: the same from the same numbers in any order and process, and degraded just as they are said to be."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from fine_heads import head
from torch import Tensor

from spinecho.core.method import Method
from spinecho.tasks.superres.examples import slices, volumes
from spinecho.tasks.superres.examples.validation import Validation, told
from spinecho.tasks.superres.parts.degrade import NAMES, Degradation, along, maps_of
from spinecho.tasks.superres.parts.lesson import Lesson, condition, conditions, lesson_of
from spinecho.tasks.superres.parts.spline import enlarged
from spinecho.train.draw import generator
from spinecho.train.team import Team

CPU = torch.device("cpu")


def stack(n: int = 4, size: int = 60) -> np.ndarray:
    return head((n, size, size)).numpy().astype(np.float16)


def drawn(seed: int = 0, part: str = "train") -> slices.Drawn:
    return slices.Drawn((stack(), stack(2, 48)), 32, 6, seed, part)


def blocks(seed: int = 0) -> volumes.Drawn:
    return volumes.Drawn((stack(56, 52), stack(40, 44)), 16, 2, seed)


SUPPLIES = {"slices": drawn, "volumes": blocks}
each = pytest.mark.parametrize("supply", SUPPLIES.values(), ids=SUPPLIES)


def alike(one: Lesson, other: Lesson) -> bool:
    names = ("low", "interpolated", "high", "conditions")
    return all(torch.equal(getattr(one, n), getattr(other, n)) for n in names)


def said(row: Tensor) -> Degradation | None:
    """The degradation that a network is told of an axis."""
    if not bool(row[1:].any()):
        return None
    kind = int(row[1:].argmax())
    return Degradation(NAMES[kind], float(row[1 + kind]))


@each
def test_the_order_of_the_draws_and_the_process_change_nothing(supply):
    forwards = [supply()(step, index) for step in range(3) for index in range(2)]
    backwards = [pickle.loads(pickle.dumps(supply()))(step, index) for step in (2, 1, 0) for index in (1, 0)]
    assert all(alike(a, b) for a, b in zip(forwards, reversed(backwards), strict=True))
    assert not any(alike(a, b) for i, a in enumerate(forwards) for b in forwards[:i]), "all are different"


@each
def test_nothing_global_is_drawn_from(supply):
    state = torch.get_rng_state()
    supply()(5, 3)
    assert torch.equal(torch.get_rng_state(), state)


def test_what_a_network_is_told_is_what_was_done_to_slices(monkeypatch):
    """Whole slices, before they are cut: the input is the truth put through the degradation that is named."""
    monkeypatch.setattr(slices, "_cut", lambda whole, size, rng: whole)
    supply = slices.Drawn((stack(),), 32, 1, 0)
    kinds: set[str] = set()
    for step in range(30):
        one = supply(step, 0)
        shape, low = one.high.shape[-3:], one.low.shape[-3:]
        lost = [said(row) for row in one.conditions[0]]
        assert lost[0] is None and any(lost)
        torch.testing.assert_close(along(one.high, maps_of(lost, low, shape)), one.low, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(enlarged(one.low, shape), one.interpolated)
        for axis in (1, 2):
            factor = shape[axis] / low[axis]
            assert float(2 ** one.conditions[0, axis, 0]) == pytest.approx(factor if lost[axis] else 1, rel=1e-5)
        kinds |= {d.name for d in lost if d is not None}
    assert kinds == set(NAMES)


def test_patches_are_cut_from_truth_and_input_alike(monkeypatch):
    """With nothing lost both sides are the same picture: a shift between them would show."""
    monkeypatch.setattr(slices, "lesson_of", lambda high, low, kinds: lesson_of(high, high.shape[-3:], (None,) * 3))
    one = drawn()(3, 1)
    assert torch.equal(one.interpolated, one.high) and one.high.shape == (6, 1, 32, 32)
    monkeypatch.setattr(volumes, "lesson_of", lambda high, low, kinds: lesson_of(high, high.shape[-3:], (None,) * 3))
    other = blocks()(3, 1)
    assert torch.equal(other.interpolated, other.high)


def test_blocks_of_volumes_come_from_what_surrounds_them(monkeypatch):
    """The coarse block is cut out of the degraded surroundings, at the place of the fine one."""
    kept: list[Lesson] = []

    def keeping(high: Tensor, low: list[int], kinds: list[Degradation]) -> Lesson:
        kept.append(lesson_of(high, low, kinds))
        return kept[-1]

    monkeypatch.setattr(volumes, "lesson_of", keeping)
    one = volumes.Drawn((stack(56, 52),), 16, 1, 0)(1, 0)
    (whole,) = kept
    assert whole.high.shape == (1, 48, 48, 48) and whole.low.shape == (1, 24, 24, 24)
    torch.testing.assert_close(one.high, whole.high[:, 16:32, 16:32, 16:32])
    torch.testing.assert_close(one.low, whole.low[:, 8:16, 8:16, 8:16])
    torch.testing.assert_close(one.interpolated, whole.interpolated[:, 16:32, 16:32, 16:32])


def test_degradations_and_factors_are_drawn_as_they_are_described():
    rng = generator(0, "train", 0, 0)
    lost = [slices.sample_degradation(rng) for _ in range(400)]
    share = [sum(d.name == name for d in lost) / len(lost) for name in NAMES]
    assert share == pytest.approx([0.5, 0.2, 0.3], abs=0.08)
    widths = [d.width for d in lost if d.name != "kspace"]
    assert 0.6 <= min(widths) < 0.65 and 1.15 < max(widths) <= 1.2
    factors = [slices.sample_factor(rng) for _ in range(400)]
    whole = [f for f in factors if f in (2.0, 3.0, 4.0)]
    assert len(whole) / 400 == pytest.approx(0.5, abs=0.08) and min(factors) >= 1.5 and max(factors) <= 4.5


def test_regraded_slices_stay_between_nothing_and_one():
    for step in range(20):
        picture = slices._slice(stack(), 32, generator(0, "train", step, 0))
        assert float(picture.min()) >= 0 and float(picture.max()) <= 1 and min(picture.shape) >= 32


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize("factor", [1.5, 2.0, 4.0])
def test_a_condition_says_factor_and_width_and_nothing_else(kind, factor):
    row = condition(Degradation(kind, 0.9), factor)
    seen = said(row)
    assert seen is not None and seen.name == kind and seen.width == pytest.approx(0.9)
    assert float(row[0]) == pytest.approx(np.log2(factor))
    assert int((row != 0).sum()) == 2
    both = conditions((None, Degradation(kind, 0.9), None), (1.0, factor, 1.0))
    assert torch.equal(both[1], row) and not both[0].any() and not both[2].any()


class Known(Method):
    """Estimates that are a share of the way from the input to the truth."""

    share = 0.5

    def __init__(self) -> None:
        torch.nn.Module.__init__(self)

    def forward(self) -> None:
        """Not used."""

    def estimate(self, example: Lesson) -> Tensor:
        assert not self.training and torch.is_inference_mode_enabled()
        return example.interpolated + self.share * (example.high - example.interpolated)


def test_validation_is_psnr_of_each_block_and_leaves_the_training_as_it_was():
    """Half the error is 6 dB."""
    examples = [drawn(part="validate")(0, i) for i in range(3)]
    method = Known().train()
    figures = Validation(examples, CPU, Team()).scores(method)
    assert figures["psnr"] - figures["psnr_bspline"] == pytest.approx(20 * np.log10(2), abs=1e-3) and method.training
    one = examples[0]
    error = (one.interpolated - one.high).square().flatten(1).mean(1)
    by_hand = (10 * (one.high.flatten(1).amax(1).square() / error).log10()).mean()
    alone = Validation(examples[:1], CPU, Team()).scores(method)
    assert alone["psnr_bspline"] == pytest.approx(float(by_hand), abs=1e-3)
    assert told(figures) == f"psnr {figures['psnr']:.2f} dB (B-spline {figures['psnr_bspline']:.2f} dB)"


def test_dark_blocks_count_for_nothing_and_break_nothing(tmp_path):
    dark = lesson_of(torch.zeros(2, 1, 32, 32), (1, 16, 16), (None, Degradation("kspace"), Degradation("kspace")))
    held = Validation([dark], CPU, Team())
    assert held.scores(Known()) == {"psnr": 0.0, "psnr_bspline": 0.0}
    held.picture(Known(), tmp_path / "dark.png")
    assert (tmp_path / "dark.png").read_bytes().startswith(b"\x89PNG")
