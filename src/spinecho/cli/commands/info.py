"""Show what is in a file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from spinecho.cli.parse import parse
from spinecho.core.option import INLINE, POSITIONAL
from spinecho.io.options import ReadOptions


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """The command's arguments."""

    file: Annotated[Path, POSITIONAL]
    """raw data or an image"""
    json: bool = False
    """print one JSON object instead, for programs"""
    debug: bool = False
    """show where an error comes from"""
    read: Annotated[ReadOptions, INLINE] = field(default_factory=ReadOptions)


def run(arguments: Sequence[str]) -> int:
    """Read the file and print its facts."""
    args = parse(Arguments, "info", __doc__ or "", arguments)
    from spinecho.io.describe import facts, plain
    from spinecho.io.read import read

    item = read(args.file, args.read)
    if args.json:
        print(json.dumps({"file": str(args.file), **plain(item)}, indent=1))
        return 0
    rows = [("file", str(args.file)), *facts(item)]
    width = max(len(label) for label, _ in rows)
    previous = ""
    for label, value in rows:
        print(f"{'' if label == previous else label:<{width}}  {value}")
        previous = label
    return 0
