"""What `make wheel-check` looks at, on archives made here; the check itself downloads torch and takes minutes."""

from __future__ import annotations

import importlib.util
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
_spec = importlib.util.spec_from_file_location("wheel_check", ROOT / "tools" / "wheel_check.py")
assert _spec is not None and _spec.loader is not None
wheel_check = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(wheel_check)


def wheel(path: Path, points: str = "[pytest11]\n", *more: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("spinecho-0.1.0.dist-info/entry_points.txt", points)
        for name in more:
            archive.writestr(name, "")
    return path


def test_a_good_wheel_passes(tmp_path, capsys):
    one = wheel(tmp_path / "a.whl", "[pytest11]\n", "spinecho/py.typed")
    wheel_check.check_contents(one, wheel(tmp_path / "b.whl", "[pytest11]\n", "spinecho/py.typed"))
    assert "the wheel has 0.0 MB" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("points", "names", "others", "told"),
    [
        ("", ["spinecho/py.typed"], ["spinecho/py.typed"], "the entry point for pytest is missing"),
        ("[pytest11]", [], [], "py.typed is missing"),
        ("[pytest11]", ["spinecho/py.typed"], ["spinecho/py.typed", "x"], r"differs in \['x'\]"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, points, names, others, told):
    with pytest.raises(SystemExit, match=f"wheel-check: .*{told}"):
        wheel_check.check_contents(wheel(tmp_path / "a.whl", points, *names), wheel(tmp_path / "b.whl", "", *others))


def test_a_wheel_that_is_too_large(tmp_path, monkeypatch):
    monkeypatch.setattr(wheel_check, "LARGEST", 100)
    one = wheel(tmp_path / "a.whl", "[pytest11]\n", "spinecho/py.typed")
    with pytest.raises(SystemExit, match="at most 0 are promised"):
        wheel_check.check_contents(one, one)


def test_a_command_that_fails_is_shown(tmp_path):
    assert wheel_check.run(["echo", "yes"], tmp_path) == "yes\n"
    with pytest.raises(SystemExit, match="ended with 3:\nwhy"):
        wheel_check.run(["sh", "-c", "echo why; exit 3"], tmp_path)


def test_only_versions_that_were_tried_are_named():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert [c for c in project["classifiers"] if "Python ::" in c] == ["Programming Language :: Python :: 3.11"]
    assert "Typing :: Typed" in project["classifiers"] and project["license"] == "Apache-2.0"
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "tools/wheel_check.py --torch $(TORCH)" in text and "TORCH := torch==" in text
