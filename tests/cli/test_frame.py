"""The frame of all commands, with commands of its own: options, checks, settings, exit codes, and what is said."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import numpy as np
import pytest
import torch

from spinecho import Image, read, write
from spinecho.cli import frame, image_command
from spinecho.cli.console import Terminal
from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.header import Header
from spinecho.core.job import Bar, Console, Job
from spinecho.core.option import POSITIONAL
from spinecho.methods import registry


@dataclass(frozen=True, kw_only=True)
class Plain:
    file: Annotated[Path, POSITIONAL]
    """what to read"""
    threads: int | None = None
    """processors"""


@dataclass(frozen=True, kw_only=True)
class WithMethod(Plain):
    method: str = "tv"
    """how"""


def command(arguments: type, returned: int | None = None, **parts: Any) -> tuple[ModuleType, list[tuple[Any, Job]]]:
    """A module as the frame takes it, and the calls of its `run`."""
    module, calls = ModuleType("a_command", "Does nothing."), []

    def run(args: Any, job: Job) -> int | None:
        calls.append((args, job))
        return returned

    vars(module).update(Arguments=arguments, run=run, **parts)
    return module, calls


@pytest.mark.parametrize(("returned", "code"), [(None, 0), (0, 0), (3, 3)])
def test_a_command_is_handed_its_arguments_and_a_job(returned, code):
    module, calls = command(Plain, returned)
    assert frame.run(module, "recon", "nothing", ["my scan.h5"]) == code
    ((args, job),) = calls
    assert args.file == Path("my scan.h5") and isinstance(args, Plain)
    assert job.command == "spinecho nothing 'my scan.h5'"  # can be typed again
    assert (job.method, dict(job.settings)) == ("", {}) and isinstance(job.console, Console)


def test_what_is_checked_is_checked_before_the_work():
    def check(args: Any, job: Job) -> None:
        raise DataError(f"{args.file} is no scan")

    module, calls = command(Plain, check=check)
    with pytest.raises(DataError, match=r"a\.h5 is no scan"):
        frame.run(module, "recon", "nothing", ["a.h5"])
    assert calls == []


def test_threads_are_set_for_the_work():
    module, _ = command(Plain)
    before = torch.get_num_threads()
    try:
        frame.run(module, "recon", "nothing", ["a.h5", "--threads", "2"])
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_settings_of_the_named_method_are_options_and_others_are_not(capsys):
    module, calls = command(WithMethod)
    frame.run(module, "recon", "nothing", ["a.h5", "--weight", "0.5"])
    frame.run(module, "recon", "nothing", ["a.h5", "--method", "cg_sense", "--n-iters", "3"])
    (_, first), (_, second) = calls
    assert first.method == "tv" and first.settings["weight"] == 0.5
    assert second.method == "cg_sense" and second.settings["n_iters"] == 3
    for job in (first, second):
        config = registry.load("recon", job.method).Config
        assert set(job.settings) == set(config.__dataclass_fields__)
    with pytest.raises(SystemExit):
        frame.run(module, "recon", "nothing", ["a.h5", "--method", "zero_filled", "--weight", "0.5"])
    assert "--weight" in capsys.readouterr().err


def test_a_method_that_is_not_there_is_answered_with_those_that_are():
    module, _ = command(WithMethod)
    with pytest.raises(DataError, match=r"there is no recon method 'magic' -> known are .*cg_sense"):
        frame.run(module, "recon", "nothing", ["a.h5", "--method", "magic"])
    with pytest.raises(DataError, match="there is no register method 'cg_sense'"):
        frame.run(module, "register", "nothing", ["a.h5", "--method", "cg_sense"])


def test_a_command_may_choose_the_method_from_its_words():
    def chosen(words: list[str], named: str) -> tuple[str, dict[str, Any]]:
        return ("cg_sense", {"n_iters": 77}) if named == "quick" else (named, {})

    module, calls = command(WithMethod, chosen=chosen)
    frame.run(module, "recon", "nothing", ["a.h5", "--method", "quick"])
    job = calls[0][1]
    assert job.method == "cg_sense" and job.settings["n_iters"] == 77


def test_weights_that_are_not_there_are_told_before_anything():
    assert frame.method_named("recon", ["--method", "tv", "--weights", "w.safetensors"]) == "tv"
    assert frame.method_named("recon", []) == ""
    with pytest.raises(DataError, match=r"there are no such weights"):
        frame.method_named("recon", ["--weights", "absent.safetensors"])


def test_the_terminal_says_what_was_done_and_warns_beside_it(capsys):
    terminal = Terminal()
    terminal.say("done")
    terminal.warn("look")
    terminal.fail("bad")
    with terminal.progress("work") as bar:
        assert isinstance(bar, Bar)
        bar(1, 2)
    shown = capsys.readouterr()
    assert shown.out == "done\n" and shown.err == "warning: look\nerror: bad\n"
    assert isinstance(terminal, Console)


@dataclass(frozen=True, kw_only=True)
class Inputs:
    gain: float = 2.0
    """what values are multiplied with"""


def brighten(image: Image, inputs: Inputs, method: str, settings: dict[str, Any]) -> Image:
    header = image.header.anew(f"times {inputs.gain:g} by {method}").warned("it is bright")
    return Image(values=image.values * inputs.gain, geometries=image.geometries, axes=image.axes, header=header)


@pytest.fixture
def brightening(monkeypatch) -> ModuleType:
    """A task with a command for nothing; its one method has no settings."""
    task = ModuleType("spinecho.tasks.brighten.task", "Makes images brighter.")
    vars(task).update(DEFAULT="plain", WHAT="brightness", Inputs=Inputs, run=brighten)
    offer = registry.Offer("plain", "plain", "", False, None, "brighten")
    monkeypatch.setattr(registry, "offer", lambda task, name: offer)
    monkeypatch.setattr(registry, "has_settings", lambda task, name: False)
    return image_command.command(task)


@pytest.fixture
def picture(tmp_path) -> Path:
    values = torch.arange(60.0).reshape(1, 3, 4, 5) / 7
    geometry = Geometry.from_frame((1.0, 2.0, 3.0), np.eye(3), (1.0, 1.5, 2.0), (3, 4, 5))
    write(Image(values=values, geometries=(geometry,), header=Header(history=("scanned",))), tmp_path / "in.nii")
    return tmp_path / "in.nii"


def test_a_task_of_images_has_a_command_for_nothing(brightening, picture, tmp_path, capsys):
    words = [str(picture), "--gain", "3", "-o", str(tmp_path / "a.nii.gz"), "-o", str(tmp_path / "b.npy")]
    assert frame.run(brightening, "brighten", "brighten", words) == 0
    before, after = read(picture), read(tmp_path / "a.nii.gz")
    torch.testing.assert_close(after.values, 3 * before.values)
    np.testing.assert_allclose(after.geometry.affine, before.geometry.affine)
    assert np.load(tmp_path / "b.npy").shape == (3, 4, 5)
    shown = capsys.readouterr()
    assert "warning: it is bright" in shown.err and "times 3 by plain" in shown.out
    assert "scanned" not in shown.out  # what had been done before is not told again
    assert str(tmp_path / "a.nii.gz") in shown.out and "s for the work" in shown.out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "there is no output -> say where the image goes"),
        (["-o", "out.docx"], "no writer for image files called"),
        (["-o", "{in}"], "it is an input"),
        (["-o", "{folder}/x/out.nii"], "does not exist"),
        (["-o", "{folder}/out.nii", "--series", "3"], "series does not apply"),
    ],
)
def test_what_a_task_cannot_read_or_write_is_refused_before_the_work(brightening, picture, tmp_path, words, told):
    there = set(tmp_path.iterdir())
    words = [w.format(**{"in": picture, "folder": tmp_path}) for w in words]
    with pytest.raises(DataError, match=told):
        frame.run(brightening, "brighten", "brighten", [str(picture), *words])
    assert set(tmp_path.iterdir()) == there


def test_an_image_that_is_absent_is_told_with_what_is_near(brightening, picture, tmp_path):
    with pytest.raises(DataError, match=r"near it lie in\.nii"):
        frame.run(brightening, "brighten", "brighten", [str(tmp_path / "in.nii.gz"), "-o", str(tmp_path / "o.nii")])


def test_what_a_task_asks_for_stands_in_its_help(brightening, capsys):
    with pytest.raises(SystemExit) as end:
        frame.run(brightening, "brighten", "brighten", ["--help"])
    shown = capsys.readouterr().out
    assert end.value.code == 0
    for word in ("Makes images brighter.", "--gain FLOAT", "--method", "--device {auto,cpu,cuda}", "-o"):
        assert word in shown
    assert "--grid-of" not in shown


def test_a_job_is_made_by_name_only():
    assert all(p.kind is p.KEYWORD_ONLY for p in inspect.signature(Job).parameters.values())
    job = Job(console=Terminal(), command="spinecho x", began=0.0, settings={})
    assert job.method == ""
