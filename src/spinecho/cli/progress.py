"""A progress bar with the time left, on a terminal; elsewhere a line every half minute, so that logs stay readable."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from spinecho.core.job import Bar

_EVERY_S = 30.0


@contextmanager
def progress(what: str) -> Iterator[Bar]:
    """A bar on standard error; with one step only, a spinner with the time gone."""
    if not sys.stderr.isatty():
        yield lines(what)
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    times = (TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
    with Progress(*columns, *times, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)

        def tell(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield tell


def lines(what: str, clock: Callable[[], float] = time.monotonic) -> Bar:
    """A line on standard error, at most one every half minute: how much is done, and the time left.

    A count that begins above one goes on after an earlier run, whose work tells nothing of the time left.
    """
    began = said = clock()
    before: int | None = None

    def tell(done: int, total: int) -> None:
        nonlocal began, before, said
        now = clock()
        if before is None:
            before, began = (done, now) if done > 1 else (0, began)
        if now - said < _EVERY_S or not 0 < done < total:
            return
        said = now
        left = timedelta(seconds=round((now - began) * (total - done) / max(done - before, 1)))
        print(f"{what}: {done} of {total}, about {left} left", file=sys.stderr, flush=True)

    return tell
