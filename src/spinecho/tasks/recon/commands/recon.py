"""Reconstruct a scan: raw samples in, images out."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from spinecho.core.door import check_present
from spinecho.core.errors import DataError, DoubtfulResult, setting
from spinecho.core.job import Job
from spinecho.core.option import INLINE, OUTPUTS, POSITIONAL
from spinecho.io.catalogue import check_suffix
from spinecho.io.guard import WORKER
from spinecho.io.limits import human, peak_memory
from spinecho.io.options import ReadOptions, WriteOptions, named_files
from spinecho.io.outputs import check_name, check_outputs

if TYPE_CHECKING:
    from spinecho.core.image import Image
    from spinecho.core.kspace import KSpace
    from spinecho.tasks.recon.judge.case import Result
    from spinecho.tasks.recon.stream import SlicePlan


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """The command's arguments."""

    scan: Annotated[Path, POSITIONAL]
    """raw data: MRD, fastMRI, twix, cfl, or an array"""
    output: Annotated[tuple[Path, ...], OUTPUTS]
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
    read: Annotated[ReadOptions, INLINE] = field(default_factory=ReadOptions)
    write: Annotated[WriteOptions, INLINE] = field(default_factory=WriteOptions)


DOUBTFUL = 3
"""Exit code of --strict where the result may be wrong."""
LESS_MEMORY = "read a part (--slices START STOP), or use --device cpu"


def run(args: Arguments, job: Job) -> int:
    """Read, reconstruct, write, and say what was done; the exit code."""
    from spinecho.core import device as devices
    from spinecho.tasks.recon.stream import plan

    device = devices.choose(args.device)
    how = plan(args.scan, args.read, args.at_once)
    reconstruct = slice_by_slice if how.is_streamed else in_one_step
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DoubtfulResult)  # the history has them, and `finish` says it
        image = reconstruct(args, job, how, device)
    return DOUBTFUL if args.strict and is_doubtful(args, job, image) else 0


def is_doubtful(args: Arguments, job: Job, image: Image) -> bool:
    """Whether the image carries warnings, and then (for --strict) says so as an error."""
    n = len(image.header.warnings)
    if n:
        written = ", ".join(str(path) for path in args.output) or str(args.report)
        warned = "a warning says" if n == 1 else f"{n} warnings say"
        job.console.fail(
            f"{warned} that the result may be wrong, and --strict was given -> look at {written}, which was written "
            "all the same; without --strict this is no error"
        )
    return n > 0


def check(args: Arguments, job: Job) -> None:
    """Refuse what cannot be written, and a method without its weights, before the work is done."""
    from spinecho.io.cfl_file import full_name
    from spinecho.methods import registry

    offer = registry.offer("recon", job.method)
    if offer.learned and args.weights is None:
        offer.trained()
    if not args.output and args.report is None:
        raise DataError("there is no output", do="say where the image goes: -o brain.nii.gz")
    scan = full_name(args.scan)
    check_present(scan)
    for path in args.output:
        check_suffix(path, "image")
    if args.write.affine is not None and args.read.voxel_mm is not None:
        told = f"{setting('affine')} and {setting('voxel_mm')} both give voxel sizes"
        raise DataError(told, do=f"leave out {setting('voxel_mm')}")
    outputs = [*args.output, *([args.report] if args.report else [])]
    for path in outputs:
        if path.exists() and full_name(path).samefile(scan):
            raise DataError("it is the input itself", do="choose another name for the output", file=path)
    if args.report is not None:
        check_name(args.report, "report", ".html", ".htm")
    check_outputs(outputs, [scan, *named_files(args.read, args.write)])
    WORKER.start()  # it starts while torch is imported


def in_one_step(args: Arguments, job: Job, how: SlicePlan, device: Any) -> Image:
    """All slices together."""

    from spinecho.tasks.recon.run import recon
    from spinecho.tasks.recon.stream import load

    scan = load(args.scan, args.read, device)
    begin_with(args, job, scan)
    with job.console.progress(job.method) as tell:
        start = time.perf_counter()
        image = recon(scan, job.method, tell=tell, **job.settings).to("cpu")
        seconds = time.perf_counter() - start
    scan = scan.to("cpu")
    finish(args, job, scan, image, scan.target, seconds)
    return image


