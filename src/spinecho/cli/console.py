"""Where commands speak: lines on the terminal, warnings beside them, a bar with the time left."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager

from spinecho.cli.progress import progress
from spinecho.core.errors import typed
from spinecho.core.job import Bar


class Terminal:
    """Standard output and standard error; settings in the words (`core.errors.setting`) are shown as options."""

    def say(self, text: str) -> None:
        """A line on standard output, at once: other programs wait for it."""
        print(typed(text), flush=True)

    def warn(self, text: str) -> None:
        """`warning: ...` on standard error."""
        print(f"warning: {typed(text)}", file=sys.stderr)

    def fail(self, text: str) -> None:
        """`error: ...` on standard error."""
        print(f"error: {typed(text)}", file=sys.stderr)

    def progress(self, what: str) -> AbstractContextManager[Bar]:
        """A bar on a terminal, a line every half minute elsewhere."""
        return progress(what)
