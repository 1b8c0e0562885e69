"""What is kept of an earlier run is used only for the same code and weights, wherever the checkout lies."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from types import ModuleType

import pytest

PACKAGE = Path(__file__).parents[2] / "src" / "spinecho"
WEIGHTS = "weights/varnet.safetensors"


def copied(place: Path) -> Path:
    """The package's code in another place, with small files for weights."""
    target = place / "spinecho"
    shutil.copytree(PACKAGE, target, ignore=shutil.ignore_patterns("__pycache__", "weights", "samples"))
    (target / "weights").mkdir()
    for name in ("varnet", "voxelmorph"):
        (target / f"weights/{name}.safetensors").write_bytes(name.encode())
    return target


def module(package: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module of the copy, on its own: its imports are those of the package under test."""
    spec = importlib.util.spec_from_file_location(f"copy_{abs(hash(package))}", package / name)
    assert spec is not None and spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    if hasattr(found, "registry"):
        monkeypatch.setattr(found.registry, "WEIGHTS", package / "weights")
    return found


def registers(package: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    return module(package, "evaluate/registration/versions.py", monkeypatch).version_of_method("hybrid", {})


def measures(package: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    return module(package, "evaluate/registration/versions.py", monkeypatch).version_of_measures()


def recon(package: Path, monkeypatch: pytest.MonkeyPatch, method: str = "varnet") -> str:
    return module(package, "evaluate/versions.py", monkeypatch).version_of(method)


def automatic(package: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    return recon(package, monkeypatch, "auto")


def change(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"\n# changed\n")


@pytest.mark.parametrize("place", ["plain", "recon/work", "evaluate", "methods/recon"])
@pytest.mark.parametrize(
    ("version", "file"),
    [
        (registers, "core/transform.py"),
        (registers, "methods/pair.py"),
        (registers, "methods/register/hybrid.py"),
        (registers, "io/nifti/read.py"),
        (registers, "weights/voxelmorph.safetensors"),
        (measures, "evaluate/overlap.py"),
        (measures, "io/nifti/read.py"),
        (recon, "ops/fourier.py"),
        (recon, "sim/mask.py"),
        (recon, "evaluate/case.py"),
        (recon, WEIGHTS),
        (automatic, WEIGHTS),
    ],
)
def test_a_change_is_seen_wherever_the_checkout_lies(tmp_path, monkeypatch, place, version, file):
    package = copied(tmp_path / place)
    before = version(package, monkeypatch)
    change(package / file)
    assert version(package, monkeypatch) != before


@pytest.mark.parametrize("version", [registers, measures, recon, automatic])
def test_the_same_code_elsewhere_is_the_same_version(tmp_path, monkeypatch, version):
    here, there = copied(tmp_path / "plain"), copied(tmp_path / "recon/work")
    (there / "core/__pycache__").mkdir()
    (there / "core/__pycache__/field.cpython-312.pyc").write_bytes(b"compiled")
    first = version(here, monkeypatch)
    monkeypatch.chdir(tmp_path)
    assert version(there, monkeypatch) == first


def test_a_method_of_reconstruction_leaves_registrations_as_they_are(tmp_path, monkeypatch):
    package = copied(tmp_path / "recon")
    before = registers(package, monkeypatch)
    change(package / "methods/recon/varnet.py")
    assert registers(package, monkeypatch) == before


@pytest.mark.parametrize("version", [registers, recon])
def test_lines_that_move_from_file_to_file_are_a_change(tmp_path, monkeypatch, version):
    package = copied(tmp_path)
    first, second = sorted((package / "core").rglob("*.py"))[:2]
    before = version(package, monkeypatch)
    text = second.read_bytes()
    first.write_bytes(first.read_bytes() + text[:9])
    second.write_bytes(text[9:])
    assert version(package, monkeypatch) != before


@pytest.mark.parametrize("version", [registers, recon])
def test_a_folder_that_is_gone_is_no_version(tmp_path, monkeypatch, version):
    package = copied(tmp_path)
    shutil.rmtree(package / "nets")
    with pytest.raises(FileNotFoundError, match="nets"):
        version(package, monkeypatch)
