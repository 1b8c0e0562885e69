"""Register two volumes: the moving image on the fixed image's grid, and the transform between them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from spinecho.core.errors import DataError
from spinecho.core.job import Job
from spinecho.core.option import OUTPUTS, POSITIONAL, REPEATED
from spinecho.io.catalogue import check_suffix
from spinecho.io.labels import read_labels
from spinecho.io.options import WriteOptions
from spinecho.io.outputs import beside, check_inputs, check_name, check_outputs, check_series, on_grid
from spinecho.tasks.register.carry import World, carried, move_points, place_doubts, tell_doubts, tell_values

if TYPE_CHECKING:
    from spinecho.core.image import Image
    from spinecho.tasks.register.run import Registration

SHORT = {"rigid": "rigid", "affine": "affine", "deformable": "hybrid"}
"""Flags that name a method."""


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """The command's arguments."""

    fixed: Annotated[Path, POSITIONAL]
    """the image that stays: NIfTI, mgz, a DICOM series, ..."""
    moving: Annotated[Path, POSITIONAL]
    """the image to be brought onto the fixed one's grid; any orientation, spacing, size and contrast"""
    output: Annotated[tuple[Path, ...], OUTPUTS] = ()
    """where the moved image goes; the suffix names the format, and -o may be given several times"""
    transform: Path | None = None
    """where the transform goes: t.h5 (ITK, as SimpleITK, ANTs and 3D Slicer read it), t_Warp.nii.gz; .tfm .txt .mat
    .csv for rigid and affine ones. The inverse is written beside it (t_inverse.h5)"""
    rigid: bool = False
    """rotation and translation only: --method rigid"""
    affine: bool = False
    """rotation, translation, scale and shear: --method affine"""
    deformable: bool = False
    """everything: --method hybrid, which is the default"""
    method: str = "hybrid"
    """registration method (spinecho list). Its settings: --method NAME --help"""
    weights: Path | None = None
    """trained weights for a learned method (default: those in the package; with them, --method may be left out)"""
    mask: Path | None = None
    """image in the fixed image's world: the images are compared where it is over 0"""
    volume: int | None = None
    """of a series, the volume that is taken, counted from 0; images that are one volume stay as they are"""
    labels: Annotated[tuple[Path, ...], REPEATED] = ()
    """label map of the moving image to carry along (nearest voxel, integers): seg.nii.gz becomes OUTPUT_seg.nii.gz;
    may be given several times"""
    points: Annotated[tuple[Path, ...], REPEATED] = ()
    """CSV with columns x,y,z in mm, LPS as ITK and ANTs have it: p.csv becomes OUTPUT_p.csv, in the other image's
    world; may be given several times"""
    points_in: World = "fixed"
    """the image in which the points were marked: from the fixed image they go to the moving one, or back"""
    points_ras: bool = False
    """the points are RAS, as FreeSurfer, FSL and NIfTI have it"""
    report: Path | None = None
    """write a page with pictures before and after, the deformation, timing and settings (.html)"""
    uncertainty: Path | None = None
    """image of how far the transform may be off at each voxel, mm: from restarts, about as long again as the
    registration; NaN (in DICOM 0) outside the box in which the images are compared. For deformable methods"""
    series: str | None = None
    """of a DICOM folder with several series: its number, UID or a part of its description; for both images"""
    moving_series: str | None = None
    """the same for the moving image alone"""
    like: Path | None = None
    """DICOM series to take patient and study from, for DICOM output"""
    keep_complex: bool = False
    """carry complex values along where the format can hold them, else magnitude"""
    device: Literal["auto", "cpu", "cuda"] = "cpu"
    """where to compute; a minute or two on two cores, so that the GPU is taken only where it is asked for"""
    threads: int | None = None
    """processor threads (default: all)"""
    debug: bool = False
    """show where an error comes from"""


