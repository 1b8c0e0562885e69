"""Rows stay valid while the code and weights that made them do: no task voids another's, no folder counts."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from spinecho.evaluate import versions
from spinecho.methods import registry

FILES = (
    "core/task.py",
    "ops/linop.py",
    "metrics/image.py",
    "solve/cg.py",
    "tasks/recon/run.py",
    "tasks/recon/methods/cg_sense.py",
    "tasks/recon/commands/recon.py",
    "tasks/recon/examples/raw.py",
    "tasks/register/run.py",
    "tasks/register/parts/flow.py",
    "train/loop.py",
)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of some of the code, so that it can be edited."""
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(versions.PACKAGE / name, tmp_path / name)
    (tmp_path / "weights/recon").mkdir(parents=True)
    for name in ("modl", "unet"):
        shutil.copy(registry.WEIGHTS / f"recon/{name}.safetensors", tmp_path / "weights/recon")
    monkeypatch.setattr(versions, "PACKAGE", tmp_path)
    monkeypatch.setattr(registry, "WEIGHTS", tmp_path / "weights")
    return tmp_path


def both() -> tuple[str, str]:
    versions._of_code.cache_clear()
    return versions.of_method("recon", "cg_sense", {}), versions.of_method("register", "affine", {})


@pytest.mark.parametrize(
    ("edited", "is_new"),
    [
        ("tasks/register/parts/flow.py", (False, True)),
        ("tasks/recon/methods/cg_sense.py", (True, False)),
        ("core/task.py", (True, True)),
        ("metrics/image.py", (True, True)),
        ("tasks/recon/commands/recon.py", (False, False)),
        ("tasks/recon/examples/raw.py", (False, False)),
        ("train/loop.py", (False, False)),
    ],
)
def test_an_edit_voids_the_rows_that_it_may_change_and_no_others(package: Path, edited: str, is_new) -> None:
    before = both()
    with (package / edited).open("a") as f:
        f.write("\n# edited\n")
    assert tuple(b != a for a, b in zip(before, both(), strict=True)) == is_new


def test_a_moved_file_is_other_code_but_a_moved_package_is_not(package: Path, tmp_path_factory, monkeypatch) -> None:
    before = both()
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "spinecho"
    shutil.copytree(package, elsewhere)
    monkeypatch.setattr(versions, "PACKAGE", elsewhere)
    assert both() == before
    (elsewhere / "tasks/recon/methods/cg_sense.py").rename(elsewhere / "tasks/recon/methods/cg.py")
    assert both()[0] != before[0]


def test_weights_count_for_their_method_alone(package: Path) -> None:
    def of(name: str) -> str:
        return versions.of_method("recon", name, {})

    before = {name: of(name) for name in ("modl", "unet", "tv", "auto")}
    file = package / "weights/recon/unet.safetensors"
    file.write_bytes(file.read_bytes() + b" ")
    assert [name for name in before if of(name) != before[name]] == ["unet", "auto"]


def test_given_weights_count_by_content_not_by_place(package: Path) -> None:
    file = package / "weights/recon/modl.safetensors"
    versions_of = []
    for name in ("a", "b"):
        (package / name).mkdir()
        shutil.copy(file, package / name / "w.safetensors")
        versions_of.append(versions.of_method("recon", "modl", {"weights": package / name / "w.safetensors"}))
    assert versions_of[0] == versions_of[1]
    (package / "b/w.safetensors").write_bytes(b"other")
    assert versions.of_method("recon", "modl", {"weights": package / "b/w.safetensors"}) != versions_of[0]


def test_settings_count() -> None:
    one, other = (versions.of_method("register", "affine", {"finest_mm": v}) for v in (2, 4))
    assert one != other and one == versions.of_method("register", "affine", {"finest_mm": 2})
