"""Weights put into the package load as a user would load them, in half the space, or are refused."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
import torch

from spinecho.core.errors import DataError
from spinecho.core.state import load_state
from spinecho.methods.pretrained import load_learned

sys.path.insert(0, str(Path(__file__).parent / "methods"))
from learned import CARD, save_tiny, tiny

_spec = importlib.util.spec_from_file_location(
    "release_weights", Path(__file__).parents[1] / "tools/release_weights.py"
)
assert _spec is not None and _spec.loader is not None
release_weights = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(release_weights)


def test_release(tmp_path, monkeypatch):
    weights = tiny(tmp_path, monkeypatch)
    trained = save_tiny(tmp_path / "weights.safetensors", correction=0.1, half=False, card={})
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


def test_command_line(tmp_path, monkeypatch, capsys):
    tiny(tmp_path, monkeypatch)
    trained, card = save_tiny(tmp_path / "weights.safetensors"), tmp_path / "card.json"
    card.write_text('{"coils": [1, 8]}')
    monkeypatch.setattr(sys, "argv", ["release", str(trained), str(card), "tiny"])
    assert release_weights.main() == 0 and "now write tiny.md" in capsys.readouterr().out
    card.write_text("{")
    assert release_weights.main() == 2 and "error: " in capsys.readouterr().err