def chosen(words: Sequence[str], named: str) -> tuple[str, dict[str, Any]]:
    """The method asked for, and what a flag sets of its settings (`--method ants --affine`).

    Raises
    ------
    DataError
        If two flags, or a flag and --method, say different things.
    """
    from spinecho.methods import registry

    flags = [flag for flag in SHORT if f"--{flag}" in words]
    if len(flags) > 1:
        raise DataError(f"--{flags[0]} and --{flags[1]} are both given", do="keep one")
    if not flags or named in ("", SHORT[flags[0]]):
        return named or (SHORT[flags[0]] if flags else "hybrid"), {}
    if "kind" not in registry.load("register", registry.offer("register", named).method).Config.__dataclass_fields__:
        raise DataError(f"--{flags[0]} and --method {named} are both given", do="keep one")
    return named, {"kind": flags[0]}


def beside_output(args: Arguments) -> tuple[list[Path], list[Path]]:
    """Where each label map and each table of points goes."""
    outputs = [p for p in (*args.output, args.transform, args.report, args.uncertainty) if p is not None]
    labels = [beside(outputs[0], path) for path in args.labels]
    return labels, [beside(outputs[0], path, ".csv") for path in args.points]


def check(args: Arguments, job: Job) -> None:
    """Refuse what cannot be read or written, before the work is done."""
    from spinecho.io.cfl_file import full_name
    from spinecho.io.points import read_points
    from spinecho.io.transform.suffix import check_transform_output, inverse_path

    outputs = [p for p in (*args.output, args.report, args.uncertainty) if p is not None]
    if not outputs and args.transform is None:
        raise DataError("there is no output", do="say where the result goes: -o moved.nii.gz --transform t.h5")
    inputs = [args.fixed, args.moving, *([args.mask] if args.mask else []), *args.labels, *args.points]
    inputs += [] if args.like is None else [args.like]
    check_inputs(inputs)
    check_series([args.fixed, args.moving], args.series, args.moving_series)
    same = full_name(args.fixed).samefile(full_name(args.moving))
    if same and args.moving_series in (None, args.series):
        raise DataError("fixed and moving are the same file", do="give two images", file=args.moving)
    images = [*args.output, *([args.uncertainty] if args.uncertainty else [])]
    for path in images:
        check_suffix(path, "image")
    kind = job.settings.get("kind", job.method)
    if args.uncertainty is not None and kind in ("rigid", "affine"):
        problem = "--uncertainty does not apply to a rigid or affine transform"
        raise DataError(problem, do="leave it out, or register with a deformable method")
    if args.report is not None:
        check_name(args.report, "report", ".html", ".htm")
    if args.transform is not None:
        check_transform_output(args.transform, linear=kind in ("rigid", "affine"))
        outputs += [args.transform, inverse_path(args.transform)]
    labels, points = beside_output(args)
    check_outputs([*outputs, *labels, *points], inputs)
    for path in args.points:
        read_points(path, args.points_ras)


def run(args: Arguments, job: Job) -> None:
    """Read, register, write, and say what was done."""
    from spinecho.core import device as devices
    from spinecho.tasks.register.run import run as align

    device = devices.choose(args.device)
    fixed, moving, *masks = _inputs(args, job)
    mask = masks[0] if masks else None
    _check_images(args, fixed)
    labels = [read_labels(path) for path in args.labels]
    for image, path in zip(labels, args.labels, strict=True):
        for doubt in place_doubts(image, moving, "moving", path):
            job.console.warn(doubt)
    with job.console.progress(job.method) as bar:
        registration = align(
            fixed.to(device),
            moving.to(device),
            job.method,
            mask=None if mask is None else mask.to(device),
            settings=job.settings,
            tell=lambda stage: bar(round(100 * stage.done), 100),
        )
    transform = registration.transform.to("cpu")
    registration = replace(registration, transform=transform)
    finish(args, job, fixed, moving, labels, registration)
    if args.uncertainty is not None:
        _write_uncertainty(args, job, args.uncertainty, fixed, moving, mask, registration)
    seconds = sum(registration.seconds.values())
    job.console.say(f"{seconds:.2f} s for the registration, {time.perf_counter() - job.began:.2f} s in all")


