"""Map the volume change between two visits of one patient, in percent, also for each labelled region."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from spinecho.core.errors import DataError
from spinecho.core.job import Job
from spinecho.core.option import OUTPUTS, POSITIONAL
from spinecho.io.catalogue import check_suffix
from spinecho.io.labels import read_labels
from spinecho.io.options import WriteOptions
from spinecho.io.outputs import check_inputs, check_name, check_outputs, check_series, on_grid
from spinecho.tasks.register.carry import place_doubts

if TYPE_CHECKING:
    from torch import Tensor

    from spinecho.core.image import Image
    from spinecho.tasks.register.change import Change, RegionChange


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """The command's arguments."""

    baseline: Annotated[Path, POSITIONAL]
    """the first visit: NIfTI, mgz, a DICOM series, ..."""
    followup: Annotated[Path, POSITIONAL]
    """the later visit of the same patient, preferably the same sequence"""
    output: Annotated[tuple[Path, ...], OUTPUTS] = ()
    """where the map goes: percent of volume gained (over 0) or lost, on the baseline's grid; NaN where the
    follow-up's field of view ends"""
    volume: int | None = None
    """of a series, the volume that is taken, counted from 0; visits that are one volume stay as they are"""
    labels: Path | None = None
    """label map of the first visit: the change of each region is reported"""
    table: Path | None = None
    """write the regions' changes (.csv)"""
    report: Path | None = None
    """write a page with pictures, the map and the regions (.html)"""
    series: str | None = None
    """of a DICOM folder with several series: its number, UID or a part of its description; for both visits"""
    followup_series: str | None = None
    """the same for the later visit alone"""
    method: str = "hybrid"
    """registration method (spinecho list). Its settings: --method NAME --help"""
    restarts: int = 2
    """how often both registrations are repeated from perturbed starts, for the intervals"""
    seed: int = 0
    """of the perturbed starts"""
    threads: int | None = None
    """processor threads (default: all)"""
    debug: bool = False
    """show where an error comes from"""


def run(args: Arguments, job: Job) -> None:
    """Register both ways, write, and say what was found."""
    import torch

    from spinecho.io.one_volume import chosen
    from spinecho.io.read import read_image
    from spinecho.io.write import check_image_output, write
    from spinecho.tasks.register.change import change, region_changes

    visits = [args.baseline, args.followup]
    images = [read_image(args.baseline, args.series), read_image(args.followup, args.followup_series or args.series)]
    baseline, followup = chosen(images, visits, args.volume)
    labels = None if args.labels is None else _labels(args.labels, baseline, job)
    for path in args.output:
        check_image_output(path, baseline.geometry.oriented, WriteOptions())
    generator = torch.Generator().manual_seed(args.seed)
    with job.console.progress(args.method) as bar:
        volume_change = change(
            baseline, followup, generator, args.method, settings=job.settings, restarts=args.restarts, tell=bar
        )
    for warning in volume_change.forward.warnings:
        job.console.warn(warning)
    step = f"percent of volume gained until {args.followup.name}, by {args.method}"
    step += "" if bool(volume_change.seen.all()) else "; NaN (in DICOM 0) beyond the follow-up's field of view"
    header = baseline.header.anew(step)
    percent = replace(volume_change.percent, header=header)
    for path in args.output:
        write(percent, path, on_grid(WriteOptions(), args.baseline, percent))
        job.console.say(f"wrote {path}: {_extent(percent.values[percent.values.isfinite()])}")
    regions = [] if labels is None else region_changes(volume_change, labels)
    tell(regions, job)
    if args.table is not None:
        write_table(args.table, regions)
        job.console.say(f"wrote {args.table}")
    if args.report is not None:
        _report(args, volume_change, baseline, followup, regions, job)


