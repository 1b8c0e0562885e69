"""Register two volumes: the moving image on the fixed image's grid, and the transform between them."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from spinecho.cli.carry import (
    World,
    beside,
    carried,
    check_inputs,
    check_name,
    check_outputs,
    move_points,
    on_grid,
    read_labels,
)
from spinecho.cli.parse import method_settings, parse, value_of, with_settings
from spinecho.cli.progress import progress
from spinecho.core.errors import DataError
from spinecho.io.catalogue import check_suffix
from spinecho.io.options import WriteOptions

if TYPE_CHECKING:
    from spinecho.core.image import Image
    from spinecho.methods.align import Registration

SHORT = {"rigid": "rigid", "affine": "affine", "deformable": "hybrid"}
"""Flags that name a method."""


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """What a person says."""

    fixed: Annotated[Path, tyro.conf.Positional]
    """the image that stays: NIfTI, mgz, a DICOM series, ..."""
    moving: Annotated[Path, tyro.conf.Positional]
    """the image to be brought onto the fixed one's grid; any orientation, spacing, size and contrast"""
    output: Annotated[tuple[Path, ...], tyro.conf.arg(aliases=("-o",)), tyro.conf.UseAppendAction] = ()
    """where the moved image goes; the suffix names the format, and -o may be given several times"""
    transform: Path | None = None
    """where the transform goes: t.h5 (ITK, as SimpleITK, ANTs and 3D Slicer read it), t_Warp.nii.gz; .tfm .txt .mat
    .csv for rigid and affine ones. The inverse is written beside it (t_inverse.h5)"""
    rigid: bool = False
    """turn and shift only: --method rigid"""
    affine: bool = False
    """turn, shift, scale and shear: --method affine"""
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
    labels: Annotated[tuple[Path, ...], tyro.conf.UseAppendAction] = ()
    """label map of the moving image to carry along (nearest voxel, integers): seg.nii.gz becomes OUTPUT_seg.nii.gz;
    may be given several times"""
    points: Annotated[tuple[Path, ...], tyro.conf.UseAppendAction] = ()
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
    registration. For deformable methods"""
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


def run(arguments: Sequence[str]) -> int:
    """Parse, check the outputs, then read, register, write, and say what was done."""
    begin = time.perf_counter()
    method, given = chosen(arguments)
    kind = _with_options_of(method, value_of("--weights", arguments, ""), given)
    args = parse(kind, "register", __doc__ or "", arguments)
    check(args, method)
    work(args, method, begin, shlex.join(["spinecho", "register", *arguments]))
    return 0


def chosen(arguments: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """The method asked for, and what a flag sets of its settings (`--method ants --affine`).

    Raises
    ------
    DataError
        If two flags, or a flag and --method, say different things.
    """
    from spinecho.methods import registry

    flags = [flag for flag in SHORT if f"--{flag}" in arguments]
    named = value_of("--method", arguments, "") or _method_of(value_of("--weights", arguments, ""))
    if len(flags) > 1:
        raise DataError(f"--{flags[0]} and --{flags[1]} are both given", do="keep one")
    if not flags or named in ("", SHORT[flags[0]]):
        return named or (SHORT[flags[0]] if flags else "hybrid"), {}
    if "kind" not in registry.load("register", registry.offer(named, "register").method).Config.__dataclass_fields__:
        raise DataError(f"--{flags[0]} and --method {named} are both given", do="keep one")
    return named, {"kind": flags[0]}


def _method_of(weights: str) -> str:
    """The method that a weights file is for; "" without a file."""
    if not weights:
        return ""
    from spinecho.methods.pretrained import method_of

    return method_of(Path(weights))


def _with_options_of(method: str, weights: str, given: dict[str, Any]) -> type[Arguments]:
    """The arguments with the method's settings, but for those that the command itself has (threads, device); of a
    learned method those that suit trained weights."""
    from spinecho.methods import registry

    offer = registry.offer(method, "register")
    module = registry.load("register", offer.method)
    if not offer.learned:
        own = {f.name for f in fields(Arguments)}
        shown = [f.name for f in fields(module.Config) if f.name not in own]
        return with_settings(Arguments, module.Config, module.Config(**given), shown)
    from spinecho.methods.pretrained import trained_config

    return with_settings(Arguments, module.Config, trained_config(weights or offer.trained()), module.Method.tunable)


def settings_of(args: Arguments) -> dict[str, Any]:
    """The method's settings, defaults included; the command's own threads where the method has such a setting."""
    given = method_settings(args)
    if "threads" in given and args.threads is not None:
        given["threads"] = args.threads
    return given if args.weights is None else {**given, "weights": args.weights}


def beside_output(args: Arguments) -> tuple[list[Path], list[Path]]:
    """Where each label map and each table of points goes."""
    outputs = [p for p in (*args.output, args.transform, args.report, args.uncertainty) if p is not None]
    labels = [beside(outputs[0], path) for path in args.labels]
    return labels, [beside(outputs[0], path, ".csv") for path in args.points]


def check(args: Arguments, method: str) -> None:
    """Refuse what cannot be read or written, before the work is done."""
    from spinecho.io.points import read_points
    from spinecho.io.transform.suffix import check_transform_output, inverse_path

    outputs = [p for p in (*args.output, args.report, args.uncertainty) if p is not None]
    if not outputs and args.transform is None:
        raise DataError("there is no output", do="say where the result goes: -o moved.nii.gz --transform t.h5")
    inputs = [args.fixed, args.moving, *([args.mask] if args.mask else []), *args.labels, *args.points]
    check_inputs(inputs)
    if args.fixed.samefile(args.moving):
        raise DataError("fixed and moving are the same file", do="give two images", file=args.moving)
    images = [*args.output, *([args.uncertainty] if args.uncertainty else [])]
    for path in images:
        check_suffix(path, "image")
    kind = settings_of(args).get("kind", method)
    if args.uncertainty is not None and kind in ("rigid", "affine"):
        found = "--uncertainty means nothing to a rigid or affine transform"
        raise DataError(found, do="leave it out, or register with a deformable method")
    if args.report is not None:
        check_name(args.report, "report", ".html", ".htm")
    if args.transform is not None:
        check_transform_output(args.transform, linear=kind in ("rigid", "affine"))
        outputs += [args.transform, inverse_path(args.transform)]
    labels, points = beside_output(args)
    check_outputs([*outputs, *labels, *points], inputs)
    for path in args.points:
        read_points(path, args.points_ras)


def work(args: Arguments, method: str, begin: float, command: str) -> None:
    """Read, register, write; `begin` is when the command started, s, `command` what the report says was run."""
    import torch

    from spinecho.methods import device as devices
    from spinecho.methods.align import run as align

    if args.threads is not None:
        torch.set_num_threads(args.threads)
    device = devices.choose(args.device)
    fixed, moving, *masks = _inputs(args)
    mask = masks[0] if masks else None
    _check_images(args, fixed)
    labels = [read_labels(path) for path in args.labels]
    with progress(method) as bar:
        registration = align(
            devices.image_to(fixed, device),
            devices.image_to(moving, device),
            method,
            mask=None if mask is None else devices.image_to(mask, device),
            settings=settings_of(args),
            tell=lambda stage: bar(round(100 * stage.done), 100),
        )
    transform = devices.transform_to(registration.transform, torch.device("cpu"))
    registration = replace(registration, transform=transform)
    finish(args, fixed, moving, labels, registration, command)
    if args.uncertainty is not None:
        _write_uncertainty(args, args.uncertainty, fixed, moving, mask, registration)
    print(
        f"{sum(registration.seconds.values()):.2f} s for the registration, {time.perf_counter() - begin:.2f} s in all"
    )


def finish(
    args: Arguments, fixed: Image, moving: Image, labels: Sequence[Image], registration: Registration, command: str
) -> None:
    """Write the transform first, since it cost most, then all that it carries; say what was found."""
    from spinecho.cli.describe import written
    from spinecho.io.transform.files import write_both
    from spinecho.io.write import write

    transform = registration.transform
    _tell(registration)
    if args.transform is not None:
        print(written(write_both(transform, args.transform, fixed.geometry, moving.geometry)))
    step = f"registered onto {args.fixed.name} by {registration.method}"
    options = WriteOptions(like=args.like, keep_complex=args.keep_complex)
    if args.output:
        moved = carried(moving, transform, fixed.geometry, step)
        for path in args.output:
            print(written(write(moved, path, on_grid(options, args.fixed, moved))))
    label_paths, point_paths = beside_output(args)
    for image, path in zip(labels, label_paths, strict=True):
        moved = carried(image, transform, fixed.geometry, step, labels=True)
        print(written(write(moved, path, on_grid(options, args.fixed, moved))))
    for source, path in zip(args.points, point_paths, strict=True):
        print(move_points(source, args.points_ras, args.points_in, transform, path))
    for line in _figures(fixed, moving, registration):
        print(line)
    if args.report is not None:
        from spinecho.evaluate.register_report import write_report

        write_report(args.report, fixed, moving, registration, command, labels[0] if labels else None)
        print(f"wrote {args.report}")


def _write_uncertainty(
    args: Arguments, path: Path, fixed: Image, moving: Image, mask: Image | None, registration: Registration
) -> None:
    """The restarts of `methods/uncertainty.py`, by what the registration itself was told to compare."""
    from spinecho.cli.describe import written
    from spinecho.io.write import write
    from spinecho.methods.uncertainty import Restarts, spread

    settings = registration.settings if registration.method == "hybrid" else {}
    said = {name: settings[name] for name in ("similarity", "smoothness", "voxels") if name in settings}
    with progress("uncertainty") as bar:
        found = spread(fixed, moving, registration.transform, mask=mask, restarts=Restarts(**said), tell=bar)
    header = fixed.header.noted("standard deviation of the registration in mm, from restarts")
    found = replace(found, header=header)
    print(written(write(found, path, on_grid(WriteOptions(like=args.like), args.fixed, found))))


def _inputs(args: Arguments) -> list[Image]:
    """Fixed, moving, and the mask if there is one; of series the volume asked for."""
    from spinecho.io.one_volume import chosen
    from spinecho.io.read import read_image

    images = [_told("fixed", args.fixed), _told("moving", args.moving)]
    files = [args.fixed, args.moving]
    if args.mask is not None:
        images, files = [*images, read_image(args.mask)], [*files, args.mask]
    return chosen(images, files, args.volume)


def _told(name: str, path: Path) -> Image:
    from spinecho.cli.describe import one_line
    from spinecho.io.read import read_image

    image = read_image(path)
    print(f"{name}: {one_line(image)}")
    return image


def _check_images(args: Arguments, fixed: Image) -> None:
    from spinecho.io.write import check_image_output

    for path in (*args.output, *([args.uncertainty] if args.uncertainty else [])):
        check_image_output(path, fixed.geometry.oriented, WriteOptions(like=args.like))


def _tell(registration: Registration) -> None:
    for name, seconds in registration.seconds.items():
        told = [note.partition(": ")[2] for note in registration.notes if note.startswith(f"{name}: ")]
        print(f"  {name}: {'; '.join([f'{seconds:.1f} s', *told])}")
    for warning in registration.warnings:
        print(f"warning: {warning}", file=sys.stderr)


def _figures(fixed: Image, moving: Image, registration: Registration) -> list[str]:
    """Similarity before and after, and how regular the deformation is."""
    from spinecho.evaluate.register_figures import figures

    return figures(fixed, moving, registration.transform)