def slice_by_slice(args: Arguments, job: Job, how: SlicePlan, device: Any) -> Image:
    """Some slices at once; finished ones wait on the disk until all outputs are written."""
    import torch

    from spinecho.methods.unfinished import partial_folder
    from spinecho.tasks.recon.partial import Finished
    from spinecho.tasks.recon.stream import collect, load, stream

    folder = partial_folder(args.output[0] if args.output else args.report or Path("recon"))
    middle = how.first + how.n_slices // 2
    scan = load(args.scan, replace(args.read, slices=(middle, middle + 1)), torch.device("cpu"))
    begin_with(args, job, scan, how.n_slices)
    job.console.say(
        f"{how.per_step} slices at once: at most about {human(how.peak_bytes)} of memory; "
        f"finished slices wait in {folder.name}/"
    )
    start, done = time.perf_counter(), 0
    try:
        with job.console.progress(job.method) as tell:
            for state in stream(args.scan, args.read, job.method, job.settings, folder, how, device):
                if state.resumed and state.done == state.resumed:
                    job.console.say(f"continued: {state.resumed} of {state.total} slices were finished before")
                done = state.done
                tell(done, state.total)
    except KeyboardInterrupt:
        again = "the same command continues"
        raise KeyboardInterrupt(f"{done} of {how.n_slices} slices are finished, {again}") from None
    image, target = collect(folder, how)
    shown, shown_target = Finished(folder, how.last).image(middle, middle + 1)
    scan = replace(scan, target=shown_target)
    finish(args, job, scan, image, target, time.perf_counter() - start, shown)
    Finished(folder, how.last).remove()
    job.console.say(f"memory used at most: {human(peak_memory())}")
    return image


def finish(
    args: Arguments,
    job: Job,
    scan: KSpace,
    image: Image,
    target: Any,
    seconds: float,
    shown: Image | None = None,
) -> None:
    """Write the outputs, score against the truth, write the report, and say so.

    `scan` and `shown` are what the report shows: everything, or one slice of a scan that was gone through in steps.
    """
    from spinecho.io.describe import written
    from spinecho.io.write import write
    from spinecho.tasks.recon.judge.case import Result, score_image

    if args.write.keep_complex and not image.values.is_complex():
        told = f"{job.method} makes a magnitude: --keep-complex keeps nothing"
        image = replace(image, header=image.header.warned(told))
    for step in image.header.history:
        job.console.say(f"  {step}")
    for warning in image.header.warnings:
        job.console.warn(warning)
    for path in args.output:
        job.console.say(written(write(image, path, replace(args.write, input_axes=args.read.axes))))
    scores = score_image(replace(scan, target=target), image) if target is not None else None
    if scores is not None:
        against = "the full scan" if args.read.simulate_mask else "the file's own truth"
        job.console.say(f"against {against}: {', '.join(f'{k} {v:.4g}' for k, v in scores.named().items())}")
    if args.report is not None:
        made = shown or image
        named = made.header.by(job.method)
        result = Result(method=named, image=made, seconds=seconds, settings=job.settings, scores=scores)
        _report(args.report, job, args.scan.name, scan, result)
    job.console.say(f"{seconds:.2f} s for the reconstruction, {time.perf_counter() - job.began:.2f} s in all")


def _report(path: Path, job: Job, title: str, scan: KSpace, result: Result) -> None:
    from spinecho.tasks.recon.judge.case import Case
    from spinecho.tasks.recon.judge.report import write_report

    write_report(path, [Case(title=title, kspace=scan, results=(result,))], job.command)
    job.console.say(f"wrote {path}")


def begin_with(args: Arguments, job: Job, scan: KSpace, n_slices: int | None = None) -> None:
    """One line on what was read; outputs that such a scan cannot have are refused before the work.

    `n_slices` is given where the scan is only one of that many slices.
    """
    from spinecho.io.describe import one_line
    from spinecho.io.write import check_image_output

    job.console.say(f"read {one_line(scan, n_slices)}")
    oriented = all(g.oriented for g in scan.geometries)
    frames = n_slices or (scan.samples.shape[scan.axes.index("slice")] if "slice" in scan.axes else 1)
    for path in args.output:
        check_image_output(path, oriented, args.write, frames * scan.encoding.recon_matrix[0])
