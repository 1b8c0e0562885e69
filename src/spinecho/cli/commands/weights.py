"""Convert weights from elsewhere: make a weights file from ordered arrays (.npz) of a published layout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

from spinecho.cli.console import Terminal
from spinecho.cli.parse import parse
from spinecho.core.errors import DataError, setting
from spinecho.core.option import OUTPUT, POSITIONAL


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """The command's arguments."""

    action: Annotated[Literal["import"], POSITIONAL]
    """what to do with it"""
    source: Annotated[Path, POSITIONAL]
    """an .npz whose arrays stand in the network's order (arr_0, arr_1, ...)"""
    output: Annotated[Path | None, OUTPUT] = None
    """the weights file, .safetensors"""
    method: str = "recon/cascade"
    """task/name of a method that knows such a layout"""
    flip_kernels: bool = False
    """the arrays come from a framework that convolves with flipped kernels"""
    debug: bool = False
    """show where an error comes from"""


def run(arguments: Sequence[str]) -> int:
    """Read, put in place, write, and say what it is."""
    args = parse(Arguments, "weights", __doc__ or "", arguments)
    if args.output is None or args.output.suffix != ".safetensors":
        do = "say where the weights go: -o NAME.safetensors"
        raise DataError(
            "there is no weights file to write" if args.output is None else "that is not a weights file", do=do
        )
    from spinecho.core.state import save_state
    from spinecho.io.array.ordered import read_ordered
    from spinecho.io.atomic import check_place
    from spinecho.methods import registry

    check_place(args.output)
    task, _, name = args.method.partition("/")
    if not name:
        raise DataError(f"{setting('method')} is {args.method!r}", do="give TASK/NAME, such as recon/cascade")
    kind = registry.load(task, registry.offer(task, name).method).Method
    arrays = read_ordered(args.source)
    made = kind.imported(arrays, flip_kernels=args.flip_kernels)
    facts = {"imported": args.source.name, "flipped kernels": args.flip_kernels}
    config = asdict(made.config)
    meta = {"task": task, "method": name, "config": config, "card": {}, "trained": facts}
    save_state(args.output, made.state_dict(), meta)
    console = Terminal()
    console.say(f"wrote {args.output}: {len(arrays)} arrays as {args.method}, {config}")
    console.say(f"to use it: spinecho {task} SCAN -o IMAGE --weights {args.output}")
    return 0
