"""Processes of their own, forked from one that has imported torch: to be killed, to be one of a team, to lack packages.

A new Python spends three seconds on importing torch before a test begins; a fork of one that has it spends none. It has
its own memory, and nothing of what the tests have imported, patched or drawn.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["torch", "torch._dynamo", "torch.distributed", "torch.utils.data"])


@atexit.register
def _end() -> None:
    for child in multiprocessing.active_children():  # of a test that failed
        child.kill()


class Forked:
    """A function at work elsewhere; `stdout`, `pid`, `poll`, `wait` and `communicate` are those of `subprocess`.

    Parameters
    ----------
    target
        A function at the top of a module.
    environment
        Added to what this process has.
    folder
        Where it works; None: where this process does.
    """

    def __init__(
        self,
        target: Callable[..., object],
        *arguments: Any,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        reader, writer = _CONTEXT.Pipe(duplex=False)
        descriptor, name = tempfile.mkstemp()
        os.close(descriptor)
        self._wrong = Path(name)
        given = {**os.environ, **(environment or {})}
        told = (target, arguments, given, folder or Path.cwd(), writer, self._wrong)
        self._process = _CONTEXT.Process(target=_enter, args=told)
        self._process.start()
        writer.close()
        self.stdout = os.fdopen(os.dup(reader.fileno()), encoding="utf-8")
        reader.close()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def poll(self) -> int | None:
        """The exit status; None while it works."""
        return self._process.exitcode

    def wait(self, timeout: float = 120) -> int:
        """The exit status: below zero the signal that ended it."""
        self._process.join(timeout)
        assert self._process.exitcode is not None, f"it works for more than {timeout} seconds"
        return self._process.exitcode

    def communicate(self) -> tuple[str, str]:
        """What it said until its end, and what it said is wrong."""
        with self.stdout:
            said = self.stdout.read()
        self.wait()
        wrong = self._wrong.read_text(encoding="utf-8")
        self._wrong.unlink()
        return said, wrong


def run(target: Callable[..., object], *arguments: Any, **more: Any) -> subprocess.CompletedProcess[str]:
    """A function from beginning to end, elsewhere."""
    child = Forked(target, *arguments, **more)
    said, wrong = child.communicate()
    return subprocess.CompletedProcess([target.__name__, *arguments], child.wait(), said, wrong)


def code(text: str, *words: str) -> None:
    """What `python -c TEXT WORDS` does."""
    sys.argv = ["-c", *words]
    exec(compile(text, "<string>", "exec"), {"__name__": "__main__"})


def module(name: str, *words: str) -> None:
    """What `python -m NAME WORDS` does."""
    sys.argv = [name, *words]
    runpy.run_module(name, run_name="__main__", alter_sys=True)


def _enter(
    target: Callable[..., object], words: tuple, environment: dict[str, str], folder: Path, out: Connection, err: Path
) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    os.dup2(out.fileno(), 1)
    with err.open("w") as file:
        os.dup2(file.fileno(), 2)
    out.close()
    target(*words)
