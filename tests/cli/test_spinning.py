"""How long a command's waiting threads spin before they sleep, as the OpenMP library says itself."""

import os
import subprocess
import sys

import pytest

from spinecho.cli.spinning import FEW_TURNS, spin_little

COMMAND = "import sys; sys.argv = ['spinecho', 'list']; from spinecho.cli import main; main(); import torch"


def test_waiting_threads_of_a_command_spin_little():
    assert read_by_openmp({}) == str(FEW_TURNS)


def test_what_the_user_has_set_stands():
    assert read_by_openmp({"GOMP_SPINCOUNT": "77"}) == "77"


@pytest.mark.parametrize("name", ["GOMP_SPINCOUNT", "OMP_WAIT_POLICY"])
def test_either_variable_of_the_user_is_respected(name):
    environment = {name: "active"}
    spin_little(environment)
    assert environment == {name: "active"}


def test_a_call_from_python_leaves_the_environment_alone(capsys):
    from spinecho.cli import main

    before = dict(os.environ)
    assert main(["--version"]) == 0
    assert dict(os.environ) == before


def read_by_openmp(settings):
    """The number of turns that libgomp read when torch was loaded after a command."""
    inherited = {k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    environment = inherited | {"OMP_DISPLAY_ENV": "VERBOSE"} | settings
    done = subprocess.run([sys.executable, "-c", COMMAND], env=environment, capture_output=True, text=True, check=True)
    told = [line.split("'")[1] for line in done.stderr.splitlines() if "GOMP_SPINCOUNT" in line]
    if not told:
        pytest.skip("torch has another OpenMP library than libgomp here")
    return told[0]
