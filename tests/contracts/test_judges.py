"""Every task that is judged keeps the protocol: measures that can lead a table, options with help, no torch yet."""

from __future__ import annotations

import ast
import subprocess
import sys
from dataclasses import fields, is_dataclass
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import pytest

from spinecho.cli.commands.evaluate import Arguments
from spinecho.evaluate.judge import Judge, Measure, judge_of
from spinecho.methods import registry

JUDGED = [name for name in registry.tasks() if (registry.TASKS / name / "judge" / "__init__.py").exists()]


@pytest.mark.parametrize("task", JUDGED)
def test_measures_and_words(task: str) -> None:
    judge = judge_of(task)
    assert isinstance(judge, Judge) and task == judge.TASK
    assert all(isinstance(m, Measure) for m in judge.MEASURES) and judge.MEASURES[0].better
    names = [m.name for m in judge.MEASURES]
    assert len(set(names)) == len(names)
    assert judge.JUDGED and not judge.JUDGED.endswith(".")
    assert judge.contender("no_word_of_this_task") is None


@pytest.mark.parametrize("task", JUDGED)
def test_options_are_told_and_do_not_change_what_those_of_all_tasks_are(task: str) -> None:
    options = judge_of(task).Options
    assert is_dataclass(options) and options.__doc__
    own, shared = ({f.name: f for f in fields(kind)} for kind in (options, Arguments))
    assert all(own[name].type == shared[name].type for name in own.keys() & shared), "only another default is allowed"
    source = ast.parse(Path(import_module(options.__module__).__file__ or "").read_text(encoding="utf-8"))
    body = next(n for n in source.body if isinstance(n, ast.ClassDef) and n.name == options.__name__).body
    for field, after in pairwise(body):
        if isinstance(field, ast.AnnAssign) and "INLINE" not in ast.unparse(field.annotation):
            assert isinstance(after, ast.Expr), f"{ast.unparse(field)} has no help"


@pytest.mark.parametrize("task", JUDGED)
def test_a_judge_is_there_without_torch(task: str) -> None:
    code = f"import sys; from spinecho.evaluate.judge import judge_of; judge_of({task!r})"
    subprocess.run([sys.executable, "-c", f"{code}; assert 'torch' not in sys.modules"], check=True)
