"""Reconstruct a scan: raw samples in, images out."""

from __future__ import annotations

import shlex
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from spinecho.cli.parse import Writing, method_settings, parse, value_of, with_settings
from spinecho.cli.progress import progress
from spinecho.core.errors import DataError, DoubtfulResult
from spinecho.io.atomic import check_place
from spinecho.io.catalogue import check_suffix
from spinecho.io.guard import WORKER
from spinecho.io.limits import human, peak_memory
from spinecho.io.options import ReadOptions

DOUBTFUL = 3
"""Exit code of --strict where the result may be wrong."""

if TYPE_CHECKING:
    from spinecho.core.image import Image
    from spinecho.core.kspace import KSpace
    from spinecho.evaluate.case import Result
    from spinecho.methods.stream import Plan


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """What a person says."""

    scan: Annotated[Path, tyro.conf.Positional]
    """raw data: MRD, fastMRI, twix, cfl, or an array"""
    output: Annotated[tuple[Path, ...], tyro.conf.arg(aliases=("-o",)), tyro.conf.UseAppendAction]
    """where the image goes; the suffix names the format, and -o may be given several times"""
    method: str = "auto"
    """reconstruction method (spinecho list); auto looks at the scan. Its settings: --method NAME --help"""
    weights: Path | None = None
    """trained weights for a learned method (default: those in the package; with them, --method may be left out)"""
    report: Path | None = None
    """write a page with pictures, sampling, maps, timing and settings (.html)"""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """where to compute; auto takes the GPU where there is one"""
    threads: int | None = None
    """processor threads (default: all)"""
    at_once: int | None = None
    """slices in memory at once (default: up to 8, as memory allows)"""
    strict: bool = False
    """fail where a warning says that the result may be wrong; the outputs are written all the same, to be looked at"""
    debug: bool = False
    """show where an error comes from"""
    read: Annotated[ReadOptions, tyro.conf.arg(name="")] = field(default_factory=ReadOptions)
    write: Annotated[Writing, tyro.conf.arg(name="")] = field(default_factory=Writing)


def run(arguments: Sequence[str]) -> int:
    """Parse, check the outputs, then read, reconstruct, write, and say what was done."""
    begin = time.perf_counter()
    kind = Arguments
    if method := value_of("--method", arguments, "") or _method_of(value_of("--weights", arguments, "")):
        kind = _with_options_of(method, value_of("--weights", arguments, ""))
    args = parse(kind, "recon", __doc__ or "", arguments)
    if args.weights is not None and args.method == "auto":
        args = replace(args, method=_method_of(str(args.weights)))
    check_outputs(args)
    WORKER.start()  # it starts while torch is imported
    image = work(args, begin, shlex.join(["spinecho", "recon", *arguments]))
    return DOUBTFUL if args.strict and is_doubtful(args, image) else 0


def is_doubtful(args: Arguments, image: Image) -> bool:
    """Whether the image carries warnings, and then (for --strict) says so as an error."""
    n = len(image.header.warnings)
    if n:
        written = ", ".join(str(path) for path in args.output) or str(args.report)
        warned = "a warning says" if n == 1 else f"{n} warnings say"
        print(
            f"error: {warned} that the result may be wrong, and --strict was given -> look at {written}, which was "
            "written all the same; without --strict this is no error",
            file=sys.stderr,
        )
    return n > 0


def _method_of(weights: str) -> str:
    """The method that a weights file is for; "" without a file."""
    if not weights:
        return ""
    from spinecho.methods.pretrained import method_of

    return method_of(Path(weights))


def _with_options_of(method: str, weights: str) -> type[Arguments]:
    """The arguments with the method's settings; of a learned method those that suit trained weights."""
    from spinecho.methods import registry

    offer = registry.offer(method)
    module = registry.load("recon", offer.method)
    file = weights or offer.weights
    if not offer.learned or not file:
        return with_settings(Arguments, module.Config)
    from spinecho.methods.pretrained import trained_config

    return with_settings(Arguments, module.Config, trained_config(file), module.Method.tunable)


def check_outputs(args: Arguments) -> None:
    """Refuse what cannot be written, and a method without its weights, before the work is done."""
    from spinecho.methods import registry

    offer = registry.offer(args.method)
    if offer.learned and args.weights is None:
        offer.trained()
    if not args.output and args.report is None:
        raise DataError("there is no output", do="say where the image goes: -o brain.nii.gz")
    if not args.scan.exists():
        raise DataError("there is no such file", do="check the path", file=args.scan)
    for path in args.output:
        check_suffix(path, "image")
    for path in (*args.output, *([args.report] if args.report else [])):
        if path.exists() and path.samefile(args.scan):
            raise DataError("it is the input itself", do="choose another name for the output", file=path)
        check_place(path)


def check_images(args: Arguments, scan: KSpace) -> None:
    """Refuse, now that the scan is known, what could not be written after the reconstruction."""
    from spinecho.io.write import check_image_output

    for path in args.output:
        check_image_output(path, scan.geometries[0].oriented, args.write)


