"""A time becomes a number of steps: it fits, is written down, and the run is the one with that number of steps."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from time import sleep
from typing import ClassVar

import pytest
import small
import torch
import toy
from torch import nn

from forked import Forked
from spinecho.cli import main
from spinecho.core.errors import DataError
from spinecho.core.state import load_state
from spinecho.train import budget
from spinecho.train.budget import Pace, fitting, within
from spinecho.train.duration import seconds
from spinecho.train.journal import read
from spinecho.train.loop import train
from spinecho.train.run import Run
from spinecho.train.settings import Settings
from spinecho.train.supply import Supply

PACE = Pace(0.25, 3.0, 0.5)


class Remembers(toy.Recon):
    """A method with buffers that each loss changes, one of them not saved, and a loss that draws random numbers."""

    learned: ClassVar[bool] = True

    def __init__(self, config: toy.Config) -> None:
        super().__init__(config)
        self.net = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Conv2d(4, 1, 3, padding=1))
        self.register_buffer("seen", torch.zeros(()), persistent=False)

    def forward(self, kspace):
        x = kspace.target.float()
        return kspace.image(self.net(x.reshape(-1, 1, *x.shape[-2:])).reshape(x.shape))

    def loss(self, kspace):
        self.seen += 1
        kept = torch.rand(kspace.target.shape) < 0.9
        return ((self(kspace).values - kspace.target).square() * kept).mean() * (1 + self.seen / 1000)


@dataclass(eq=False)
class Judged:
    """A validation that does nothing but count."""

    count: int = 0

    def scores(self, method) -> dict[str, float]:
        self.count += 1
        return {"count": 1.0}

    def picture(self, method, path: Path) -> None:
        path.write_bytes(b"a picture")


def supply(held_out: Judged | None = None) -> Supply:
    return Supply(train=toy.draw(), held_out=held_out, told=str)


def remembering(out: Path, **settings) -> Run:
    run = toy.run(out, **settings)
    torch.manual_seed(0)
    return Run(method=Remembers(toy.Config()), task="recon", name="toy", settings=run.settings, out=out)


@pytest.mark.parametrize(("text", "s"), [("90s", 90), ("9m", 540), ("1h30m", 5400), ("2h", 7200), ("1m30s", 90)])
def test_times_as_people_say_them(text, s):
    assert seconds(text) == s


@pytest.mark.parametrize("text", ["", "9", "m", "-3s", "0s", "9 minutes", "30m1h"])
def test_no_times(text):
    with pytest.raises(DataError, match=r"budget is .* -> give a time as 90s, 9m or 1h30m"):
        seconds(text)


def test_as_many_steps_as_fit_with_validations_and_checkpoints():
    settings = Settings(save_every=100, validate_every=1000)
    n = fitting(518.4, PACE, settings)
    assert PACE.whole(n, settings) <= 518.4 < PACE.whole(n + 1, settings)
    assert n * 0.25 + (1 + n // 1000) * 3 + -(-n // 100) * 0.5 <= 518.4
    assert fitting(3.6, PACE, settings) == 0 and fitting(-1, PACE, settings) == 0
    assert fitting(3.9, PACE, settings) == 1
    assert fitting(10, Pace(0.25, 0, 0), Settings(validate_every=0)) == 40


def test_the_steps_measured_leave_no_trace(tmp_path, monkeypatch):
    """The run whose number was chosen is that with this number of steps, bit for bit, buffers and all."""
    said: list[str] = []
    monkeypatch.setattr(budget, "_MEASURE_S", 0.5)
    run, held = remembering(tmp_path / "budget", batch=2), Judged()
    torch.manual_seed(7)
    before = torch.get_rng_state()
    settings = within("9m", run, supply(held), 0.0, said.append)
    assert torch.equal(before, torch.get_rng_state()) and run.method.seen == 0 and held.count == 2
    assert said == [f"9m: {settings.steps:,} steps of {json.loads(said_in(run))['step']:.2g} s"]
    n = min(settings.steps, 12)
    chosen = Run(method=run.method, task="recon", name="toy", settings=run.settings, out=run.out)
    plain = remembering(tmp_path / "steps", batch=2)
    for one in (chosen, plain):
        object.__setattr__(one, "settings", Settings(**{**vars(run.settings), "steps": n}))
        assert len(list(train(one, toy.draw()))) == n
    whole, parts = (
        [(line["step"], line["loss"], line["grad_norm"], line["rate"]) for line in read(one.out / "metrics.jsonl")]
        for one in (plain, chosen)
    )
    assert whole == parts
    (ours, _), (theirs, _) = (load_state(one.weights) for one in (plain, chosen))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours) and "net.1.running_mean" in ours


def said_in(run: Run) -> str:
    return (run.out / budget.CHOSEN).read_text()


@dataclass(eq=False)
class Clock:
    """A clock that goes only as long as things say they take."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_pace_is_that_of_steps_validations_and_checkpoints(tmp_path, monkeypatch):
    """First steps and a first validation take longer, and do not count; the rest is all there is."""
    clock, held = Clock(), Judged()
    draw = toy.draw()

    def drawn(step: int, index: int):
        clock.now += 2.0 if step <= 3 else 0.125
        return draw(step, index)

    def picture(self, method, path: Path) -> None:
        clock.now += 9.0 if self.count == 0 else 2.0

    def saved(path: Path, tensors, metadata) -> None:
        clock.now += 0.1
        path.touch()

    monkeypatch.setattr(budget, "perf_counter", clock)
    monkeypatch.setattr(budget, "save_state", saved)
    monkeypatch.setattr(Judged, "picture", picture)
    run = toy.run(tmp_path, batch=2, validate_every=100, save_every=50)
    given = Supply(train=drawn, held_out=held, told=str)
    settings = within("9m", run, given, 5.0, lambda text: None)
    gone = clock.now
    pace = Pace(**{k: v for k, v in json.loads(said_in(run)).items() if k in ("step", "validation", "saving")})
    assert (pace.step, pace.validation) == (pytest.approx(0.25), 2.0) and pace.saving == pytest.approx(0.5)
    assert settings.steps == fitting(540 * 0.96 - 5 - gone, pace, run.settings) > 1500
    assert gone < 50, "two validations, three slow steps, then about 20 seconds"


