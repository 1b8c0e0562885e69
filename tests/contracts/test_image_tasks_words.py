"""What the task.py of every image task says to people, and that its command takes it: names, help, maps, progress."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from inspect import signature

import pytest
from image_files import TASKS, default, head, inputs

from spinecho.cli import image_command, main
from spinecho.cli.image_work import worked
from spinecho.core.errors import DataError
from spinecho.core.header import WARNING
from spinecho.io.options import WriteOptions
from spinecho.methods import registry

tasks = pytest.mark.parametrize("task", TASKS)


@tasks
def test_inputs_have_names_and_help_of_their_own(task):
    module = registry.task_named(task)
    assert is_dataclass(module.Inputs) and module.Inputs.__doc__
    own = {f.name for f in fields(module.Inputs)}
    taken = {f.name for kind in (image_command.Arguments, WriteOptions) for f in fields(kind)} | {"method", "inputs"}
    assert not own & taken, "the command has options of these names itself"
    assert module.Inputs() == module.Inputs(), "everything may be left out"


@tasks
def test_settings_do_not_hide_behind_inputs(task):
    module = registry.task_named(task)
    own = {f.name for f in fields(module.Inputs)}
    for name in registry.names(task):
        settings = {f.name for f in fields(registry.load(task, name).Config)}
        assert not own & settings, f"{name} has settings that the task asks for as well"


@tasks
def test_run_takes_what_the_command_gives(task):
    module = registry.task_named(task)
    names = list(signature(module.run).parameters)
    assert names[:4] == ["image", "inputs", "method", "settings"] and set(names[4:]) <= {"tell"}
    for words in (getattr(module, "MAPS", {}), getattr(module, "NAMES", {})):
        assert isinstance(words if isinstance(words, Mapping) else words(), Mapping)


@tasks
def test_help_names_the_shared_options(task, capsys):
    assert main([task, "--method", default(task), "--help"]) == 0
    said = capsys.readouterr().out
    for option in ("--report PATH", "--truth PATH", "--labels", "--maps", "--like PATH", "--output"):
        assert option in said
    assert "--done" not in said and "--grid-of" not in said


@tasks
def test_progress_ends_with_all_of_it(task):
    told: list[tuple[int, int]] = []
    module = registry.task_named(task)
    try:
        worked(module, head(), inputs(task), default(task), {}, lambda done, total: told.append((done, total)))
    except DataError as error:
        pytest.skip(str(error))
    assert ("tell" in signature(module.run).parameters) == bool(told)
    if told:
        assert told == sorted(told) and told[-1][0] == told[-1][1]


@tasks
def test_maps_have_words_and_lie_on_the_grid_or_are_no_maps(task):
    module = registry.task_named(task)
    try:
        made = worked(module, head(), inputs(task), default(task), {})
    except DataError as error:
        pytest.skip(str(error))
    assert set(getattr(module, "MAPS", {})) >= set(made.extras) or not hasattr(module, "MAPS")
    assert not any(step.startswith(WARNING) and step.endswith(".") for step in made.header.history)


@tasks
def test_without_an_output_or_with_a_wrong_one_nothing_is_read(task, capsys, tmp_path):
    (tmp_path / "in.nii").write_bytes(b"not read")
    for words, told in (
        ([], "there is no output -> say where the image goes: -o out.nii.gz"),
        (["-o", tmp_path / "out.docx"], "no writer for image files called '.docx'"),
        (["-o", tmp_path / "no" / "out.nii"], f"the folder {tmp_path}/no does not exist"),
        (["-o", tmp_path / "out.nii", "--series", "3"], "--series does not apply: no input is a DICOM folder"),
        (["-o", tmp_path / "out.nii", "--truth", tmp_path / "t.nii"], "t.nii: there is no such file"),
        (["-o", tmp_path / "out.nii", "--report", tmp_path / "out.nii"], "ends in .html"),
    ):
        assert main([task, str(tmp_path / "in.nii"), *map(str, words), "--method", default(task)]) == 2
        assert told in capsys.readouterr().err
