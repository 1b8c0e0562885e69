"""Memory that may not suffice is said after the first step; memory that does not is one error, checkpoints kept."""

from __future__ import annotations

import pytest
import torch
import toy
from torch import nn

from spinecho.core.errors import DataError
from spinecho.io.limits import human
from spinecho.train import memory
from spinecho.train.loop import train
from spinecho.train.memory import enough, told
from spinecho.train.run import Run
from spinecho.train.settings import Settings, check_same


class Recomputing(nn.Module):
    checkpointing = False


def peaks(monkeypatch, peak: int, free: int) -> None:
    monkeypatch.setattr(memory, "peak_memory", lambda: peak)
    monkeypatch.setattr(memory, "free_memory", lambda: free)


def test_enough_memory_needs_no_word(tmp_path, monkeypatch):
    peaks(monkeypatch, 3 * 10**9, 4 * 10**9)
    assert told(toy.run(tmp_path)) == ""


def test_little_memory_is_said_with_what_to_do(tmp_path, monkeypatch):
    peaks(monkeypatch, 7 * 10**9, 10**9)
    run = toy.run(tmp_path)
    sentence = told(run)
    assert sentence.startswith("the first step took 7 GB of 8 GB of memory, and examples differ in size")
    assert "with another --out with --batch below 2" in sentence and "checkpointing" not in sentence
    run.method.net.append(Recomputing())
    assert "continue with --checkpointing or start over with another --out with --batch below 2" in told(run)
    run.method.net[-1].checkpointing = True
    assert "checkpointing" not in told(run)
    alone = toy.run(tmp_path, batch=1)
    assert told(alone).endswith("if it runs out, train a smaller network")
    assert "fewer --workers than 3" in told(toy.run(tmp_path, workers=3))


ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: you tried to"),
    MemoryError(),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda e: type(e).__name__)
def test_a_step_without_memory_is_one_error_and_the_checkpoint_stays(tmp_path, error):
    run, draw = toy.run(tmp_path, steps=9), toy.draw()

    def drawn(step: int, index: int):
        if step == 5:
            raise error
        return draw(step, index)

    told = r"memory of this machine .* the checkpoint of step 3 stays -> start"
    with pytest.raises(DataError, match=told) as caught, enough(run):
        list(train(run, drawn))
    assert caught.value.__cause__ is error
    assert [step.step for step in train(toy.run(tmp_path, steps=9), draw)] == [4, 5, 6, 7, 8, 9]


def test_before_any_checkpoint_nothing_was_kept(tmp_path):
    run = toy.run(tmp_path)
    with pytest.raises(DataError, match="nothing was kept"), enough(run):
        raise MemoryError
    assert human(8 * 10**9) == "8 GB"


def test_other_errors_pass_through(tmp_path):
    with pytest.raises(RuntimeError, match="shapes differ"), enough(toy.run(tmp_path)):
        raise RuntimeError("shapes differ")


def test_a_run_may_go_on_with_checkpointing():
    check_same(vars(Settings()), Settings(checkpointing=True), "here")
    with pytest.raises(DataError, match="begun with batch 4"):
        check_same(vars(Settings()), Settings(batch=2), "here")


def test_the_whole_run_says_it_once(tmp_path, monkeypatch):
    from spinecho.train.supply import Supply
    from spinecho.train.work import follow, no_bar

    peaks(monkeypatch, 7 * 10**9, 10**9)
    said: list[str] = []
    run = toy.run(tmp_path, steps=3)
    assert isinstance(run, Run)
    follow(run, Supply(train=toy.draw(), held_out=None, told=str), said.append, no_bar)
    assert len([line for line in said if line.startswith("the first step took")]) == 1
