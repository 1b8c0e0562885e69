"""Make the unbiased template of a cohort: every image registered to their common mean, round by round."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from spinecho.cli.carry import check_inputs, check_outputs, stem_of
from spinecho.cli.parse import method_settings, parse_registration
from spinecho.cli.progress import progress
from spinecho.core.errors import DataError
from spinecho.io.catalogue import check_suffix

if TYPE_CHECKING:
    from spinecho.core.image import Image
    from spinecho.methods.groupwise import Cohort, Plan, Round


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """What a person says."""

    images: Annotated[
        tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="IMAGE IMAGE [IMAGE ...]", help_behavior_hint="")
    ]
    """the cohort: at least two volumes of one contrast, any orientation, spacing and size"""
    output: Annotated[tuple[Path, ...], tyro.conf.arg(aliases=("-o",)), tyro.conf.UseAppendAction] = ()
    """where the template goes; the suffix names the format, and -o may be given several times. Finished work waits in
    OUTPUT.partial/, and the same command continues an interrupted run"""
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


def run(arguments: Sequence[str]) -> int:
    """Parse, check the outputs, then register and average, write, and say what was done."""
    args = parse_registration(Arguments, "groupwise", __doc__ or "", arguments)
    check(args)
    work(args)
    return 0


def check(args: Arguments) -> None:
    """Refuse what cannot be read or written, before the work is done."""
    if len(args.images) < 2:
        raise DataError(f"{len(args.images)} images are given", do="a template is made of at least two")
    if not args.output:
        raise DataError("there is no output", do="say where the template goes: -o template.nii.gz")
    check_inputs(args.images)
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
        raise DataError("it is a file, a folder is wanted", do="choose another name", file=folder)


def names_of(images: Sequence[Path]) -> list[str]:
    """A name for each subject: its file's, with the folders' in front where that would not tell them apart."""
    stems = [stem_of(path) for path in images]
    if len(set(stems)) == len(stems):
        return stems
    places = [path.resolve() for path in images]
    shared = min(len(p.parts) for p in places) - 1
    while any(p.parts[:shared] != places[0].parts[:shared] for p in places):
        shared -= 1
    names = ["_".join((*p.parts[shared:-1], stem)) for p, stem in zip(places, stems, strict=True)]
    if len(set(names)) == len(names):
        return names
    return ["_".join(p.parts[shared:]) for p in places]  # head.nii.gz beside head.mgz


def plan_of(args: Arguments) -> Plan:
    """What the library needs to know."""
    from spinecho.methods.groupwise import Plan

    said = {name: getattr(args, name) for name in ("method", "rounds", "average", "device")}
    return Plan(settings=method_settings(args), spacing_mm=0.0 if args.spacing_mm is None else args.spacing_mm, **said)


def work(args: Arguments) -> None:
    """Make the template, write it and the transforms; what was kept meanwhile is removed last."""
    import torch

    from spinecho.cli.describe import written
    from spinecho.core.header import Header
    from spinecho.io.volume import UNKNOWN_ORIENTATION
    from spinecho.io.write import write
    from spinecho.methods.crew import crew
    from spinecho.methods.groupwise import groupwise
    from spinecho.methods.partial import partial_folder

    if args.threads is not None:
        torch.set_num_threads(args.threads)
    images = sorted(args.images)  # so that no order of the arguments changes a bit
    folder = partial_folder(args.output[0])
    print(f"{len(images)} images; {'continued: ' if folder.exists() else ''}finished work waits in {folder.name}/")
    begin = time.perf_counter()

    def told(done: Round) -> None:
        what = f"round {done.number} of {args.rounds}" if done.number else "linear round"
        seconds = time.perf_counter() - begin
        place = f"the template was {done.moved_mm:.2f} mm from the middle"
        print(f"  {what}: {place}, correlation with it {done.likeness:.4f} ({seconds:.0f} s)", flush=True)

    try:
        with crew(args.workers, args.scheduler) as workers, progress(args.method) as bar:
            cohort = groupwise(_subjects(args, images), folder, plan_of(args), crew=workers, tell=bar, told=told)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("finished work is kept, the same command continues") from None
    steps = f"template of {len(images)} images by {args.method}, {args.rounds} rounds, {args.average} average"
    flags = () if cohort.template.geometry.oriented else (UNKNOWN_ORIENTATION,)
    template = replace(cohort.template, header=Header(history=(steps,), flags=flags))
    for path in args.output:
        print(written(write(template, path)))
    if args.transforms is not None:
        _write_transforms(args.transforms, images, cohort)
    for i, warning in cohort.warnings:
        print(f"warning: {images[i].name}: {warning}", file=sys.stderr)
    cohort.files.remove()
    print(f"{time.perf_counter() - begin:.2f} s in all")


def _subjects(args: Arguments, files: Sequence[Path]) -> Sequence[Path | Image]:
    """The files, or with --volume what is taken from them."""
    if args.volume is None:
        return files
    from spinecho.io.one_volume import chosen
    from spinecho.methods.cohort_work import volume_of

    return chosen([volume_of(path) for path in files], files, args.volume)


def _write_transforms(folder: Path, images: Sequence[Path], cohort: Cohort) -> None:
    """From the template to each image, and back."""
    from spinecho.io.transform.files import write_both
    from spinecho.methods.cohort_work import volume_of

    folder.mkdir(parents=True, exist_ok=True)
    for i, (path, name) in enumerate(zip(images, names_of(images), strict=True)):
        write_both(cohort.transform(i), folder / f"{name}.h5", cohort.template.geometry, volume_of(path).geometry)
    print(f"wrote the transforms from the template to {len(images)} images, and back, in {folder}")
