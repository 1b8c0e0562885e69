"""A toy task for tests: guess a number; its judge is all that the evaluator needs."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Annotated

import pytest

from spinecho.core.errors import DataError
from spinecho.core.option import Option
from spinecho.evaluate.judge import Case, Cases, Cost, LeftOut, Measure, Outcome
from spinecho.evaluate.rows import Row
from spinecho.methods import registry


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which numbers are to be guessed."""

    numbers: Annotated[tuple[int, ...], Option(aliases=("-n",))]
    """the numbers; negative ones are simulated, 13 is left out"""


@dataclass(frozen=True)
class Guess:
    """Always so much beside the truth; refuses 7."""

    name: str
    beside: float
    is_oracle: bool = False

    def version(self, case: Case) -> str:
        return str(self.beside)

    def run(self, inputs: int) -> Outcome:
        if inputs == 7:
            raise DataError("seven is too holy")
        return Outcome(result=inputs + self.beside, note=f"guessed {inputs + self.beside:g}")


@dataclass(frozen=True)
class Timed(Guess):
    """Another program's guess, of which the cost is known."""

    def run(self, inputs: int) -> Outcome:
        return Outcome(result=inputs, cost=Cost(wall_s=2.5, cpu_s=2.0, peak_gb=0.1), calls="oracle --please")


def case(number: int, loaded: list[int]) -> Case | LeftOut:
    if number == 13:
        return LeftOut(n=1, scan="13", why="13: bad luck")

    def load() -> int:
        loaded.append(number)
        return number

    facts = {"parity": "odd" if number % 2 else "even", "number": number}
    kind = "simulated" if number < 0 else "real"
    group = "large" if abs(number) > 9 else "small"
    return Case(
        name=f"n{number}", digest=str(number), scan=f"s{number}", group=group, kind=kind, load=load, facts=facts
    )


def judge_module(loaded: list[int]) -> ModuleType:
    """What tasks/toy/judge/__init__.py would hold."""
    module = ModuleType("spinecho.tasks.toy.judge")
    guesses = {"near": Guess("near", 0.5), "far": Guess("far", 2.0), "knows": Timed("knows", 0.0, True)}

    def cases(options: Options, device: object) -> Cases:
        return Cases(total=len(options.numbers), each=(case(n, loaded) for n in options.numbers))

    vars(module).update(
        Options=Options,
        MEASURES=(
            Measure(name="error", title="error", unit="apples", digits=1, better=-1),
            Measure(name="never", title="nobody has this", better=1),
            Measure(name="square", title="squared", digits=None, better=-1, summary="worst"),
        ),
        JUDGED="Error: how far the guess is from the number",
        POOLED=True,
        cases=cases,
        contender=guesses.get,
        judge=lambda truth, out: {"error": abs(out.result - truth), "square": (out.result - truth) ** 2},
        remarks=lambda rows: [f"{len({r.scan for r in rows})} numbers."],
    )
    return module


def add_task(monkeypatch: pytest.MonkeyPatch, folder: Path) -> list[int]:
    """Make `toy` a task beside the others, without a file of the evaluator's; the numbers that are loaded."""
    (folder / "toy" / "methods").mkdir(parents=True)
    (folder / "toy" / "task.py").write_text("")
    task = ModuleType("spinecho.tasks.toy.task")
    vars(task).update(WHAT="guessing", DEFAULT="near")
    loaded: list[int] = []
    package = ModuleType("spinecho.tasks.toy")
    for module in (package, task, judge_module(loaded)):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(registry, "TASKS", folder)
    return loaded


def row(method: str, i: int, *, case: str = "", **figures: float) -> Row:
    """A row of a table that is written by hand."""
    name = case or f"p{i}"
    named = {"key": f"{method}{name}", "task": "toy", "case": name, "scan": f"s{i}", "group": "ixi", "kind": ""}
    return Row(**named, method=method, figures=figures)
