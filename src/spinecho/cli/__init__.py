"""The command line: `spinecho COMMAND`; a command is a file under `commands/`, here or in a task; no torch here."""

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
_TASKS = Path(__file__).parents[1] / "tasks"
BAD_INPUT, INTERRUPTED, DEFECT = 2, 130, 1
_LESS_MEMORY = (
    "give images on a coarser grid (the result has that of the fixed image, or of --onto), or fewer --threads"
)


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
    file = commands[name]
    task = file.parents[1].name
    try:
        if file.parent == _FOLDER:
            return import_module(f"spinecho.cli.commands.{name}").run(arguments[1:])
        from spinecho.cli import frame

        return frame.run(import_module(f"spinecho.tasks.{task}.commands.{name}"), task, name, arguments[1:])
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
        file = _commands().get(command)
        module = (
            "" if file is None else ".".join(("spinecho", *file.relative_to(_FOLDER.parents[1]).with_suffix("").parts))
        )
        return DataError("there is not enough memory", do=getattr(sys.modules.get(module), "LESS_MEMORY", _LESS_MEMORY))
    return None


def _commands() -> dict[str, Path]:
    """Names and files, sorted: those here, and those of the tasks."""
    folders = [_FOLDER, *sorted(_TASKS.glob("*/commands"))]
    files = [p for folder in folders for p in folder.glob("*.py") if not p.stem.startswith("_")]
    return {p.stem: p for p in sorted(files, key=lambda p: p.stem)}


def _summary(file: Path) -> str:
    """First line of a command's docstring, read without importing it."""
    return (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").partition("\n")[0]


def _overview() -> str:
    commands = _commands()
    width = max(map(len, commands))
    return "\n".join(
        [
            "usage: spinecho COMMAND [OPTIONS]",
            "",
            "From the scanner's raw samples to magnetic resonance images.",
            "",
            *(f"  {name:<{width}}  {_summary(file)}" for name, file in commands.items()),
            "",
            "  spinecho recon scan.h5 -o brain.nii.gz    reconstruct a scan",
            "  spinecho COMMAND --help                   options of a command",
            "  spinecho --version",
        ]
    )
