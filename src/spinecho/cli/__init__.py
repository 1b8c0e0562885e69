"""The command line: `spinecho COMMAND`; a command is a file under `commands/`, and nothing here imports torch."""

from __future__ import annotations

import ast
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from spinecho.core.errors import DataError
from spinecho.core.version import __version__

_FOLDER = Path(__file__).parent / "commands"
BAD_INPUT, INTERRUPTED, DEFECT = 2, 130, 1
_ON_A_GRID = ("apply", "change", "groupwise", "register")
_SMALLER = "give images on a coarser grid (the result has that of the fixed image, or of --onto), or fewer --threads"
_A_PART = "read a part (--slices START STOP), or use --device cpu"


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    argv
        What stands behind `spinecho`; None: the process's own arguments.

    Returns
    -------
    0; 2 for input that cannot be used; 3 for a doubtful result under `recon --strict`; 130 when interrupted; 1 for a
    defect of spinecho itself.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    try:
        return _dispatch(arguments)
    except KeyboardInterrupt as stop:
        print(f"stopped{f': {stop}' if str(stop) else ''}", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output (head, less) is gone
        sys.stderr.close()
        return 0
    except Exception as error:
        if debug:
            traceback.print_exc()
        told = _as_data_error(error, arguments[0] if arguments else "")
        if told is not None:
            print(f"error: {told}", file=sys.stderr)
            return BAD_INPUT
        kind = type(error).__name__
        print(f"error: spinecho has a defect ({kind}: {error}); run again with --debug and report it", file=sys.stderr)
        return DEFECT


def _dispatch(arguments: list[str]) -> int:
    name = arguments[0] if arguments else "--help"
    if name in ("-h", "--help", "help"):
        print(_overview())
        return 0
    if name in ("-V", "--version"):
        print(f"spinecho {__version__}")
        return 0
    commands = _commands()
    if name not in commands:
        raise DataError(f"there is no command {name!r}", do=f"known are {', '.join(commands)}; see spinecho --help")
    try:
        return import_module(f"spinecho.cli.commands.{name}").run(arguments[1:])
    except SystemExit as end:  # tyro's way to answer --help (0) and wrong options (2)
        return end.code if isinstance(end.code, int) else BAD_INPUT


def _as_data_error(error: Exception, command: str) -> DataError | None:
    """The error of a command as one that the user can do something about; None for a defect."""
    if isinstance(error, DataError):
        return error
    if isinstance(error, OSError):
        return DataError(error.strerror or str(error), do="check the path and the disk", file=error.filename or "")
    from spinecho.io.limits import out_of_memory

    if out_of_memory(error):
        return DataError("there is not enough memory", do=_SMALLER if command in _ON_A_GRID else _A_PART)
    return None


def _commands() -> dict[str, str]:
    """Names and summaries, read without importing the files."""
    files = [p for p in sorted(_FOLDER.glob("*.py")) if not p.stem.startswith("_")]
    docs = {p.stem: ast.get_docstring(ast.parse(p.read_text(encoding="utf-8"))) or "" for p in files}
    return {name: doc.partition("\n")[0] for name, doc in docs.items()}


def _overview() -> str:
    commands = _commands()
    width = max(map(len, commands))
    return "\n".join(
        [
            "usage: spinecho COMMAND [OPTIONS]",
            "",
            "From the scanner's raw samples to magnetic resonance images.",
            "",
            *(f"  {name:<{width}}  {summary}" for name, summary in commands.items()),
            "",
            "  spinecho recon scan.h5 -o brain.nii.gz    reconstruct a scan",
            "  spinecho COMMAND --help                   options of a command",
            "  spinecho --version",
        ]
    )
