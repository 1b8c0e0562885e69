"""Change between two visits of one patient: a map of volume change in percent, and that of each labelled region."""

from __future__ import annotations

import csv
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from spinecho.cli.carry import check_inputs, check_name, check_outputs, on_grid, read_labels
from spinecho.cli.parse import method_settings, parse_registration
from spinecho.cli.progress import progress
from spinecho.core.errors import DataError
from spinecho.io.catalogue import check_suffix
from spinecho.io.options import WriteOptions

if TYPE_CHECKING:
    from spinecho.methods.change import Change, RegionChange


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """What a person says."""

    baseline: Annotated[Path, tyro.conf.Positional]
    """the first visit: NIfTI, mgz, a DICOM series, ..."""
    followup: Annotated[Path, tyro.conf.Positional]
    """the later visit of the same patient, preferably the same sequence"""
    output: Annotated[tuple[Path, ...], tyro.conf.arg(aliases=("-o",)), tyro.conf.UseAppendAction] = ()
    """where the map goes: percent of volume gained (over 0) or lost, on the baseline's grid"""
    volume: int | None = None
    """of a series, the volume that is taken, counted from 0; visits that are one volume stay as they are"""
    labels: Path | None = None
    """label map of the baseline: the change of each region is told"""
    table: Path | None = None
    """write the regions' changes (.csv)"""
    report: Path | None = None
    """write a page with pictures, the map and the regions (.html)"""
    method: str = "hybrid"
    """registration method (spinecho list). Its settings: --method NAME --help"""
    restarts: int = 2
    """times that both registrations are repeated from perturbed starts: what the intervals come from"""
    seed: int = 0
    """of the perturbed starts"""
    threads: int | None = None
    """processor threads (default: all)"""
    debug: bool = False
    """show where an error comes from"""


def run(arguments: Sequence[str]) -> int:
    """Parse, check the outputs, register both ways, write, and say what was found."""
    args = parse_registration(Arguments, "change", __doc__ or "", arguments)
    check(args)
    import torch

    from spinecho.io.one_volume import chosen
    from spinecho.io.read import read_image
    from spinecho.io.write import check_image_output, write
    from spinecho.methods.change import change, region_changes

    if args.threads is not None:
        torch.set_num_threads(args.threads)
    visits = [args.baseline, args.followup]
    baseline, followup = chosen([read_image(path) for path in visits], visits, args.volume)
    labels = None if args.labels is None else read_labels(args.labels)
    for path in args.output:
        check_image_output(path, baseline.geometry.oriented, WriteOptions())
    generator = torch.Generator().manual_seed(args.seed)
    settings = method_settings(args)
    with progress(args.method) as bar:
        found = change(baseline, followup, generator, args.method, settings=settings, restarts=args.restarts, tell=bar)
    for warning in found.forward.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    header = baseline.header.noted(f"percent of volume gained until {args.followup.name}, by {args.method}")
    percent = replace(found.percent, header=header)
    for path in args.output:
        write(percent, path, on_grid(WriteOptions(), args.baseline, percent))
        print(f"wrote {path}: percent, {float(percent.values.min()):.1f} to {float(percent.values.max()):.1f}")
    regions = [] if labels is None else region_changes(found, labels)
    tell(regions)
    if args.table is not None:
        write_table(args.table, regions)
    if args.report is not None:
        _report(args, found, baseline, followup, regions, shlex.join(["spinecho", "change", *arguments]))
    return 0


def check(args: Arguments) -> None:
    """Refuse what cannot be read or written, before the work is done."""
    outputs = [*args.output, *([args.table] if args.table else []), *([args.report] if args.report else [])]
    inputs = [args.baseline, args.followup, *([args.labels] if args.labels else [])]
    if not outputs and args.labels is None:
        raise DataError("there is nothing to tell", do="give -o change.nii.gz, or --labels, or --report")
    if args.table is not None and args.labels is None:
        raise DataError("--table lists regions", do="give --labels with it")
    if args.restarts < 0:
        raise DataError(f"--restarts {args.restarts}", do="give 0 or more")
    check_inputs(inputs)
    if args.baseline.samefile(args.followup):
        raise DataError("both visits are the same file", do="give two images", file=args.followup)
    if "rigid" in (args.method, method_settings(args).get("kind")):
        raise DataError("a rigid transform changes no volume", do="take a deformable --method")
    for path in args.output:
        check_suffix(path, "image")
    if args.table is not None:
        check_name(args.table, "table", ".csv")
    if args.report is not None:
        check_name(args.report, "report", ".html", ".htm")
    check_outputs(outputs, inputs)


def tell(regions: Sequence[RegionChange]) -> None:
    """A line for each region, and what the interval means."""
    if not regions:
        return
    from spinecho.methods.change import MEANS

    print(f"{'label':>6} {'mm3 before':>11} {'change %':>9}   95 % interval")
    for r in regions:
        print(f"{r.label:>6} {r.before_mm3:>11.0f} {r.percent:>+9.2f}   {r.low:+.2f} to {r.high:+.2f}")
    print(MEANS)


def write_table(path: Path, regions: Sequence[RegionChange]) -> None:
    """The regions as a table for other programs."""
    from spinecho.io.atomic import replacing
    from spinecho.methods.change import RegionChange

    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as f:
        table = csv.DictWriter(f, [field.name for field in fields(RegionChange)])
        table.writeheader()
        table.writerows(asdict(r) for r in regions)
    print(f"wrote {path}")


def _report(
    args: Arguments, found: Change, baseline: Any, followup: Any, regions: Sequence[RegionChange], command: str
) -> None:
    from spinecho.evaluate.register_report import write_report
    from spinecho.methods.change import MEANS

    assert args.report is not None
    rows = [(str(r.label), f"{r.percent:+.2f} %", f"{r.low:+.2f} to {r.high:+.2f}") for r in regions]
    write_report(args.report, baseline, followup, found.forward, command, regions=rows, regions_note=MEANS)
    print(f"wrote {args.report}")
