"""Count what the house promises of its own code, and fail where it is broken: sizes, tests, names.

python tools/house.py
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[1]
LONGEST_FILE, MEDIAN_FILE, LONGEST_FUNCTION = 400, 95, 50
LEAST_TESTS = 0.9
"""Lines of test code for each line of code"""
NAMES = {"utils.py", "helpers.py", "common.py", "misc.py"}
BANNED = {"found": "one noun for one meaning", "data": "say what it is"}
"""Names that no variable has"""
MAY = {("core/errors.py", "found")}
"""Where they may stand all the same"""


def lines_of_code(text: str) -> int:
    """Lines that are neither empty nor a comment."""
    return sum(1 for line in text.splitlines() if line.strip() and not line.strip().startswith("#"))


def own_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function's statements, without its docstring and its signature."""
    body = node.body[1:] if ast.get_docstring(node) else node.body
    return (node.end_lineno or 0) - body[0].lineno + 1 if body else 0


def bound(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and name of each variable that is bound, parameters included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg


def complaints() -> Iterator[str]:
    """Every broken promise, as a sentence."""
    package = ROOT / "src" / "spinecho"
    files = sorted(package.rglob("*.py"))
    texts = {f: f.read_text(encoding="utf-8") for f in files}
    if (middle := median(text.count("\n") for text in texts.values())) > MEDIAN_FILE:
        yield f"the median file has {middle:g} lines, at most {MEDIAN_FILE} are promised"
    for file, text in texts.items():
        name, tree = file.relative_to(package).as_posix(), ast.parse(text)
        if text.count("\n") > LONGEST_FILE:
            yield f"{name} has {text.count(chr(10))} lines, at most {LONGEST_FILE} are promised"
        if file.name in NAMES:
            yield f"{name}: name it after what it is for"
        if not ast.get_docstring(tree):
            yield f"{name} does not say what it is for"
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and own_lines(node) > LONGEST_FUNCTION:
                yield f"{name}:{node.lineno} {node.name} has {own_lines(node)} lines, at most {LONGEST_FUNCTION}"
        for line, variable in bound(tree):
            if variable in BANNED and (name, variable) not in MAY:
                yield f"{name}:{line} a variable is called {variable}: {BANNED[variable]}"
    code = sum(map(lines_of_code, texts.values()))
    tests = sum(lines_of_code(f.read_text(encoding="utf-8")) for f in (ROOT / "tests").rglob("*.py"))
    if tests < LEAST_TESTS * code:
        yield f"{tests} lines of tests for {code} of code, {LEAST_TESTS} for each are promised"


def main() -> int:
    """Print each broken promise."""
    told = list(complaints())
    sys.stdout.write("".join(f"{line}\n" for line in told) or "the house is as promised\n")
    return 1 if told else 0


if __name__ == "__main__":
    sys.exit(main())
