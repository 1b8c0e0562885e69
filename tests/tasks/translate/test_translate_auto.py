"""What auto takes: trained weights for the pair, inside their card, the least guess first; and how it says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from two_contrasts import head, image

from spinecho.core.errors import DataError
from spinecho.core.state import save_state
from spinecho.methods import registry
from spinecho.tasks.translate.base import Ask
from spinecho.tasks.translate.methods import auto, cyclegan, lookup, pix2pix3d, supervised
from spinecho.tasks.translate.run import translate

THERE = Ask("t1", "t2")
VOLUME = head("t1")[None]
CONFIGS: dict[str, tuple[Any, Any]] = {
    "lookup": (lookup, lookup.Config(pairs=("t1-t2", "t1-pd"), knots=3)),
    "supervised": (supervised, supervised.Config(pairs=("t1-t2",), channels=(4,), blocks=(1,))),
    "pix2pix3d": (pix2pix3d, pix2pix3d.Config(pairs=("t1-t2", "t1-flair"), channels=(3,), weight=0)),
    "cyclegan": (cyclegan, cyclegan.Config(channels=(4,), blocks=(1,), critic_channels=2)),
}


@pytest.fixture
def shelf(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(registry, "WEIGHTS", tmp_path)
    (tmp_path / "translate").mkdir()
    return tmp_path / "translate"


def put(shelf: Path, *names: str, **card: Any) -> None:
    for name in names:
        module, config = CONFIGS[name]
        torch.manual_seed(0)
        metadata = {"task": "translate", "method": name, "config": vars(config), "card": card, "trained": {}}
        save_state(shelf / f"{name}.safetensors", module.Method(config).state_dict(), metadata)


def choice(ask: Ask = THERE, values: torch.Tensor = VOLUME) -> tuple[str, str]:
    return auto.Method(auto.Config()).choice(values, ask)


def test_the_least_guess_goes_first(shelf):
    put(shelf, "lookup")
    assert choice()[0] == "lookup"
    put(shelf, "pix2pix3d")
    assert choice()[0] == "pix2pix3d"
    put(shelf, "supervised")
    name, why = choice()
    assert name == "supervised" and why == "trained weights for t2 of t1"


def test_networks_that_nothing_holds_to_the_patient_are_never_taken(shelf):
    put(shelf, "cyclegan")
    with pytest.raises(DataError, match="no method has trained weights for t2 of t1"):
        choice()
    assert "cyclegan" not in auto.ORDER


def test_each_that_is_passed_over_has_its_reason(shelf):
    put(shelf, "lookup", "supervised", "pix2pix3d")
    name, why = choice(Ask("t1", "pd"))
    assert name == "lookup"
    assert "not supervised, since its weights make t2 of t1, not pd of t1" in why
    assert "not pix2pix3d, since its weights make t2 of t1, flair of t1, not pd of t1" in why
    name, why = choice(Ask("t1", "flair"))
    assert name == "pix2pix3d"


def test_cards_count(shelf):
    put(shelf, "supervised", voxel_mm=[2.0, 4.0])
    put(shelf, "lookup")
    name, why = choice()
    assert name == "lookup" and "outside its card: voxels of 1 mm (card: 2 to 4 mm)" in why
    assert choice(Ask("t1", "t2", (3.0, 2.0, 2.0)))[0] == "supervised"


def test_slices_are_no_volumes(shelf):
    put(shelf, "pix2pix3d", "lookup")
    name, why = choice(values=VOLUME[:, :1])
    assert name == "lookup" and "not pix2pix3d, since it takes volumes, not single slices" in why


def test_nothing_trained_says_how_to_train(shelf):
    with pytest.raises(DataError, match=r"not lookup, which is not trained -> train some \(spinecho train"):
        choice()


def test_what_auto_makes_is_what_the_method_makes(shelf):
    put(shelf, "supervised")
    given = image(700 * head("t1"))
    one = translate(given, to="t2", contrast="t1")
    other = translate(given, "supervised", to="t2", contrast="t1")
    assert torch.equal(one.values, other.values) and torch.equal(one.extras["spread"], other.extras["spread"])
    assert "auto took supervised: trained weights for t2 of t1" in one.header.history
    assert any("smooth where it does not know" in w for w in one.header.warnings), "the method's own warning"
    alone = auto.Method(auto.Config())(VOLUME, THERE)
    assert torch.equal(alone.values, auto.built("translate", "supervised", {})(VOLUME, THERE).values)


def test_maps_are_there_where_the_method_has_them(shelf):
    put(shelf, "supervised", "lookup", "cyclegan")
    given = image(700 * head("t1"))
    asked = {"to": "t2", "contrast": "t1"}
    assert set(translate(given, "supervised", **asked).extras) == {"spread"}, "it knows no way back"
    assert set(translate(given, "supervised", **asked, passes=1).extras) == set()
    assert set(translate(given, "lookup", **asked, passes=1).extras) == {"spread"}, "told by its pairs"
    assert set(translate(given, "cyclegan", **asked).extras) == {"spread", "cycle"}


def test_more_passes_tell_their_progress(shelf):
    put(shelf, "supervised")
    told: list[tuple[int, int]] = []
    translate(image(head("t1")), to="t2", contrast="t1", passes=4, tell=lambda a, b: told.append((a, b)))
    assert told == sorted(told) and told[-1] == (100, 100) and len(told) == 5
