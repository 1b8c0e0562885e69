"""Names that have moved, the public names and their stub: what the package says of itself is what it has."""

from __future__ import annotations

import ast
import importlib
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from tools import write_stubs

import spinecho
from spinecho.moved import MOVED, Moved


@pytest.fixture(params=sorted(MOVED))
def old(request):
    """An old name, not imported yet; what it was is put back."""
    name = request.param
    parent, _, child = name.rpartition(".")
    before = sys.modules.pop(name, None)
    vars(importlib.import_module(parent)).pop(child, None)
    yield name
    sys.modules.pop(name, None)
    if before is not None:
        sys.modules[name] = before


def test_an_old_name_is_the_same_module_with_a_warning(old):
    with pytest.warns(DeprecationWarning, match=f"{old} has moved to {MOVED[old]}") as told:
        module = importlib.import_module(old)
    assert len(told) == 1
    assert module is importlib.import_module(MOVED[old]) is sys.modules[MOVED[old]]
    assert module.__name__ == MOVED[old] and module.__spec__.name == MOVED[old]


def test_a_second_import_says_nothing(old):
    with pytest.warns(DeprecationWarning):
        first = importlib.import_module(old)
    assert importlib.import_module(old) is first  # a warning would be an error here


def test_old_names_are_gone_from_their_places_and_lead_to_files():
    root = Path(spinecho.__file__).parents[1]
    for name, new in MOVED.items():
        assert not (root / name.replace(".", "/")).with_suffix(".py").exists(), name
        assert (root / new.replace(".", "/")).with_suffix(".py").is_file(), new
        assert new not in MOVED


def test_a_name_that_never_was_is_still_an_import_error():
    with pytest.raises(ModuleNotFoundError, match=r"spinecho\.methods\.reconstruction"):
        importlib.import_module("spinecho.methods.reconstruction")
    assert Moved().find_spec("spinecho.core", None) is None


def test_the_finder_stands_last_and_once():
    assert [isinstance(f, Moved) for f in sys.meta_path].count(True) == 1
    importlib.reload(spinecho)
    assert [isinstance(f, Moved) for f in sys.meta_path].count(True) == 1
    assert find_spec("spinecho.core.names").origin.endswith("names.py")


def test_the_stub_is_what_the_tool_would_write():
    assert write_stubs.STUB.read_text(encoding="utf-8") == write_stubs.stub(), "run tools/write_stubs.py"


def test_the_stub_names_what_is_there_and_nothing_else():
    tree = ast.parse(write_stubs.stub())
    imported = {a.asname: node.module for node in tree.body if isinstance(node, ast.ImportFrom) for a in node.names}
    assert set(imported) == {*spinecho.HOMES, "__version__"}
    for name, home in imported.items():
        assert getattr(spinecho, name) is getattr(importlib.import_module(home), name)
    listed = next(n for n in tree.body if isinstance(n, ast.Assign))
    assert ast.literal_eval(listed.value) == sorted(spinecho.HOMES) == spinecho.__all__


def test_writing_the_stub_writes_just_that_file(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(write_stubs, "STUB", tmp_path / "__init__.pyi")
    assert write_stubs.main() == 0
    assert (tmp_path / "__init__.pyi").read_text(encoding="utf-8") == write_stubs.stub()
    assert str(tmp_path) in capsys.readouterr().out


def test_each_task_is_a_public_function_of_its_name():
    from spinecho.methods import registry

    for task in registry.tasks():
        assert spinecho.HOMES[task] == f"spinecho.tasks.{task}.run"
        assert callable(getattr(spinecho, task)) and task in dir(spinecho)


def test_a_public_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'segment_everything'"):
        _ = spinecho.segment_everything
