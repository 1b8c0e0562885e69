"""The wheel holds the trained weights and their cards, and nothing heavy; `spinecho list` shows them without torch."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from spinecho.methods import registry

ROOT = Path(__file__).parents[1]
LARGEST = 12 * 10**6


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> zipfile.ZipFile:
    pytest.importorskip("hatchling", reason="the wheel is built with hatchling: pip install hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (file,) = folder.glob("*.whl")
    return zipfile.ZipFile(file)


def test_weights_and_cards_are_inside(wheel):
    inside = set(wheel.namelist())
    for task in registry.tasks():
        for name in registry.weights_names(task):
            assert {f"spinecho/weights/{task}/{name}.{suffix}" for suffix in ("safetensors", "md")} <= inside
    assert "spinecho/weights/__init__.py" in inside and "spinecho/methods/pretrained.py" in inside


def test_no_file_is_heavy(wheel):
    heavy = {i.filename: i.file_size for i in wheel.infolist() if i.file_size > LARGEST}
    assert not heavy


def test_every_source_file_is_inside(wheel):
    tracked = subprocess.run(["git", "ls-files", "src"], cwd=ROOT, capture_output=True, text=True, check=False)
    if tracked.returncode:
        pytest.skip("no git repository here")
    inside = set(wheel.namelist())
    files = [f.removeprefix("src/") for f in tracked.stdout.splitlines() if (ROOT / f).is_file()]
    assert files and not [f for f in files if f not in inside]


def test_list_imports_no_torch():
    code = "import sys; from spinecho.cli import main; main(['list']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0
