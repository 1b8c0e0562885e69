"""What auto would take in which order; and that maker and critic of srgan3d learn from their own words alone."""

from __future__ import annotations

import pytest
import torch
from fine_heads import head, image, lost, oblique, shaken

import spinecho
from spinecho.core.errors import DataError
from spinecho.tasks.superres.base import Target
from spinecho.tasks.superres.limits import outside
from spinecho.tasks.superres.methods import auto, srgan3d
from spinecho.tasks.superres.parts.degrade import NAMES, Degradation
from spinecho.tasks.superres.parts.lesson import Lesson, lesson_of

SMALL = {"channels": 4, "blocks": 1, "critic_channels": 2}
KSPACE = Degradation("kspace")


def target(low: tuple[int, int, int], high: tuple[int, int, int], kind: str = "kspace") -> Target:
    return lost(torch.zeros(high), low, Degradation(kind))[1]


@pytest.mark.parametrize("minutes", [0.0, 9.9, 10.0, 60.0])
@pytest.mark.parametrize(
    ("low", "high", "kind", "is_thick"),
    [
        ((4, 20, 20), (16, 20, 20), "slices", True),
        ((20, 20, 5), (20, 20, 20), "slices", True),
        ((4, 20, 20), (16, 20, 20), "kspace", False),
        ((4, 20, 20), (16, 40, 20), "slices", False),
        ((1, 20, 20), (1, 40, 40), "slices", False),
        ((8, 8, 8), (8, 8, 8), "slices", False),
    ],
)
def test_self_comes_first_for_thick_slices_and_enough_minutes_alone(low, high, kind, is_thick, minutes):
    names, why = auto.choices(target(low, high, kind), minutes)
    assert names[-1] == "bspline" and "multiscale" in names and len(set(names)) == len(names)
    assert (names[0] == "self") == (is_thick and minutes >= auto.SELF_MINUTES)
    assert ("thick slices" in why) and why.startswith("thick") == is_thick


@pytest.mark.parametrize("shape", [(1, 1, 6), (1, 10, 12), (2, 2, 2), (6, 12, 10)])
def test_auto_always_makes_something_and_says_of_every_method_passed_why(shape):
    made = spinecho.superres(image(head((6, 12, 10))[: shape[0], : shape[1], : shape[2]] + 0.1), minutes=60.0)
    (line,) = [step for step in made.header.history if step.startswith("auto took")]
    assert line.startswith("auto took ") and bool(made.values.isfinite().all())
    if "bspline" in line.split(":")[0]:
        assert "; not " in line and ", since " in line


def test_cards_limit_each_thing_by_itself():
    grid = oblique((6, 12, 10), (1.0, 1.0, 4.0))
    one = Target(grid, (24, 12, 10), (Degradation("slices"), None, None))
    assert outside({"factor": [2, 4], "spacing_mm": [1, 4], "degradations": list(NAMES)}, one) == [], (
        "ends belong to it"
    )
    assert outside({"factor": [2, 3.9]}, one) == ["factor 4 (card: 2 to 3.9)"]
    assert outside({"spacing_mm": [1.1, 3]}, one) == [
        "voxels of 4 mm (card: 1.1 to 3 mm)",
        "voxels of 1 mm (card: 1.1 to 3 mm)",
    ]
    assert outside({"degradations": ["blur", "kspace"]}, one) == ["degradation slices (card: blur, kspace)"]
    same = Target(grid, (6, 12, 10), (None, None, None))
    assert outside({"factor": [2, 4], "degradations": ["kspace"]}, same) == [], "axes that stay have no factor"


def test_a_method_that_cannot_says_why_and_where_others_are():
    with pytest.raises(DataError, match=r"self cannot take this image: .* -> see `spinecho list` for other methods"):
        spinecho.superres(image(head((6, 12, 10)), oblique((6, 12, 10), (1.0, 1.0, 4.0))), "self")


def blocks() -> Lesson:
    return lesson_of(torch.stack([head((12,) * 3, w) for w in (3.0, 6.0)]), (6, 6, 6), (KSPACE,) * 3)


def twins(weight: float) -> tuple[srgan3d.Method, srgan3d.Method]:
    """With a critic and without, the same network."""
    torch.manual_seed(0)
    one = srgan3d.Method(srgan3d.Config(**SMALL, weight=weight))
    shaken(one.network)
    sober = srgan3d.Method(srgan3d.Config(**SMALL, against="l1"))
    sober.network.load_state_dict(one.network.state_dict())
    return one, sober


def gradients(module: torch.nn.Module) -> list[torch.Tensor]:
    return [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in module.parameters()]


def test_the_critics_own_loss_moves_nothing_of_the_maker():
    """Where its word counts nothing, the maker's gradient is its sober twin's to the bit of rounding."""
    one, sober = twins(0.0)
    one.loss(blocks()).backward()
    sober.loss(blocks()).backward()
    for a, b in zip(gradients(one.network), gradients(sober.network), strict=True):
        torch.testing.assert_close(a, b)
    assert one.critic is not None and any(bool(g.any()) for g in gradients(one.critic)), "it learns all the same"


def test_the_critics_word_moves_the_maker_in_proportion():
    grads = []
    for weight in (0.0, 1.0, 2.0):
        one, _ = twins(weight)
        one.loss(blocks()).backward()
        grads.append(torch.cat([g.flatten() for g in gradients(one.network)]))
    torch.testing.assert_close(grads[2] - grads[0], 2 * (grads[1] - grads[0]), rtol=1e-3, atol=1e-6)
    assert bool((grads[1] != grads[0]).any())


def test_the_critics_gradient_is_that_of_a_volume_without_history():
    one, _ = twins(1.0)
    assert one.critic is not None
    lesson = blocks()
    one.loss(lesson).backward()
    whole = gradients(one.critic)
    one.zero_grad()
    level = lesson.high.abs().mean((1, 2, 3), keepdim=True)
    with torch.no_grad():
        made = one.estimate(lesson) / level
    true = lesson.high / level
    own = (one.critic(true[:, None]) - 1).square().mean() + one.critic(made[:, None]).square().mean()
    (own / 2).backward()
    for a, b in zip(whole, gradients(one.critic), strict=True):
        torch.testing.assert_close(a, b)
    assert not any(bool(g.any()) for g in gradients(one.network))
