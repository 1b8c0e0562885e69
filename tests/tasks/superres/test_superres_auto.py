"""auto chooses by the grid, says why, takes nothing untrained, and keeps to cards."""

from __future__ import annotations

import pytest
import torch
from fine_heads import head, image, lost, oblique, shaken

import spinecho
from spinecho.core.state import save_state
from spinecho.methods import registry
from spinecho.tasks.superres.methods import auto, multiscale
from spinecho.tasks.superres.parts.degrade import Degradation

THICK = ((6, 26, 24), (1.0, 1.0, 4.0))
EVEN = ((8, 10, 9), (1.0, 1.0, 1.0))


def chosen(history: tuple[str, ...]) -> str:
    (line,) = [step for step in history if step.startswith("auto took")]
    return line


@pytest.fixture
def with_weights(tmp_path, monkeypatch):
    """As if the package had weights of multiscale with a card."""
    method = multiscale.Method(multiscale.Config(channels=4, width=2, blocks=1))
    shaken(method)
    (tmp_path / "superres").mkdir()
    config = {"channels": 4, "width": 2, "blocks": 1, "dilations": (1, 2, 4)}
    card = {"factor": [1.5, 3.0]}
    metadata = {"task": "superres", "method": "multiscale", "config": config, "card": card, "trained": {}}
    save_state(tmp_path / "superres" / "multiscale.safetensors", method.state_dict(), metadata)
    monkeypatch.setattr(registry, "WEIGHTS", tmp_path)


@pytest.fixture
def without_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "WEIGHTS", tmp_path)


@pytest.mark.parametrize("grid", [THICK, EVEN])
@pytest.mark.usefixtures("without_weights")
def test_nothing_untrained_is_taken(grid):
    low = image(head(grid[0]), oblique(*grid))
    made = spinecho.superres(low)
    line = chosen(made.header.history)
    assert line.startswith("auto took bspline: ") and "no trained weights" in line
    torch.testing.assert_close(made.values, spinecho.superres(low, "bspline").values)
    assert "no detail was invented" in made.header.history and made.header.warnings == ()


@pytest.mark.usefixtures("with_weights")
def test_trained_weights_are_taken_inside_their_card_and_warn():
    made = spinecho.superres(image(head(EVEN[0]), oblique(*EVEN)))
    assert chosen(made.header.history) == "auto took multiscale: no thick slices"
    assert made.header.warnings == (multiscale.Method.invents,)


@pytest.mark.usefixtures("with_weights")
def test_outside_their_card_they_are_not():
    made = spinecho.superres(image(head(THICK[0]), oblique(*THICK)))
    line = chosen(made.header.history)
    assert line.startswith("auto took bspline: thick slices, 0 minutes allowed")
    assert "not multiscale, since it is outside its card: factor 4 (card: 1.5 to 3)" in line


@pytest.mark.usefixtures("without_weights")
def test_with_minutes_it_learns_from_the_scan():
    made = spinecho.superres(image(head(THICK[0]), oblique(*THICK)), minutes=10.0)
    assert chosen(made.header.history) == "auto took self: thick slices, and 10 minutes allowed"
    assert any("what lay between them" in warning for warning in made.header.warnings)


def test_minutes_do_nothing_where_nothing_is_thick():
    _, target = lost(head((12, 14, 16)), (6, 7, 8), Degradation("kspace"))
    assert auto.choices(target, 60.0)[0] == ("multiscale", "bspline")
    _, thick = lost(head((12, 14, 16)), (3, 14, 16), Degradation("slices"))
    assert auto.choices(thick, 60.0)[0][0] == "self" and auto.choices(thick, 9.0)[0][0] == "multiscale"
