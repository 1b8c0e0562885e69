"""Make the unbiased template of a cohort: every image registered to their common mean, round by round."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from spinecho.core.errors import DataError
from spinecho.core.job import Job
from spinecho.core.names import told_apart
from spinecho.core.option import OUTPUTS, Option
from spinecho.io.catalogue import check_suffix
from spinecho.io.outputs import check_inputs, check_outputs, check_series, stem_of

if TYPE_CHECKING:
    from spinecho.core.image import Image
    from spinecho.tasks.register.cohort.groupwise import Cohort, Round, TemplatePlan


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """The command's arguments."""

    images: Annotated[tuple[Path, ...], Option(positional=True, metavar="IMAGE IMAGE [IMAGE ...]")]
    """the cohort: at least two volumes of one contrast, any orientation, spacing and size"""
    output: Annotated[tuple[Path, ...], OUTPUTS] = ()
    """where the template goes; the suffix names the format, and -o may be given several times. Finished work waits in
    OUTPUT.partial/, and the same command continues an interrupted run"""
    series: str | None = None
    """of DICOM folders with several series: the number, UID or a part of the description; for all images"""
    volume: int | None = None
    """of a series, the volume that is taken, counted from 0; images that are one volume stay as they are"""
    transforms: Path | None = None
    """folder for the transform of each image, from the template to it: NAME.h5, and NAME_inverse.h5"""
    rounds: int = 4
    """rounds of registering everybody to the template and moving it to the middle, after a linear one"""
    average: Literal["robust", "mean", "median"] = "robust"
    """how the intensities are averaged: robust leaves out a fifth at either end"""
    spacing_mm: float | None = None
    """of the template's voxels (default: the median of the images' finest)"""
    method: str = "hybrid"
    """pairwise registration method (spinecho list). Its settings: --method NAME --help"""
    workers: int = 0
    """processes on this machine that register at the same time and share its processors (needs Dask)"""
    scheduler: str = ""
    """address of a Dask scheduler whose workers see the same files: tcp://host:8786"""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """where to compute; auto takes the GPU where there is one"""
    threads: int | None = None
    """processor threads of this process (default: all); workers share the processors evenly"""
    debug: bool = False
    """show where an error comes from"""


def check(args: Arguments, job: Job) -> None:
    """Refuse what cannot be read or written, before the work is done."""
    if len(args.images) < 2:
        raise DataError(f"{len(args.images)} images are given", do="a template is made of at least two")
    if not args.output:
        raise DataError("there is no output", do="say where the template goes: -o template.nii.gz")
    check_inputs(args.images)
    check_series(args.images, args.series)
    for path in args.images:
        if path.is_dir():
            _check_folder(path, args.series)
    seen: dict[Path, Path] = {}
    for path in args.images:
        if path.resolve() in seen:
            raise DataError("the image is given twice", do="give each subject once", file=path)
        seen[path.resolve()] = path
    for path in args.output:
        check_suffix(path, "image")
    check_outputs(args.output, args.images)
    folder = args.transforms
    if folder is not None and folder.exists() and not folder.is_dir():
        raise DataError("it is a file, but a folder is needed", do="choose another name", file=folder)


def _check_folder(path: Path, series: str | None) -> None:
    """Refuse a DICOM folder of which nothing says which series is meant, before work is kept under these images."""
    from spinecho.io.dicom.files import series_headers
    from spinecho.io.guard import one_error

    with one_error(path):
        series_headers(path, series)


def names_of(images: Sequence[Path]) -> list[str]:
    """A name for each subject: its file's, with the folders' in front where that would not tell its transforms apart,
    and else with its number."""
    places, stems = [path.resolve() for path in images], [stem_of(path) for path in images]
    shared = min(len(p.parts) for p in places) - 1
    while any(p.parts[:shared] != places[0].parts[:shared] for p in places):
        shared -= 1
    with_folders = ["_".join((*p.parts[shared:-1], stem)) for p, stem in zip(places, stems, strict=True)]
    whole = ["_".join(p.parts[shared:]) for p in places]  # head.nii.gz beside head.mgz
    numbered = [f"{i}_{stem}" for i, stem in enumerate(stems, 1)]  # a_b/c.mgz beside a/b_c.mgz
    return next((names for names in (stems, with_folders, whole) if _files_differ(names)), numbered)


