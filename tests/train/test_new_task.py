"""A task that is nothing but a folder trains by `spinecho train`: no other file knows of it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

import spinecho.tasks
from spinecho.cli import main
from spinecho.core.state import load_state
from spinecho.methods import registry
from spinecho.methods.pretrained import open_learned
from spinecho.train.journal import read

TASK = '''"""Numbers: a number in, a number out."""
WHAT, DEFAULT = "arithmetic", "line"

def limits():
    return {}
'''
METHOD = '''"""A straight line."""
from dataclasses import dataclass
from typing import ClassVar
import torch
from spinecho.core.method import Method as Base

@dataclass(frozen=True, kw_only=True)
class Config:
    start: float = 0.0
    """of the slope"""

class Method(Base):
    learned: ClassVar[bool] = True

    def __init__(self, config):
        super().__init__(config)
        self.slope = torch.nn.Parameter(torch.tensor([config.start, 0.0]))
        self.checkpointing = False

    def forward(self, x):
        return self.slope[0] * x + self.slope[1]

    def loss(self, example):
        return (self(example.x) - example.y).square().mean()
'''
EXAMPLES = '''"""Points of a line."""
from dataclasses import dataclass

USE = "spinecho numbers X"

@dataclass(frozen=True, kw_only=True)
class Options:
    slope_wanted: float = 3.0
    """what shall be learned"""

def gather(paths, options, context):
    from spinecho.tasks.numbers.examples.points import HeldOut, Points
    from spinecho.train.supply import Supply

    context.say(f"{len(paths)} paths for {context.name}")
    points = Points(options.slope_wanted, context.settings.seed)
    due = context.settings.validate_every
    facts = {"slope_wanted": options.slope_wanted}
    held_out = HeldOut(points(0, 0)) if due else None
    return Supply(train=points, held_out=held_out, told=lambda s: f"off by {s['off']:.2g}", facts=facts)
'''
POINTS = '''"""The points."""
from dataclasses import dataclass
import torch
from spinecho.train.draw import generator

@dataclass(frozen=True, eq=False)
class Pair:
    x: torch.Tensor
    y: torch.Tensor

    def to(self, device):
        return Pair(self.x.to(device), self.y.to(device))

@dataclass(frozen=True, eq=False)
class Points:
    slope: float
    seed: int

    def __call__(self, step, index):
        x = torch.randn(16, generator=generator(self.seed, "train", step, index))
        return Pair(x, self.slope * x)

@dataclass(frozen=True, eq=False)
class HeldOut:
    pair: Pair

    def scores(self, method):
        with torch.no_grad():
            return {"off": float(method.loss(self.pair))}

    def picture(self, method, path):
        path.write_bytes(b"a picture")
'''
COMMON = ["numbers/line", "--data", "here", "--batch", "2", "--rate", "0.3", "--threads", "1", "--device", "cpu"]
COMMON += ["--save-every", "10", "--validate-every", "20"]


@pytest.fixture(autouse=True)
def numbers(tmp_path, monkeypatch):
    """The task in a folder beside the package's own."""
    files = {"__init__": '"""Numbers."""\n', "task": TASK, "methods/line": METHOD, "examples/points": POINTS}
    files |= {"methods/__init__": '"""Methods."""\n', "examples/__init__": EXAMPLES}
    for name, text in files.items():
        path = tmp_path / "tasks" / "numbers" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for own in registry.TASKS.iterdir():
        if (own / "task.py").is_file():
            (tmp_path / "tasks" / own.name).symlink_to(own)
    monkeypatch.setattr(registry, "TASKS", tmp_path / "tasks")
    monkeypatch.setattr(spinecho.tasks, "__path__", [*spinecho.tasks.__path__, str(tmp_path / "tasks")])
    yield
    for name in [n for n in sys.modules if n.startswith("spinecho.tasks.numbers")]:
        del sys.modules[name]
    vars(spinecho.tasks).pop("numbers", None)


def spinecho_train(out: Path, *arguments: object) -> int:
    return main(["train", *COMMON, "--out", str(out), *map(str, arguments)])


def test_it_trains_and_says_how_to_use_the_weights(tmp_path, capsys):
    out = tmp_path / "run"
    assert spinecho_train(out, "--steps", 60, "--slope-wanted", 2) == 0
    shown = capsys.readouterr().out
    assert "1 paths for line" in shown and "held-out off by" in shown
    assert f"to use it: spinecho numbers X --weights {out}/weights.safetensors" in shown
    tensors, metadata = load_state(out / "weights.safetensors")
    assert (metadata["task"], metadata["method"]) == ("numbers", "line")
    assert metadata["trained"]["facts"] == {"data": ["here"], "init": "", "slope_wanted": 2.0}
    torch.testing.assert_close(tensors["slope"], torch.tensor([2.0, 0.0]), atol=0.3, rtol=0)
    assert open_learned("numbers", out / "weights.safetensors").slope.shape == (2,)


def test_it_goes_on_bit_for_bit_with_any_number_of_workers(tmp_path, capsys):
    for out, steps, more in (("whole", 40, []), ("parts", 20, []), ("parts", 40, ["--workers", 1])):
        given = ["--decay", 0, "--warmup", 0, "--checkpointing", *more]
        assert spinecho_train(tmp_path / out, "--steps", steps, *given) == 0
    assert "goes on after step 20" in capsys.readouterr().out
    whole, parts = (
        [(line["step"], line.get("loss"), line.get("off")) for line in read(tmp_path / out / "metrics.jsonl")]
        for out in ("whole", "parts")
    )
    assert whole == parts and len(whole) == 41
    assert spinecho_train(tmp_path / "parts", "--steps", 50, "--decay", 0, "--warmup", 0, "--slope-wanted", 1) == 2
    assert "slope_wanted" in capsys.readouterr().err


def test_its_options_are_its_own(tmp_path, capsys):
    assert main(["train", "numbers/line", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "--slope-wanted" in shown and "--start" in shown and "--teacher" not in shown
    assert spinecho_train(tmp_path / "run", "--teacher", "varnet") == 2
    assert "--teacher is for recon methods -> leave it out for numbers/line" in capsys.readouterr().err
    common = ["--data", "here", "--out", str(tmp_path / "run")]
    assert main(["train", "recon/unet", *common, "--slope_wanted=1"]) == 2
    assert "--slope-wanted is for numbers methods" in capsys.readouterr().err
