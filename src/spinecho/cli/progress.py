"""A progress bar with the time left, on a terminal; elsewhere nothing, so that logs stay readable."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from spinecho.core.job import Bar


@contextmanager
def progress(what: str) -> Iterator[Bar]:
    """A bar on standard error; with one step only, a spinner with the time gone."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
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