def test_the_number_is_kept_to(tmp_path, monkeypatch):
    said: list[str] = []
    run = toy.run(tmp_path)
    monkeypatch.setattr(budget, "_MEASURE_S", 0.5)
    first = within("9m", run, supply(), 0.0, said.append)
    monkeypatch.setattr(budget, "_measured", None)  # nothing is measured twice
    assert within("540s", run, supply(), 900.0, said.append) == first
    assert said[1] == f"540s: {first.steps:,} steps, as chosen when the run began"
    with pytest.raises(DataError, match=r"begun with budget='9m', now 2s -> give that to continue, or start over"):
        within("2s", run, supply(), 0.0, said.append)
    (tmp_path / budget.CHOSEN).write_text('{"bud')
    with pytest.raises(DataError, match="cannot be read"):
        within("9m", run, supply(), 0.0, said.append)


def test_what_is_too_short_or_was_begun_by_steps_is_told(tmp_path):
    run = toy.run(tmp_path / "short")
    with pytest.raises(DataError, match=r"1s is too short: -.* s of it are left, a step takes .* -> give a longer"):
        within("1s", run, supply(), 2.0, print)
    assert not (run.out / budget.CHOSEN).exists()
    begun = toy.run(tmp_path / "begun", steps=3)
    list(train(begun, toy.draw()))
    with pytest.raises(DataError, match="begun without a budget"):
        within("1s", begun, supply(), 0.0, print)


def spinecho(*arguments: object) -> list[str]:
    return ["train", *map(str, arguments), *small.VARNET, *small.QUICK, "--validate-every", "10"]


def seven_steps(given: list[str]) -> None:
    """The command, with a budget that has room for them however fast the machine is."""
    budget._MEASURE_S, budget.fitting = 0.2, lambda *measured: 7
    main(given)


def test_killed_with_a_budget_and_resumed_it_is_the_run_with_those_steps(tmp_path, monkeypatch, capsys):
    images, out, plain = small.images(tmp_path / "images"), tmp_path / "out", tmp_path / "plain"
    common = ["recon/varnet", "--data", images]
    given = spinecho(*common, "--out", out, "--budget", "9m")
    child = Forked(seven_steps, given)
    while child.poll() is None and not any((out / "checkpoints").glob("step_*")):
        sleep(0.01)
    os.kill(child.pid, signal.SIGKILL)
    child.communicate()
    monkeypatch.setattr(budget, "_measured", None)
    assert main(given) == 0
    shown = capsys.readouterr().out
    assert "9m: 7 steps, as chosen when the run began" in shown and "goes on after step" in shown
    assert main(spinecho(*common, "--out", plain, "--steps", 7)) == 0
    ours, theirs = (
        [(line["step"], line.get("loss"), line.get("psnr"), line.get("rate")) for line in read(o / "metrics.jsonl")]
        for o in (out, plain)
    )
    assert ours == theirs and len(ours) == 8
    (a, _), (b, _) = (load_state(o / "weights.safetensors") for o in (out, plain))
    assert all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--budget", "9m", "--steps", "100"], "--budget 9m and --steps 100 are both given -> give one of them"),
        (["--budget", "nine"], "--budget is 'nine' -> give a time as 90s, 9m or 1h30m"),
    ],
)
def test_what_makes_no_sense_is_told_before_the_work(more, told, tmp_path, capsys):
    given = spinecho("recon/varnet", "--data", small.images(tmp_path / "images"), "--out", tmp_path / "out", *more)
    assert main(given) == 2
    assert told in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()
