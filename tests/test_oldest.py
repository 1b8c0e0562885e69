"""The oldest versions come out of pyproject.toml, all of them, and nowhere else."""

from __future__ import annotations

import importlib.util
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[1]
_spec = importlib.util.spec_from_file_location("oldest", ROOT / "tools" / "oldest.py")
assert _spec is not None and _spec.loader is not None
oldest = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(oldest)


def test_each_dependency_is_pinned_to_its_lower_bound():
    needed = oldest.dependencies()
    pins = [Requirement(line) for line in oldest.constraints(needed)]
    assert [p.name for p in pins] == [Requirement(n).name for n in needed] and len(pins) > 10
    for pin, text in zip(pins, needed, strict=True):
        ((operator, version),) = [(s.operator, s.version) for s in pin.specifier]
        allowed = Requirement(text).specifier
        assert operator == "==" and allowed.contains(version)
        assert min(s.version for s in allowed if s.operator == ">=") == version


def test_what_is_given_stands_instead(monkeypatch, capsys):
    assert oldest.constraints(["torch>=2.6,<3", "a-b>=1.0"], ["torch==2.13.0"]) == ["torch==2.13.0", "a-b==1.0"]
    monkeypatch.setattr(sys, "argv", ["oldest", "torch==2.13.0"])
    assert oldest.main() == 0
    assert capsys.readouterr().out.splitlines()[0] == "torch==2.13.0"


def test_extras_and_spaces():
    assert oldest.constraints(["dask[distributed] >= 2024.1"]) == ["dask==2024.1"]


@pytest.mark.parametrize("text", ["numpy", "numpy<3", "numpy~=1.26", "numpy==1.26"])
def test_without_a_lower_bound_nobody_knows(text):
    with pytest.raises(ValueError, match="has no lower bound: write name>=version"):
        oldest.constraints([text])


def test_classifiers_name_what_is_tried_and_allowed():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    python = "Programming Language :: Python :: "
    named = [c.removeprefix(python) for c in project["classifiers"] if c.startswith(f"{python}3.")]
    assert named and all(SpecifierSet(project["requires-python"]).contains(version) for version in named)
