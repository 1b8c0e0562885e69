"""Apply transforms to an image, a label map or points; several are composed, and interpolated once.

The transform next to the image acts on it first: with atlas_t1.h5 (fixed: atlas, moving: T1) and t1_flair.h5 (fixed:
T1, moving: FLAIR)

  spinecho apply atlas_t1.h5 t1_flair.h5 flair.nii.gz --onto atlas.nii.gz -o flair_in_atlas.nii.gz

takes the FLAIR to the T1 and on to the atlas, as ANTs' -t atlas_t1.h5 -t t1_flair.h5 does; and

  spinecho apply atlas_t1.h5 t1_flair.h5 regions.nii.gz --labels --inverse --onto flair.nii.gz -o regions.nii.gz

takes the atlas' regions back to the FLAIR."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from spinecho.core.errors import DataError
from spinecho.core.job import Job
from spinecho.core.option import OUTPUT, Option
from spinecho.io.catalogue import check_suffix
from spinecho.io.labels import are_labels, read_labels
from spinecho.io.options import WriteOptions
from spinecho.io.outputs import check_inputs, check_outputs, check_series, on_grid
from spinecho.tasks.register.carry import World, carried, move_points, tell_doubts, tell_values

if TYPE_CHECKING:
    from spinecho.core.transform import Transform


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """The command's arguments."""

    files: Annotated[
        tuple[Path, ...],
        Option(positional=True, metavar="TRANSFORM [TRANSFORM ...] [IMAGE]"),
    ]
    """transforms (.h5 .tfm .txt .mat .csv, or a field in .nii.gz), then the image, the labels or a CSV of points"""
    output: Annotated[Path | None, OUTPUT] = None
    """where the result goes; the suffix names the format"""
    onto: Path | None = None
    """image whose grid the result has: the fixed one, with --inverse the moving one"""
    inverse: bool = False
    """the other way: an image of the fixed world comes to the moving one"""
    volume: int | None = None
    """of a series, the volume that is taken, counted from 0 (without it all volumes are carried)"""
    labels: bool = False
    """a label map: nearest voxel, integers"""
    points_in: World = "fixed"
    """for a CSV of points: the image in which they were marked; they go to the other one"""
    points_ras: bool = False
    """the points are RAS, as FreeSurfer, FSL and NIfTI have it; else LPS, as in ITK and ANTs"""
    jacobian: Path | None = None
    """write the Jacobian determinant on the grid of --onto: over 1 where a voxel there is larger at the other end"""
    transform: Path | None = None
    """write the composed transform, and its inverse beside it"""
    series: str | None = None
    """of a DICOM folder with several series: its number, UID or a part of its description; for --onto, too"""
    onto_series: str | None = None
    """the same for --onto alone"""
    like: Path | None = None
    """DICOM series to take patient and study from, for DICOM output"""
    keep_complex: bool = False
    """keep complex values where the format can hold them, else magnitude"""
    threads: int | None = None
    """processor threads (default: all)"""
    debug: bool = False
    """show where an error comes from"""

    @property
    def subject(self) -> Path | None:
        """What is carried; None where only transforms are given."""
        return self.files[-1] if self.output is not None else None

    @property
    def chain(self) -> tuple[Path, ...]:
        """The transforms."""
        return self.files if self.output is None else self.files[:-1]

    @property
    def is_points(self) -> bool:
        """Whether the subject is a table of points."""
        return self.subject is not None and self.subject.suffix.lower() == ".csv"


