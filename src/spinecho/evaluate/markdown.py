"""Markdown in named sections of a file that are replaced one by one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from spinecho.core.errors import DataError
from spinecho.io.atomic import replacing


def row_of(cells: Sequence[str]) -> str:
    """A line of a markdown table."""
    return "| " + " | ".join(cells) + " |"


def write_section(path: Path, name: str, text: str) -> None:
    """Put the text between `<!-- results: NAME -->` and `<!-- end: NAME -->`: replaced, or appended where absent.

    Raises
    ------
    DataError
        If the markers are damaged, or the file cannot be written.
    """
    begin, end = f"<!-- results: {name} -->", f"<!-- end: {name} -->"
    old = path.read_text(encoding="utf-8") if path.exists() else "# Results\n"
    if (old.count(begin), old.count(end)) not in ((0, 0), (1, 1)) or old.find(begin) > old.find(end):
        raise DataError(
            f"the markers of section {name!r} are not one pair", do=f"keep one {begin} and {end}", file=path
        )
    block = f"{begin}\n## {name}\n\n{text.rstrip()}\n\n{end}"
    if begin in old:
        new = re.sub(re.escape(begin) + ".*" + re.escape(end), lambda _: block, old, flags=re.DOTALL)
    else:
        new = f"{old.rstrip()}\n\n{block}\n"
    with replacing(path) as temporary:
        temporary.write_text(new, encoding="utf-8")
