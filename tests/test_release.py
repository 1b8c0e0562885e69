"""Weights put into the package load as a user would load them, in half the space, or are refused."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from spinecho.core.errors import DataError
from spinecho.core.state import load_state, save_state
from spinecho.methods import registry
from spinecho.methods.pretrained import load_learned
from spinecho.tasks.generate.methods import gan
from spinecho.tasks.register.methods import voxelmorph

sys.path.insert(0, str(Path(__file__).parent / "methods"))
from learned import CARD, save_tiny, tiny

_spec = importlib.util.spec_from_file_location(
    "release_weights", Path(__file__).parents[1] / "tools/release_weights.py"
)
assert _spec is not None and _spec.loader is not None
release_weights = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = release_weights  # dataclasses look their module up
_spec.loader.exec_module(release_weights)


def test_release(tmp_path, monkeypatch):
    weights = tiny(tmp_path, monkeypatch)
    trained = save_tiny(tmp_path / "weights.safetensors", correction=0.1, bits=32, card={})
    path = release_weights.release(trained, CARD, "tiny_fast")
    assert path == weights / "tiny_fast.safetensors"
    before, after = load_state(trained)[0], load_state(path)[0]
    assert all(torch.allclose(after[k], v, rtol=1e-3, atol=1e-6) for k, v in before.items())
    assert load_learned("recon", "tiny_fast").card == CARD


def test_what_cannot_be_released(tmp_path, monkeypatch):
    weights = tiny(tmp_path, monkeypatch)
    trained = save_tiny(tmp_path / "weights.safetensors")
    with pytest.raises(DataError, match="unknown entries: coil"):
        release_weights.release(trained, {"coil": [1, 2]}, "tiny")
    monkeypatch.setattr(release_weights, "LARGEST", 100)
    with pytest.raises(DataError, match=r"the weights take 0\.0 MB"):
        release_weights.release(trained, CARD, "tiny")
    assert not list(weights.iterdir())


@pytest.fixture
def trained(tmp_path, monkeypatch) -> Path:
    """Weights of a small voxelmorph, as if trained."""
    (tmp_path / "weights" / "register").mkdir(parents=True)
    monkeypatch.setattr(registry, "WEIGHTS", tmp_path / "weights")
    config = voxelmorph.Config(channels=(4, 6))
    state = {k: v + 0.125 for k, v in voxelmorph.Method(config).state_dict().items()}
    metadata = {
        "task": "register",
        "method": "voxelmorph",
        "config": asdict(config),
        "card": {},
        "trained": {"steps": 9},
    }
    save_state(tmp_path / "trained.safetensors", state, metadata)
    return tmp_path / "trained.safetensors"


def test_a_last_layer_may_count_less_and_pulls_be_others(trained, tmp_path, monkeypatch, capsys):
    (tmp_path / "card.json").write_text('{"extent_mm": [100, 320]}')
    words = ["release", trained, tmp_path / "card.json", "vm", "--share", "0.5", "leave.weight", "leave.bias"]
    monkeypatch.setattr(sys, "argv", [*map(str, words), "--put", "step", "-2.0", "-0.75"])
    assert release_weights.main() == 0
    tensors, metadata = load_state(tmp_path / "weights/register/vm.safetensors")
    assert (tensors["leave.weight"] == 0.0625).all() and tensors["step"].tolist() == [-2.0, -0.75]
    shares = {"leave.weight": 0.5, "leave.bias": 0.5}
    assert metadata["trained"] == {"steps": 9, "released": {"shares": shares, "values": {"step": [-2.0, -0.75]}}}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"shares": {"absent": 0.5}}, "there are no weights absent -> known are .*leave"),
        ({"shares": {"step": 0.5}}, "step is not zero before training"),
        ({"values": {"step": [1.0]}}, "step has 2 values, given are 1"),
    ],
)
def test_changes_that_do_not_fit(trained, changes, told):
    with pytest.raises(DataError, match=told):
        release_weights.release(trained, {"extent_mm": [100, 320]}, "vm", release_weights.Changes(**changes))


def test_command_line(tmp_path, monkeypatch, capsys):
    tiny(tmp_path, monkeypatch)
    trained, card = save_tiny(tmp_path / "weights.safetensors"), tmp_path / "card.json"
    card.write_text('{"coils": [1, 8]}')
    monkeypatch.setattr(sys, "argv", ["release", str(trained), str(card), "tiny"])
    assert release_weights.main() == 0 and "now write tiny.md" in capsys.readouterr().out
    card.write_text("{")
    assert release_weights.main() == 2 and "error: " in capsys.readouterr().err


def judged(folder: Path) -> tuple[Path, gan.Method]:
    """Weights of a small GAN with its critic, as training writes them."""
    torch.manual_seed(0)
    method = gan.Method(gan.Config(size=64, noise=4, width=8, most=16))
    metadata = {
        "task": "generate",
        "method": "gan",
        "config": asdict(method.config),
        "card": {},
        "trained": {"steps": 1, "from": ["toys"]},
    }
    path = folder / "gan_trained.safetensors"
    save_state(path, method.state_dict(), metadata)
    return path, method


def test_judges_are_not_released(tmp_path, monkeypatch):
    (tmp_path / "weights" / "generate").mkdir(parents=True)
    monkeypatch.setattr(registry, "WEIGHTS", tmp_path / "weights")
    path, method = judged(tmp_path)
    tensors = load_state(release_weights.release(path, {"summary": "toys"}, "gan"))[0]
    assert {name.partition(".")[0] for name in tensors} == {"maker"}
    noise = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    loaded = load_learned("generate", "gan")
    assert isinstance(loaded, gan.Method)
    method.load_state_dict({name: p.half().float() for name, p in method.state_dict().items()})
    with torch.no_grad():
        torch.testing.assert_close(loaded.pictures(noise), method.pictures(noise), atol=1e-5, rtol=0)
    whole, kept = load_learned("generate", path), load_state(path)[0]
    assert all(torch.equal(p, kept[name]) for name, p in whole.state_dict().items()), "with all of it"


def test_a_part_of_a_judge_is_no_file_without_one(tmp_path):
    path, _ = judged(tmp_path)
    tensors, metadata = load_state(path)
    for lost in ("critic.leave.weight", "maker.enter.weight"):
        save_state(tmp_path / "part.safetensors", {k: v for k, v in tensors.items() if k != lost}, metadata)
        with pytest.raises(DataError, match=f"it misses weights: {lost}"):
            load_learned("generate", tmp_path / "part.safetensors")


@pytest.mark.parametrize("task", registry.tasks())
def test_judges_are_modules_that_the_image_does_not_need(task):
    for name in registry.names(task):
        method = registry.load(task, name).Method
        for judge in method.judges:
            assert judge.isidentifier() and method.learned