def check(args: Arguments, job: Job) -> None:
    """Refuse what cannot be read or written, and options that would do nothing."""
    from spinecho.io.transform.suffix import FIELD, check_transform_output, checked_suffix, inverse_path

    how = "spinecho apply t.h5 moving.nii.gz --onto fixed.nii.gz -o moved.nii.gz"
    if not args.files:
        raise DataError("there are no files", do=f"give transforms, then the image: {how}")
    check_inputs([*args.files, *([args.onto] if args.onto else [])])
    check_series([*args.files, *([args.onto] if args.onto else [])], args.series, args.onto_series)
    outputs = [p for p in (args.output, args.jacobian, args.transform) if p is not None]
    if not outputs:
        raise DataError("there is no output", do="say where the result goes: -o moved.nii.gz --onto fixed.nii.gz")
    if not args.chain:
        raise DataError(f"{args.files[0].name} is the only file given", do=f"give transforms, then the image: {how}")
    maps = args.jacobian is not None or args.transform is not None
    if args.is_points and (args.labels or ((args.inverse or args.onto) and not maps)):
        idle = "--labels" if args.labels else "--inverse" if args.inverse else "--onto"
        do = "say where they were marked with --points-in fixed or --points-in moving"
        raise DataError(f"{idle} does not apply to points", do=do)
    if args.onto is None and (args.jacobian or (args.subject and not args.is_points)):
        raise DataError("nothing says which grid the result has", do="name an image that has it: --onto fixed.nii.gz")
    if args.volume is not None and (args.is_points or args.subject is None):
        raise DataError(f"--volume {args.volume}, and no image is carried", do="leave it out")
    for path in (args.jacobian, None if args.is_points else args.output):
        if path is not None:
            check_suffix(path, "image")
    if args.is_points and args.output is not None and args.output.suffix.lower() != ".csv":
        raise DataError("points are written as .csv", do="choose such a name", file=args.output)
    if args.transform is not None:
        check_transform_output(args.transform, linear=True)
        if checked_suffix(args.transform) in FIELD and (args.subject is None or args.is_points):
            problem = "a NIfTI field needs a grid, that of --onto, and its inverse that of the image that is carried"
            raise DataError(problem, do="write .h5, or give that image and -o, too", file=args.transform)
        outputs.append(inverse_path(args.transform))
    check_outputs(outputs, [*args.files, *(path for path in (args.onto, args.like) if path is not None)])


def run(args: Arguments, job: Job) -> None:
    """Compose, carry, write."""
    from spinecho.core.transform import Affine, Rigid
    from spinecho.io.describe import written
    from spinecho.io.read import read_image
    from spinecho.io.transform.files import combined, read_transform, write_both
    from spinecho.io.transform.suffix import check_transform_output

    # an image passes the last transform first; the points that ask for its values pass the first one first
    whole = combined([read_transform(path) for path in reversed(args.chain)])
    if args.transform is not None:
        check_transform_output(args.transform, linear=isinstance(whole, (Affine, Rigid)))
    if args.subject is not None and args.is_points and args.output is not None:
        job.console.say(move_points(args.subject, args.points_ras, args.points_in, whole, args.output))
    whole = whole.inverse() if args.inverse else whole
    if not args.is_points or args.jacobian is not None:
        _images(args, job, whole)
    if args.transform is not None:
        start = None if args.onto is None else read_image(args.onto, args.onto_series or args.series).geometry
        end = None if args.subject is None or args.is_points else read_image(args.subject, args.series).geometry
        job.console.say(written(write_both(whole, args.transform, start, end)))


def _images(args: Arguments, job: Job, whole: Transform) -> None:
    """The image or the labels on the grid, and the Jacobian map."""
    if args.onto is None:
        return
    from spinecho.core.image import Image
    from spinecho.io.describe import one_line, tell_history, written
    from spinecho.io.one_volume import chosen
    from spinecho.io.read import read_image
    from spinecho.io.write import check_image_output, write

    grid = read_image(args.onto, args.onto_series or args.series)
    tell_history(grid.header, job.console, f"{args.onto.name}: ")
    onto, options = (
        grid.geometry,
        WriteOptions(like=args.like, keep_complex=args.keep_complex, done="transform applied"),
    )
    names = " after ".join(path.name for path in args.chain) + (", inverted" if args.inverse else "")
    if args.subject is not None and args.output is not None and not args.is_points:
        check_image_output(args.output, onto.oriented, options, onto.shape[0])
        image = read_labels(args.subject, args.series) if args.labels else read_image(args.subject, args.series)
        [image] = chosen([image], [args.subject], args.volume)
        job.console.say(f"read {one_line(image)}")
        tell_history(image.header, job.console)
        tell_values(image, args.keep_complex, job.console)
        if not args.labels and are_labels(image.values):
            job.console.warn(f"{args.subject.name} looks like a label map, and its labels get mixed: give --labels")
        step = f"carried onto {args.onto.name} by {names}, {'nearest voxel' if args.labels else 'linear interpolation'}"
        moved = carried(image, whole, grid, step, args.labels)
        tell_doubts(moved, image, job.console)
        job.console.say(written(write(moved, args.output, on_grid(options, args.onto, moved))))
    if args.jacobian is not None:
        header = grid.header.anew(f"Jacobian determinant of {names}")
        jacobian = Image(values=whole.jacobian(onto)[None], geometries=(onto,), header=header)
        job.console.say(written(write(jacobian, args.jacobian, on_grid(options, args.onto, jacobian))))
