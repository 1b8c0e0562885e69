"""The command of every task that turns an image into an image, made from its `task.py`.

Such a task offers `Inputs`, a dataclass of what a person says beside the image and the method, and
`run(image, inputs, method, settings)`, with `bar` besides where it tells how far it is. A task with a command of its
own name under `commands/` is run by that instead.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, make_dataclass, replace
from inspect import signature
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal

from spinecho.core.errors import DataError
from spinecho.core.job import Job
from spinecho.core.option import INLINE, OUTPUTS, POSITIONAL
from spinecho.io.catalogue import check_suffix
from spinecho.io.options import WriteOptions
from spinecho.io.outputs import check_inputs, check_outputs, check_series, on_grid


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """What a person says to all of them."""

    image: Annotated[Path, POSITIONAL]
    """NIfTI, mgz, a DICOM series, ..., of any orientation, spacing and size; series volume by volume"""
    output: Annotated[tuple[Path, ...], OUTPUTS] = ()
    """where the image goes; the suffix names the format, and -o may be given several times"""
    series: str | None = None
    """of a DICOM folder with several series: the number, UID or a part of the description"""
    weights: Path | None = None
    """trained weights for a learned method (default: those in the package; with them, --method may be left out)"""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """where to compute; auto takes the GPU where there is one"""
    threads: int | None = None
    """processor threads (default: all)"""
    debug: bool = False
    """show where an error comes from"""
    write: Annotated[WriteOptions, INLINE] = field(default_factory=WriteOptions)


def command(task: ModuleType) -> ModuleType:
    """The task's command, for the frame."""
    module = ModuleType(f"{task.__name__}.command", task.__doc__)
    own: list[Any] = [
        ("method", str, field(default=task.DEFAULT)),
        ("inputs", Annotated[task.Inputs, INLINE], field(default_factory=task.Inputs)),
    ]
    vars(module).update(
        Arguments=make_dataclass("Arguments", own, bases=(Arguments,), frozen=True, kw_only=True),
        check=check,
        run=lambda args, job: run(task, args, job),
    )
    return module


def check(args: Any, job: Job) -> None:
    """Refuse what cannot be read or written before the work is done."""
    if not args.output:
        raise DataError("there is no output", do="say where the image goes: -o out.nii.gz")
    check_inputs([args.image])
    check_series([args.image], args.series)
    for path in args.output:
        check_suffix(path, "image")
    check_outputs(args.output, [args.image])


def run(task: ModuleType, args: Any, job: Job) -> None:
    """Read, work, write, and say what was done."""
    from spinecho.core import device as devices
    from spinecho.io.describe import one_line, tell_history, written
    from spinecho.io.read import read_image
    from spinecho.io.write import check_image_output, write

    image = read_image(args.image, args.series)
    job.console.say(f"read {one_line(image)}")
    for path in args.output:
        check_image_output(path, image.geometry.oriented, args.write)
    before = len(image.header.history)
    with job.console.progress(job.method) as bar:
        start = time.perf_counter()
        told = {"bar": bar} if "bar" in signature(task.run).parameters else {}
        made = task.run(image.to(devices.choose(args.device)), args.inputs, job.method, job.settings, **told).to("cpu")
        seconds = time.perf_counter() - start
    tell_history(replace(made.header, history=made.header.history[before:]), job.console)
    for path in args.output:
        job.console.say(written(write(made, path, on_grid(args.write, args.image, made))))
    job.console.say(f"{seconds:.2f} s for the work, {time.perf_counter() - job.began:.2f} s in all")
