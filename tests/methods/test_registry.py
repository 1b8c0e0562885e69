"""Methods are found by listing folders, read without being imported, and refused by name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from spinecho.core.errors import DataError
from spinecho.core.state import save_state
from spinecho.methods import registry

LEARNED = '"""Learns {name}.\n\nMore words."""\nclass Config:\n    n: int = 3\nclass Method:\n    {line}\n'


@pytest.fixture
def house(tmp_path, monkeypatch):
    """Two tasks in a folder of their own, with four methods between them, and a folder for weights."""
    for task in ("sharpen", "colour"):
        (tmp_path / task / "methods").mkdir(parents=True)
        (tmp_path / task / "task.py").write_text("")
    methods = tmp_path / "sharpen" / "methods"
    (methods / "_hidden.py").write_text('"""Not a method."""\n')
    (methods / "plain.py").write_text(
        '"""Does it plainly."""\nclass Config:\n    """None."""\nclass Method:\n    pass\n'
    )
    (methods / "net.py").write_text(LEARNED.format(name="it", line="learned = True"))
    (methods / "annotated.py").write_text(LEARNED.format(name="it too", line="learned: bool = True"))
    (tmp_path / "notes").mkdir()  # no task.py: no task
    monkeypatch.setattr(registry, "TASKS", tmp_path)
    monkeypatch.setattr(registry, "WEIGHTS", tmp_path / "weights")
    (tmp_path / "weights" / "sharpen").mkdir(parents=True)
    return tmp_path


def weights(house: Path, name: str, **metadata: object) -> Path:
    path = house / "weights" / "sharpen" / f"{name}.safetensors"
    save_state(path, {}, metadata)
    return path


def test_tasks_and_methods_are_the_files_that_are_there(house):
    assert registry.tasks() == ["colour", "sharpen"]
    assert registry.names("sharpen") == ["annotated", "net", "plain"]
    assert registry.names("colour") == [] and registry.offers("colour") == []


def test_what_a_method_is_stands_in_its_text(house):
    assert registry.summary("sharpen", "net") == "Learns it."
    assert registry.learned() == [("sharpen", "annotated"), ("sharpen", "net")]
    assert not registry.is_learned("sharpen", "plain")
    assert registry.has_settings("sharpen", "net") and not registry.has_settings("sharpen", "plain")


@pytest.mark.parametrize(
    ("line", "is_learned"),
    [
        ("learned = True", True),
        ("learned = False", False),
        ("learned: bool", False),
        ("learned = 1", False),
        ("was_learned = True", False),
        ("a = learned = True", False),
        ("def learned(self): return True", False),
    ],
)
def test_only_a_plain_true_makes_a_method_learned(house, line, is_learned):
    name = f"m{abs(hash(line))}"
    (house / "colour" / "methods" / f"{name}.py").write_text(LEARNED.format(name="x", line=line))
    assert registry.is_learned("colour", name) is is_learned


def test_a_learned_method_without_weights_is_not_ready_and_says_how_it_becomes_so(house):
    offer = registry.offer("sharpen", "net")
    assert not offer.is_ready and offer.learned and offer.weights is None
    with pytest.raises(DataError, match="has no trained weights for it -> train them \\(spinecho train sharpen/net"):
        offer.trained()
    assert registry.offer("sharpen", "plain").is_ready


def test_weights_add_a_name_of_their_own(house):
    path = weights(house, "net_fast", method="net", card={"summary": "Half as large."})
    assert [o.name for o in registry.offers("sharpen")] == ["annotated", "net", "net_fast", "plain"]
    offer = registry.offer("sharpen", "net_fast")
    assert (offer.method, offer.summary, offer.is_ready) == ("net", "Half as large.", True)
    assert offer.trained() == path


def test_weights_without_a_summary_have_the_methods(house):
    weights(house, "net", method="net", card={})
    assert registry.offer("sharpen", "net").summary == "Learns it."
    weights(house, "other", method="gone", card=None)
    assert registry.offer("sharpen", "other").summary == ""


def test_names_that_are_not_there_are_answered_with_those_that_are(house):
    weights(house, "net_fast", method="net", card={})
    with pytest.raises(DataError, match="no sharpen method 'blur' -> known are annotated, net, net_fast, plain"):
        registry.offer("sharpen", "blur")
    with pytest.raises(DataError, match="known are annotated, net, plain"):
        registry.load("sharpen", "net_fast")  # weights are no module
    with pytest.raises(DataError, match="there is no task 'notes' -> known are colour, sharpen"):
        registry.task_named("notes")


def test_the_own_tasks_default_is_a_method_that_can_be_run():
    for task in registry.tasks():
        module = registry.task_named(task)
        assert registry.offer(task, module.DEFAULT).is_ready
        assert module.WHAT and all(o.summary for o in registry.offers(task))


def test_listing_imports_no_method_and_no_torch():
    code = (
        "import sys; from spinecho.methods import registry as r\n"
        "print([o.name for t in r.tasks() for o in r.offers(t)] != [], 'torch' in sys.modules,\n"
        "      [m for m in sys.modules if m.startswith('spinecho.tasks')])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told.split("\n")[0] == "True False []"