def _files_differ(names: Sequence[str]) -> bool:
    """Whether NAME.h5 and NAME_inverse.h5 are different files for all."""
    return len({f"{name}{end}" for name in names for end in ("", "_inverse")}) == 2 * len(names)


def plan_of(args: Arguments, job: Job) -> TemplatePlan:
    """What the library needs to know."""
    from spinecho.tasks.register.cohort.groupwise import TemplatePlan

    said = {name: getattr(args, name) for name in ("method", "rounds", "average", "device")}
    return TemplatePlan(settings=job.settings, spacing_mm=0.0 if args.spacing_mm is None else args.spacing_mm, **said)


def run(args: Arguments, job: Job) -> None:
    """Make the template, write it and the transforms; what was kept meanwhile is removed last."""
    from spinecho.core.header import Header
    from spinecho.io.describe import written
    from spinecho.io.volume import UNKNOWN_ORIENTATION
    from spinecho.io.write import write
    from spinecho.methods.crew import crew
    from spinecho.methods.unfinished import partial_folder
    from spinecho.tasks.register.cohort.groupwise import groupwise

    images = sorted(args.images)  # so that no order of the arguments changes a bit
    folder = partial_folder(args.output[0])
    job.console.say(
        f"{len(images)} images; {'continued: ' if folder.exists() else ''}finished work waits in {folder.name}/"
    )
    begin = time.perf_counter()

    def told(done: Round) -> None:
        what = f"round {done.number} of {args.rounds}" if done.number else "linear round"
        seconds = time.perf_counter() - begin
        place = f"the template was {done.moved_mm:.2f} mm from the middle"
        job.console.say(f"  {what}: {place}, correlation with it {done.likeness:.4f} ({seconds:.0f} s)")

    try:
        with crew(args.workers, args.scheduler) as workers, job.console.progress(args.method) as bar:
            cohort = groupwise(_subjects(args, images), folder, plan_of(args, job), crew=workers, tell=bar, told=told)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("finished work is kept, the same command continues") from None
    steps = f"template of {len(images)} images by {args.method}, {args.rounds} rounds, {args.average} average"
    flags = () if cohort.template.geometry.oriented else (UNKNOWN_ORIENTATION,)
    template = replace(cohort.template, header=Header(history=(steps,), flags=flags))
    for path in args.output:
        job.console.say(written(write(template, path)))
    if args.transforms is not None:
        job.console.say(_write_transforms(args.transforms, images, cohort, args.series))
    for i, warning in cohort.warnings:
        job.console.warn(f"{told_apart(images)[i]}: {warning}")
    cohort.files.remove()
    job.console.say(f"{time.perf_counter() - begin:.2f} s in all")


def _subjects(args: Arguments, files: Sequence[Path]) -> Sequence[Path | Image]:
    """The files, or with --volume and --series what is taken from them."""
    from spinecho.io.one_volume import chosen
    from spinecho.io.read import read_image

    if args.volume is not None:
        return chosen([read_image(path, args.series) for path in files], files, args.volume)
    return [read_image(path, args.series) if args.series and path.is_dir() else path for path in files]


def _write_transforms(folder: Path, images: Sequence[Path], cohort: Cohort, series: str | None) -> str:
    """From the template to each image, and back."""
    from spinecho.io.read import read_image
    from spinecho.io.transform.files import write_both

    folder.mkdir(parents=True, exist_ok=True)
    for i, (path, name) in enumerate(zip(images, names_of(images), strict=True)):
        end = read_image(path, series).geometry
        write_both(cohort.transform(i), folder / f"{name}.h5", cohort.template.geometry, end)
    return f"wrote the transforms from the template to {len(images)} images, and back, in {folder}"
