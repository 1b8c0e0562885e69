"""Generate T1 axial slices of heads that do not exist, from a seed; never for diagnosis."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from spinecho.core.errors import DataError
from spinecho.core.job import Job
from spinecho.core.option import OUTPUTS
from spinecho.io.catalogue import check_suffix
from spinecho.io.outputs import check_inputs, check_name, check_outputs

if TYPE_CHECKING:
    from torch import Tensor

LESS_MEMORY = "make fewer pictures: a smaller --n"


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """The command's arguments."""

    n: int = 64
    """pictures"""
    seed: int = 0
    """another one gives other pictures; the k-th picture of a seed is the same however many are made"""
    pixels: int | None = None
    """along a side: those of the method, a half or a quarter of them, or 128 made of 64 by `cascade`"""
    output: Annotated[tuple[Path, ...], OUTPUTS] = ()
    """where they go, one for each slice; the suffix names the format, and -o may be given several times"""
    sheet: Path | None = None
    """write them side by side (.png)"""
    walk: Path | None = None
    """write walks from one picture to another, a row for each (.png)"""
    method: str = "diffusion2d"
    """spinecho list. Its settings: --method NAME --help"""
    weights: Path | None = None
    """trained weights (default: those in the package; with them, --method may be left out)"""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """where to compute; auto takes the GPU where there is one"""
    threads: int | None = None
    """processor threads (default: all)"""
    debug: bool = False
    """show where an error comes from"""


def check(args: Arguments, job: Job) -> None:
    """Refuse what cannot be written, before the work is done."""
    sheets = [path for path in (args.sheet, args.walk) if path is not None]
    if not args.output and not sheets:
        raise DataError("there is no output", do="say where pictures go: -o out.nii.gz, or --sheet sheet.png")
    for path in args.output:
        check_suffix(path, "image")
    for path in sheets:
        check_name(path, "sheet", ".png")
    inputs = [] if args.weights is None else [args.weights]
    check_inputs(inputs)
    check_outputs([*args.output, *sheets], inputs)


def run(args: Arguments, job: Job) -> None:
    """Make them, write them, and say what they are not."""
    import time

    from spinecho.core.device import choose
    from spinecho.io.describe import tell_history, written
    from spinecho.io.write import write
    from spinecho.tasks.generate.run import generate, walks

    device = choose(args.device)
    start = time.perf_counter()
    if args.output or args.sheet is not None:
        with job.console.progress(job.method) as bar:
            made = generate(
                job.method, n=args.n, seed=args.seed, pixels=args.pixels, device=device, tell=bar, **job.settings
            ).to("cpu")
        seconds = time.perf_counter() - start
        tell_history(made.header, job.console)
        for path in args.output:
            job.console.say(written(write(made, path)))
        if args.sheet is not None:
            _write_sheet(made.values[0], _columns(args.n), args.sheet, job)
        job.console.say(f"{args.n} pictures in {seconds:.2f} s")
    if args.walk is not None:
        ways = walks(job.method, seed=args.seed, pixels=args.pixels, device=device, **job.settings).cpu()
        _write_sheet(ways.flatten(0, 1), ways.shape[1], args.walk, job)


def _columns(n: int) -> int:
    """Of a sheet that is about square."""
    return max(1, round(n**0.5))


def _write_sheet(pictures: Tensor, columns: int, path: Path, job: Job) -> None:
    from spinecho.evaluate.pictures import grey, tiles
    from spinecho.io.atomic import replacing

    with replacing(path) as temporary:
        temporary.write_bytes(grey(tiles(list(pictures), columns), 1.0, "").png)
    job.console.say(f"wrote {path}")
