"""The command of every task that turns an image into an image, made from its `task.py`.

Such a task offers `Inputs` and `run` (`core.task.ImageTask` says what each is). A task with a command of its own name
under `commands/` is run by that instead.
"""

from __future__ import annotations

import math
import time
from dataclasses import field, make_dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any

from spinecho.cli.image_arguments import Arguments, inputs_of, labels_of
from spinecho.core.errors import DataError
from spinecho.core.job import Job
from spinecho.core.option import INLINE
from spinecho.io.catalogue import check_suffix
from spinecho.io.outputs import check_inputs, check_name, check_outputs, check_series

if TYPE_CHECKING:
    from spinecho.core.image import Image


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
    inputs = inputs_of(args)
    check_inputs(inputs)
    check_series([args.image], args.series)
    for path in args.output:
        check_suffix(path, "image")
    if args.report is not None:
        check_name(args.report, "report", ".html", ".htm")
    for path in args.labels:
        if path.exists() and path.samefile(inputs[0]):
            raise DataError("it is the image itself", do="give the label map that belongs to it", file=path)
    check_outputs([*args.output, *([args.report] if args.report else []), *labels_of(args)], inputs)


def run(task: ModuleType, args: Any, job: Job) -> None:
    """Read, work, write, and say what was done."""
    from spinecho.cli.image_results import Results, write_results
    from spinecho.cli.image_work import worked
    from spinecho.core import device as devices
    from spinecho.evaluate.image_scores import check_truth
    from spinecho.io.describe import one_line, tell_history
    from spinecho.io.labels import read_labels
    from spinecho.io.read import read_image
    from spinecho.io.write import check_image_output

    image = read_image(args.image, args.series)
    job.console.say(f"read {one_line(image)}")
    for path in args.output:
        n = math.prod(image.values.shape[:-4]) * image.geometry.shape[0]
        check_image_output(path, image.geometry.oriented, args.write, n)
    truth = None if args.truth is None else read_image(args.truth)
    if truth is not None:
        check_truth(image, truth, args.truth)
    labels = [read_labels(path) for path in args.labels]
    _check_labels(image, args.labels, labels)
    before = len(image.header.history)
    with job.console.progress(job.method) as bar:
        start = time.perf_counter()
        on_device = image.to(devices.choose(args.device))
        made = worked(task, on_device, args.inputs, job.method, job.settings, bar, args.image).to("cpu")
        seconds = time.perf_counter() - start
    tell_history(replace(made.header, history=made.header.history[before:]), job.console)
    write_results(Results(task, args, job, image, made, labels, truth, seconds))
    job.console.say(f"{seconds:.2f} s for the work, {time.perf_counter() - job.began:.2f} s in all")


def _check_labels(image: Image, files: tuple[Path, ...], labels: list[Image]) -> None:
    """Refuse a copy of the image in the place of its labels."""
    for file, one in zip(files, labels, strict=True):
        if one.values.shape == image.values.shape and bool((one.values == image.values).all()):
            raise DataError(
                "it has the same content as the image", do="give the label map that belongs to it", file=file
            )
