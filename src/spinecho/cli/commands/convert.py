"""Convert a file: k-space to k-space, images to images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import tyro

from spinecho.cli.parse import Writing, parse
from spinecho.core.errors import DataError
from spinecho.io.atomic import check_place
from spinecho.io.options import ReadOptions


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """What a person says."""

    source: Annotated[Path, tyro.conf.Positional]
    """raw data or an image (for DICOM, the folder of a series)"""
    target: Annotated[Path, tyro.conf.Positional]
    """the new file; its suffix names the format"""
    debug: bool = False
    """show where an error comes from"""
    read: Annotated[ReadOptions, tyro.conf.arg(name="")] = field(default_factory=ReadOptions)
    write: Annotated[Writing, tyro.conf.arg(name="")] = field(default_factory=Writing)


def run(arguments: Sequence[str]) -> int:
    """Read, write, and say so."""
    args = parse(Arguments, "convert", __doc__ or "", arguments)
    from spinecho.io.cfl_file import full_name

    source, target = full_name(args.source), full_name(args.target)
    if target.exists() and source.exists() and target.samefile(source):
        raise DataError("it is the input itself", do="choose another name for the output", file=args.target)
    check_place(args.target)
    from spinecho.cli.describe import one_line, written
    from spinecho.core.kspace import KSpace
    from spinecho.io.catalogue import check_suffix
    from spinecho.io.read import read
    from spinecho.io.write import write

    item = read(args.source, args.read)
    print(f"read {one_line(item)}")
    try:
        check_suffix(args.target, "kspace" if isinstance(item, KSpace) else "image")
    except DataError as error:
        if isinstance(item, KSpace):
            do = f"{error.do}; to make an image of it: spinecho recon '{args.source}' -o '{args.target}'"
            raise DataError(error.found, do=do, file=args.target) from None
        raise
    print(written(write(item, args.target, replace(args.write, input_axes=args.read.axes))))
    return 0
