"""The command line: `spinecho COMMAND`; a command is a file under `commands/`, here or in a task; no torch here."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from types import ModuleType

from spinecho.cli.spinning import spin_little
from spinecho.core.errors import DataError
from spinecho.core.source import summary
from spinecho.core.version import __version__

_FOLDER = Path(__file__).parent / "commands"
_TASKS = Path(__file__).parents[1] / "tasks"
_TASK = "task.py"
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
    if argv is None:
        spin_little(os.environ)
    _write_any_name()
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug, verbose = "--debug" in arguments, "--verbose" in arguments
    arguments = [a for a in arguments if a != "--verbose"]
    try:
        with _heard() if verbose else nullcontext():
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
            print(f"error: {told.typed()}", file=sys.stderr)
            return BAD_INPUT
        kind = type(error).__name__
        print(f"error: spinecho has a bug ({kind}: {error}); run again with --debug and report it", file=sys.stderr)
        return DEFECT


def _write_any_name() -> None:
    """Names that are no UTF-8 are printed with their bytes as `\\udce9`: a line about a file never ends the work."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


def _dispatch(arguments: list[str]) -> int:
    name = arguments[0] if arguments else "--help"
    if name in ("-h", "--help", "help"):
        print(_overview())
        return 0
    if name in ("-V", "--version"):
        print(f"spinecho {__version__}")
        return 0
    commands = _commands()
    if name == "--completion":
        from spinecho.cli.completion import script

        print(script({name: _command(file) for name, file in commands.items()}), end="")
        return 0
    if name not in commands:
        raise DataError(f"there is no command {name!r}", do=f"known are {', '.join(commands)}; see spinecho --help")
    module = _command(commands[name])
    if commands[name].parent == _FOLDER:
        return _ended(lambda: module.run(arguments[1:]))
    from spinecho.cli import frame

    task = commands[name].parent.name if commands[name].name == _TASK else commands[name].parents[1].name
    return _ended(lambda: frame.run(module, task, name, arguments[1:]))


def _heard() -> AbstractContextManager[None]:
    """What the library says to the log stands on standard error."""
    from spinecho.core import log

    return log.shown()


def _command(file: Path) -> ModuleType:
    """The command's module; of a task that has none, the one made from its `task.py`."""
    module = import_module(_module(file))
    if file.name != _TASK:
        return module
    from spinecho.cli import image_command

    return image_command.command(module)


def _ended(work: Callable[[], int]) -> int:
    """The exit code of a command."""
    try:
        return work()
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
        module = None if file is None else sys.modules.get(_module(file))
        return DataError("there is not enough memory", do=getattr(module, "LESS_MEMORY", _LESS_MEMORY))
    return None


def _commands() -> dict[str, Path]:
    """Names and files, sorted: those here, those of the tasks, and tasks whose command is made from their `task.py`."""
    folders = [_FOLDER, *sorted(_TASKS.glob("*/commands"))]
    files = [p for folder in folders for p in folder.glob("*.py") if not p.stem.startswith("_")]
    commands = {p.parent.name: p for p in _TASKS.glob(f"*/{_TASK}")}
    commands.update({p.stem: p for p in files})
    return dict(sorted(commands.items()))


def _module(file: Path) -> str:
    """The name that a command's file is imported by."""
    return ".".join(("spinecho", *file.relative_to(_FOLDER.parents[1]).with_suffix("").parts))


def _overview() -> str:
    commands = _commands()
    width = max(map(len, commands))
    return "\n".join(
        [
            "usage: spinecho COMMAND [OPTIONS]",
            "",
            "From the scanner's raw samples to magnetic resonance images.",
            "",
            *(f"  {name:<{width}}  {summary(file)}" for name, file in commands.items()),
            "",
            "  spinecho recon scan.h5 -o brain.nii.gz    reconstruct a scan",
            "  spinecho COMMAND --help                   options of a command",
            "  spinecho COMMAND --verbose                what it does, with times, on standard error",
            "  spinecho --completion                     a script for the shell (bash, zsh)",
            "  spinecho --version",
        ]
    )