def check(args: Arguments, job: Job) -> None:
    """Refuse what cannot be read or written, before the work is done."""
    from spinecho.io.cfl_file import full_name

    outputs = [*args.output, *([args.table] if args.table else []), *([args.report] if args.report else [])]
    inputs = [args.baseline, args.followup, *([args.labels] if args.labels else [])]
    if not outputs and args.labels is None:
        raise DataError("there is nothing to report", do="give -o change.nii.gz, or --labels, or --report")
    if args.table is not None and args.labels is None:
        raise DataError("--table lists regions", do="give --labels with it")
    if args.restarts < 0:
        raise DataError(f"--restarts {args.restarts}", do="give 0 or more")
    check_inputs(inputs)
    check_series([args.baseline, args.followup], args.series, args.followup_series)
    same = full_name(args.baseline).samefile(full_name(args.followup))
    if same and args.followup_series in (None, args.series):
        raise DataError("both visits are the same file", do="give two images", file=args.followup)
    if "rigid" in (args.method, job.settings.get("kind")):
        raise DataError("a rigid transform changes no volume", do="use a deformable --method")
    for path in args.output:
        check_suffix(path, "image")
    if args.table is not None:
        check_name(args.table, "table", ".csv")
    if args.report is not None:
        check_name(args.report, "report", ".html", ".htm")
    check_outputs(outputs, inputs)


def _labels(path: Path, baseline: Image, job: Job) -> Image:
    """The regions, refused where they lie elsewhere than the baseline, before the work is done."""
    from spinecho.tasks.register.change import placed

    labels = read_labels(path)
    try:
        placed(labels, baseline.volume().geometry)
    except DataError as error:
        raise error.within(path) from error
    for doubt in place_doubts(labels, baseline, "baseline", path):
        job.console.warn(doubt)
    return labels


def tell(regions: Sequence[RegionChange], job: Job) -> None:
    """A line for each region, what the interval means, and which regions the follow-up did not see whole."""
    if not regions:
        return
    from spinecho.tasks.register.change import MEANS, sight_warnings

    job.console.say(f"{'label':>6} {'mm3 before':>11} {'change %':>9}   {'95 % interval':<20} seen %")
    for r in regions:
        change, interval = _words(r)
        job.console.say(f"{r.label:>6} {r.before_mm3:>11.0f} {change:>9}   {interval:<20} {100 * r.seen:>6.0f}")
    job.console.say(MEANS)
    for warning in sight_warnings(regions):
        job.console.warn(warning)


def write_table(path: Path, regions: Sequence[RegionChange]) -> None:
    """The regions as a table for other programs; what is not known is empty."""
    from spinecho.io.atomic import replacing
    from spinecho.tasks.register.change import RegionChange

    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as f:
        table = csv.DictWriter(f, [field.name for field in fields(RegionChange)])
        table.writeheader()
        for r in regions:
            table.writerow({name: "" if value != value else value for name, value in asdict(r).items()})  # NaN


def _report(
    args: Arguments, volume_change: Change, baseline: Any, followup: Any, regions: Sequence[RegionChange], job: Job
) -> None:
    from spinecho.tasks.register.change import MEANS, sight_warnings
    from spinecho.tasks.register.judge.report import write_report

    assert args.report is not None
    rows = [(str(r.label), f"{100 * r.seen:.0f} %", *_words(r, " %")) for r in regions]
    forward = volume_change.forward
    forward = replace(forward, warnings=(*forward.warnings, *sight_warnings(regions)))
    write_report(args.report, baseline, followup, forward, job.command, regions=rows, regions_note=MEANS)
    job.console.say(f"wrote {args.report}")


def _words(region: RegionChange, unit: str = "") -> tuple[str, str]:
    """Change and interval, as a person reads them."""
    if region.percent != region.percent:  # NaN
        return "not given", ""
    return f"{region.percent:+.2f}{unit}", f"{region.low:+.2f} to {region.high:+.2f}"


def _extent(percent: Tensor) -> str:
    """The least and the most of the values."""
    if not percent.numel():
        return "NaN throughout, since the follow-up saw nothing of the baseline's field of view"
    return f"percent, {float(percent.min()):.1f} to {float(percent.max()):.1f}"