def finish(
    args: Arguments, job: Job, fixed: Image, moving: Image, labels: Sequence[Image], registration: Registration
) -> None:
    """Write the transform first, since it cost most, then all that it carries; say what was found."""
    from spinecho.io.describe import written
    from spinecho.io.transform.files import write_both
    from spinecho.io.write import write

    transform = registration.transform
    _tell(registration, job)
    if args.transform is not None:
        job.console.say(written(write_both(transform, args.transform, fixed.geometry, moving.geometry)))
    step = f"registered onto {args.fixed.name} by {registration.method}"
    options = WriteOptions(like=args.like, keep_complex=args.keep_complex, done="registration")
    if args.output:
        tell_values(moving, args.keep_complex, job.console)
        moved = carried(moving, transform, fixed, step)
        tell_doubts(moved, moving, job.console)
        for path in args.output:
            job.console.say(written(write(moved, path, on_grid(options, args.fixed, moved))))
    label_paths, point_paths = beside_output(args)
    for image, path in zip(labels, label_paths, strict=True):
        moved = carried(image, transform, fixed, step, labels=True)
        tell_doubts(moved, image, job.console)
        job.console.say(written(write(moved, path, on_grid(options, args.fixed, moved))))
    for source, path in zip(args.points, point_paths, strict=True):
        job.console.say(move_points(source, args.points_ras, args.points_in, transform, path))
    for line in _figures(fixed, moving, registration):
        job.console.say(line)
    if args.report is not None:
        from spinecho.tasks.register.judge.report import write_report

        write_report(args.report, fixed, moving, registration, job.command, labels[0] if labels else None)
        job.console.say(f"wrote {args.report}")


def _write_uncertainty(
    args: Arguments,
    job: Job,
    path: Path,
    fixed: Image,
    moving: Image,
    mask: Image | None,
    registration: Registration,
) -> None:
    """The restarts of `methods/uncertainty.py`, by what the registration itself was set to compare."""
    from spinecho.io.describe import written
    from spinecho.io.write import write
    from spinecho.tasks.register.uncertainty import Restarts, spread

    settings = registration.settings if registration.method == "hybrid" else {}
    said = {name: settings[name] for name in ("similarity", "smoothness", "voxels") if name in settings}
    with job.console.progress("uncertainty") as bar:
        deviation = spread(fixed, moving, registration.transform, mask=mask, restarts=Restarts(**said), tell=bar)
    step = "standard deviation of the registration in mm, from restarts"
    if not bool(deviation.values.isfinite().all()):
        step += "; NaN (in DICOM 0) outside the box in which the images were compared"
    header = fixed.header.anew(step)
    deviation = replace(deviation, header=header)
    job.console.say(written(write(deviation, path, on_grid(WriteOptions(like=args.like), args.fixed, deviation))))


def _inputs(args: Arguments, job: Job) -> list[Image]:
    """Fixed, moving, and the mask if there is one; of series the volume asked for."""
    from spinecho.io.one_volume import chosen
    from spinecho.io.read import read_image

    images = [
        _told(job, "fixed", args.fixed, args.series),
        _told(job, "moving", args.moving, args.moving_series or args.series),
    ]
    files = [args.fixed, args.moving]
    if args.mask is not None:
        images, files = [*images, read_image(args.mask)], [*files, args.mask]
    return chosen(images, files, args.volume)


def _told(job: Job, name: str, path: Path, series: str | None) -> Image:
    from spinecho.io.describe import one_line
    from spinecho.io.doubts import label_doubt
    from spinecho.io.read import read_image

    image = read_image(path, series)
    job.console.say(f"{name}: {one_line(image)}")
    if doubt := label_doubt(image, path):
        job.console.warn(f"{doubt}; labels go along with their image: --labels")
    return image


def _check_images(args: Arguments, fixed: Image) -> None:
    from spinecho.io.write import check_image_output

    for path in (*args.output, *([args.uncertainty] if args.uncertainty else [])):
        check_image_output(path, fixed.geometry.oriented, WriteOptions(like=args.like), fixed.geometry.shape[0])


def _tell(registration: Registration, job: Job) -> None:
    for name, seconds in registration.seconds.items():
        told = registration.told.get(name, ())
        job.console.say(f"  {name}: {'; '.join([f'{seconds:.1f} s', *told])}")
    for warning in registration.warnings:
        job.console.warn(warning)


def _figures(fixed: Image, moving: Image, registration: Registration) -> list[str]:
    """Similarity before and after, and how regular the deformation is."""
    from spinecho.tasks.register.judge.figures import figures

    return figures(fixed, moving, registration.transform)
