"""What a function gives back: our docstrings do not repeat the type there, which the parser of the pages expects."""

from __future__ import annotations

import re
import textwrap
from typing import Any

import griffe

_SECTION = re.compile(r"^(Returns|Yields)\n-{4,}\n(.*?)(?=\n\n\w[\w ]*\n-{4,}|\Z)", re.DOTALL | re.MULTILINE)


def typed(text: str, kind: str) -> str:
    """The docstring with the type above the words of that section."""
    return _SECTION.sub(lambda part: f"{part[1]}\n-------\n{kind}\n{textwrap.indent(part[2], '    ')}", text)


class Extension(griffe.Extension):
    """Asked for every function that is read."""

    def on_function(self, *, func: griffe.Function, **_: Any) -> None:
        """Change its docstring."""
        if func.docstring is not None:
            func.docstring.value = typed(func.docstring.value, str(func.returns or "Any"))