def work(args: Arguments, begin: float, command: str) -> Image:
    """The reconstruction; `begin` is when the command started (time.perf_counter), `command` goes into the report."""
    import torch

    from spinecho.methods import device as devices
    from spinecho.methods.stream import plan

    if args.threads is not None:
        torch.set_num_threads(args.threads)
    device = devices.choose(args.device)
    how = plan(args.scan, args.read, args.at_once)
    reconstruct = slice_by_slice if how.is_streamed else in_one_step
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DoubtfulResult)  # the history has them, and `finish` prints it
        return reconstruct(args, how, device, begin, command)


def in_one_step(args: Arguments, how: Plan, device: Any, begin: float, command: str) -> Image:
    """All slices together."""
    import torch

    from spinecho.methods.device import image_to, scan_to
    from spinecho.methods.reconstruct import recon
    from spinecho.methods.stream import load

    scan = load(args.scan, args.read, device)
    begin_with(args, scan)
    check_images(args, scan)
    with progress(args.method):
        start = time.perf_counter()
        image = image_to(recon(scan, args.method, **settings_of(args)), torch.device("cpu"))
        seconds = time.perf_counter() - start
    scan = scan_to(scan, torch.device("cpu"))
    finish(args, scan, image, scan.target, seconds, begin, command)
    return image


def slice_by_slice(args: Arguments, how: Plan, device: Any, begin: float, command: str) -> Image:
    """Some slices at once; finished ones wait on the disk until all outputs are written."""
    import torch

    from spinecho.methods.partial import Finished, partial_folder
    from spinecho.methods.stream import collect, load, stream

    folder = partial_folder(args.output[0] if args.output else args.report or Path("recon"))
    middle = how.first + how.n_slices // 2
    scan = load(args.scan, replace(args.read, slices=(middle, middle + 1)), torch.device("cpu"))
    begin_with(args, scan, how.n_slices)
    check_images(args, scan)
    print(
        f"{how.per_step} slices at once: at most about {human(how.peak_bytes)} of memory; "
        f"finished slices wait in {folder.name}/"
    )
    start, done = time.perf_counter(), 0
    try:
        with progress(args.method) as tell:
            for state in stream(args.scan, args.read, args.method, settings_of(args), folder, how, device):
                if state.resumed and state.done == state.resumed:
                    print(f"continued: {state.resumed} of {state.total} slices were finished before")
                done = state.done
                tell(done, state.total)
    except KeyboardInterrupt:
        again = "the same command continues"
        raise KeyboardInterrupt(f"{done} of {how.n_slices} slices are finished, {again}") from None
    image, target = collect(folder, how)
    shown, shown_target = Finished(folder, how.last).image(middle, middle + 1)
    scan = replace(scan, target=shown_target)
    finish(args, scan, image, target, time.perf_counter() - start, begin, command, shown)
    Finished(folder, how.last).remove()
    print(f"memory used at most: {human(peak_memory())}")
    return image


def finish(
    args: Arguments,
    scan: KSpace,
    image: Image,
    target: Any,
    seconds: float,
    begin: float,
    command: str,
    shown: Image | None = None,
) -> None:
    """Write the outputs, score against the truth, write the report, and say so.

    `scan` and `shown` are what the report shows: everything, or one slice of a scan that was gone through in steps.
    """
    from spinecho.cli.describe import written
    from spinecho.evaluate.case import Result, score_image
    from spinecho.io.write import write

    for step in image.header.history:
        print(f"  {step}")
    for warning in image.header.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    for path in args.output:
        print(written(write(image, path, replace(args.write, input_axes=args.read.axes))))
    scores = score_image(replace(scan, target=target), image) if target is not None else None
    if scores is not None:
        against = "the full scan" if args.read.simulate_mask else "the file's own truth"
        print(f"against {against}: {', '.join(f'{k} {v:.4g}' for k, v in asdict(scores).items())}")
    if args.report is not None:
        settings = settings_of(args)
        result = Result(method=args.method, image=shown or image, seconds=seconds, settings=settings, scores=scores)
        _report(args.report, args.scan.name, scan, result, command)
    print(f"{seconds:.2f} s for the reconstruction, {time.perf_counter() - begin:.2f} s in all")


def _report(path: Path, title: str, scan: KSpace, result: Result, command: str) -> None:
    from spinecho.evaluate.case import Case
    from spinecho.evaluate.report import write_report

    write_report(path, [Case(title=title, kspace=scan, results=(result,))], command)
    print(f"wrote {path}")


def settings_of(args: Arguments) -> dict[str, Any]:
    """The method's settings as given (defaults included), and the weights; none without --method."""
    given = method_settings(args)
    return given if args.weights is None else {**given, "weights": args.weights}


def begin_with(args: Arguments, scan: KSpace, n_slices: int | None = None) -> None:
    """One line on what was read; outputs that such a scan cannot have are refused before the work.

    `n_slices` is given where the scan is only one of that many slices.
    """
    from spinecho.cli.describe import one_line
    from spinecho.io.write import check_image_output

    print(f"read {one_line(scan, n_slices)}")
    oriented = all(g.oriented for g in scan.geometries)
    for path in args.output:
        check_image_output(path, oriented, args.write)
