"""A training says its steps to the log, and what it says to a person."""

from __future__ import annotations

import logging

import toy

from spinecho.train.loop import train
from spinecho.train.work import _logged


def test_each_step_with_its_loss_and_time(tmp_path, caplog):
    caplog.set_level(logging.DEBUG, "spinecho.train")
    steps = list(train(toy.run(tmp_path, steps=2), toy.draw()))
    told = [r.getMessage() for r in caplog.records if r.name == "spinecho.train"]
    assert told == [f"step {s.step} of 2: loss {s.loss:.4g}, {s.seconds:.3g} s" for s in steps]


def test_what_is_said_to_a_person_is_logged(caplog):
    caplog.set_level(logging.INFO, "spinecho.train")
    heard: list[str] = []
    _logged(heard.append)("goes on after step 2")
    assert heard == caplog.messages == ["goes on after step 2"]
