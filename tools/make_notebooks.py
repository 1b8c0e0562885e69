"""Make a notebook of each example, so that none is kept by hand.

python tools/make_notebooks.py [--out build/notebooks]

The docstring and comments that stand alone become text, what lies between becomes code; the code cells together are the
script's code. A first cell says what would be typed behind the script's name. Needs nothing but Python.
"""

from __future__ import annotations

import argparse
import ast
import io
import json
import sys
import tokenize
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
TYPED = """# Add what you would type behind the script's name, one string a word. Many take samples without any.
import sys

sys.argv = ["examples/{name}.py"]"""


def pieces(source: str) -> Iterator[tuple[str, str]]:
    """The script in order: ("markdown", text) and ("code", lines as they stand)."""
    lines = source.splitlines()
    kinds = ["code"] * len(lines)
    docstring = ast.parse(source).body[0]
    for i in range(docstring.lineno - 1, docstring.end_lineno or 0):
        kinds[i] = "doc"
    for i in alone(source):
        kinds[i - 1] = "comment"
    for kind, run in groupby(zip(kinds, lines, strict=True), key=lambda pair: pair[0]):
        text = "\n".join(line for _, line in run)
        if kind == "doc":
            yield "markdown", introduction(ast.get_docstring(ast.parse(source)) or "")
        elif kind == "comment":
            yield "markdown", "\n".join(line.removeprefix("#").strip() for line in text.splitlines())
        elif code := text.strip("\n"):
            yield "code", code


def alone(source: str) -> Iterator[int]:
    """Numbers of lines with comments at the margin, outside all statements, an empty line before and after."""
    comments = {
        t.start[0] for t in tokenize.generate_tokens(io.StringIO(source).readline) if t.type == tokenize.COMMENT
    }
    lines = ["", *source.splitlines(), ""]
    inside = {n for node in ast.parse(source).body for n in range(node.lineno + 1, (node.end_lineno or 0) + 1)}
    margin = sorted(n for n in comments - inside if lines[n].startswith("#"))
    for _, run in groupby(enumerate(margin), key=lambda pair: pair[1] - pair[0]):
        block = [n for _, n in run]
        if not lines[block[0] - 1].strip() and not lines[block[-1] + 1].strip():
            yield from block


def introduction(docstring: str) -> str:
    """The first line as a heading, the line to type as code."""
    first, _, rest = docstring.partition("\n")
    shown = "\n".join(f"    {line}" if line.startswith("python ") else line for line in rest.strip().splitlines())
    return f"# {first}\n\n{shown}"


def notebook(name: str, source: str) -> dict[str, Any]:
    """The script as a notebook of format 4.5."""
    introduction_, *rest = pieces(source)
    cells = [introduction_, ("code", TYPED.format(name=name)), *rest]
    return {
        "cells": [cell(i, kind, text) for i, (kind, text) in enumerate(cells)],
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def cell(number: int, kind: str, text: str) -> dict[str, Any]:
    """One cell; its source is kept line by line, as programs write it."""
    made: dict[str, Any] = {"cell_type": kind, "id": f"cell-{number}", "metadata": {}}
    made["source"] = text.splitlines(keepends=True)
    return made | ({"execution_count": None, "outputs": []} if kind == "code" else {})


def main() -> None:
    """Write them all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "notebooks")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    paths = sorted(EXAMPLES.glob("*.py"))
    for path in paths:
        made = notebook(path.stem, path.read_text(encoding="utf-8"))
        (out / f"{path.stem}.ipynb").write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    sys.stdout.write(f"{len(paths)} notebooks in {out}\n")


if __name__ == "__main__":
    main()
