"""Two processes do what one does with the same global batch, and hold equal gradients."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
import torch
import toy
from child import main

from forked import Forked
from spinecho.core.errors import DataError
from spinecho.core.state import load_state
from spinecho.train.gradient import wrapped
from spinecho.train.journal import read
from spinecho.train.loop import train
from spinecho.train.team import Team, together


def free_port() -> str:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return str(s.getsockname()[1])


def two_processes(out: Path, settings: dict) -> None:
    """What torchrun --nproc-per-node 2 starts (child.py also compares the gradients of both)."""
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port(), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    ranks = [{"RANK": r, "LOCAL_RANK": r} for r in ("0", "1")]
    children = [Forked(main, str(out), json.dumps(settings), environment=shared | rank) for rank in ranks]
    ends = [child.communicate() for child in children]
    assert [child.wait() for child in children] == [0, 0], ends


def test_two_processes_give_what_one_gives(tmp_path):
    settings = {"steps": 6, "batch": 4}
    two_processes(tmp_path / "two", settings)
    list(train(toy.run(tmp_path / "one", **settings), toy.draw()))
    one, two = (read(tmp_path / d / "metrics.jsonl") for d in ("one", "two"))
    assert [line["step"] for line in two] == [1, 2, 3, 4, 5, 6]
    for a, b in zip(one, two, strict=True):
        assert b["loss"] == pytest.approx(a["loss"], rel=1e-5)
        assert b["grad_norm"] == pytest.approx(a["grad_norm"], rel=1e-4)
    (ours, _), (theirs, _) = (load_state(tmp_path / d / "weights.safetensors") for d in ("one", "two"))
    for name, tensor in ours.items():
        torch.testing.assert_close(tensor, theirs[name], rtol=1e-5, atol=1e-6)


def test_shares_cover_all_and_come_back_in_order():
    teams = [Team(rank, 3) for rank in range(3)]
    assert sorted(i for team in teams for i in team.share(7)) == list(range(7))
    assert Team().gather(["a"]) == ["a"] and Team().leads and not teams[1].leads


def test_a_batch_that_cannot_be_dealt_out_is_refused(tmp_path):
    run = toy.run(tmp_path, batch=3)
    with pytest.raises(DataError, match="batch of 3 cannot be dealt out to 2 processes -> give batch a multiple of 2"):
        wrapped(run.method, run.settings, Team(0, 2))


def test_alone_without_torchrun(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with together("cpu") as (team, device):
        assert (team.size, device.type) == (1, "cpu")


def test_more_processes_than_gpus_are_refused(monkeypatch):
    for name, value in {"WORLD_SIZE": "99", "LOCAL_RANK": "98"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(DataError, match="process 98 of this machine finds"), together("cuda"):
        pass


def test_processes_agree_on_the_number_of_steps_of_a_budget(tmp_path):
    """The leading one chooses, though the other has 100 seconds less to give."""
    two_processes(tmp_path / "run", {"budget": "3m", "measure_s": 0.5})
    steps = json.loads((tmp_path / "run" / "budget.json").read_text())["steps"]
    assert [int((tmp_path / "run" / f"chosen_{rank}").read_text()) for rank in (0, 1)] == [steps, steps]
