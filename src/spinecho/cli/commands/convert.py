"""Convert a file: k-space to k-space, images to images; complex values stay complex where the format can."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

from spinecho.cli.console import Terminal
from spinecho.cli.parse import parse
from spinecho.core.errors import DataError
from spinecho.core.option import INLINE, POSITIONAL
from spinecho.io.atomic import check_place
from spinecho.io.options import ReadOptions, WriteOptions, named_files
from spinecho.io.outputs import check_outputs


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """The command's arguments."""

    source: Annotated[Path, POSITIONAL]
    """raw data or an image (for DICOM, the folder of a series)"""
    target: Annotated[Path, POSITIONAL]
    """the new file; its suffix names the format"""
    debug: bool = False
    """show where an error comes from"""
    read: Annotated[ReadOptions, INLINE] = field(default_factory=ReadOptions)
    write: Annotated[WriteOptions, INLINE] = field(default_factory=WriteOptions)


def run(arguments: Sequence[str]) -> int:
    """Read, write, and say so."""
    args = parse(Arguments, "convert", __doc__ or "", arguments)
    from spinecho.io.cfl_file import full_name

    source, target = full_name(args.source), full_name(args.target)
    if target.exists() and source.exists() and target.samefile(source):
        raise DataError("it is the input itself", do="choose another name for the output", file=args.target)
    check_outputs([args.target], [source, *named_files(args.read, args.write)])
    from spinecho.core.image import Image
    from spinecho.core.kspace import KSpace
    from spinecho.io.catalogue import check_suffix, labelled
    from spinecho.io.describe import one_line, tell_history, written
    from spinecho.io.read import read_parts
    from spinecho.io.write import holds_complex, write

    parts = read_parts(args.source, args.read)
    targets = {name: labelled(args.target, name) for name in parts}
    item = next(iter(parts.values()))
    try:
        check_suffix(args.target, "kspace" if isinstance(item, KSpace) else "image")
    except DataError as error:
        if isinstance(item, KSpace):
            do = f"{error.marked[1]}; to make an image of it: spinecho recon '{args.source}' -o '{args.target}'"
            raise error.but(do=do, file=args.target) from None
        raise
    for target in targets.values():
        check_place(target)
    for name, part in parts.items():
        print(f"read {one_line(part)}")
        tell_history(part.header, Terminal())
        is_image = isinstance(part, Image)
        keep = args.write.keep_complex or is_image
        options = replace(args.write, input_axes=args.read.axes, keep_complex=keep, done="conversion")
        print(written(write(part, targets[name], options)))
        if is_image and part.values.is_complex() and not holds_complex(targets[name]):
            print("complex values: their magnitude was written")
    return 0
