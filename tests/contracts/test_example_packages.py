"""Every task with learned methods offers examples that the one training understands, and options of its own."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import MISSING, fields, is_dataclass

import pytest

from spinecho.cli import main
from spinecho.cli.commands import train
from spinecho.methods import registry
from spinecho.train.settings import Settings
from spinecho.train.supply import ExamplePackage, examples_of, trainable

TASKS = sorted({task for task, _ in trainable()})


def test_whatever_is_learned_can_be_trained():
    assert trainable() == registry.learned()


@pytest.mark.parametrize("task", TASKS)
def test_a_package_is_what_the_training_asks_for(task):
    package = examples_of(task)
    assert isinstance(package, ExamplePackage) and is_dataclass(package.Options)
    assert all(f.default is not MISSING or f.default_factory is not MISSING for f in fields(package.Options))
    assert package.USE.startswith("spinecho ")


def test_no_package_needs_torch_to_say_its_options():
    code = f"import sys; from spinecho.train.supply import examples_of; [examples_of(t) for t in {TASKS}]; "
    code += "print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


@pytest.mark.parametrize(("task", "name"), trainable())
def test_no_two_options_have_one_name(task, name, capsys):
    kinds = (train.Arguments, Settings, examples_of(task).Options, registry.load(task, name).Config)
    names = [f.name for kind in kinds for f in fields(kind)]
    assert len(set(names)) == len(names)
    assert main(["train", f"{task}/{name}", "--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"--{f.name.replace('_', '-')}" in shown for f in fields(examples_of(task).Options))
