"""What the text of a module says of it and of the fields of its classes; nothing is imported for it."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

_CODE = re.compile(r"^(?:from|import|class|def|@)\b", re.MULTILINE)


def summary(file: Path) -> str:
    """First line of the module's docstring, of which only the head is parsed; empty without one."""
    text = file.read_text(encoding="utf-8")
    code = _CODE.search(text)
    try:
        tree = ast.parse(text[: code.start()] if code else text)
    except SyntaxError:  # the line that looks like code lies in the docstring
        tree = ast.parse(text)
    return (ast.get_docstring(tree) or "").partition("\n")[0]


def field_docs(kind: type) -> dict[str, str]:
    """What stands below each field of a dataclass or of its bases, on one line; the nearest class counts.

    Classes without a file, and those inside of functions and classes, have none.
    """
    told: dict[str, str] = {}
    for cls in reversed(kind.__mro__):
        file = getattr(sys.modules.get(cls.__module__), "__file__", None)
        if file and file.endswith(".py") and cls is not object:
            told |= _docs_of_classes(file).get(cls.__qualname__, {})
    return told


@lru_cache(maxsize=64)
def _docs_of_classes(file: str) -> dict[str, dict[str, str]]:
    tree = ast.parse(Path(file).read_text(encoding="utf-8"))
    return {node.name: dict(_docs_of_fields(node.body)) for node in tree.body if isinstance(node, ast.ClassDef)}


def _docs_of_fields(body: list[ast.stmt]) -> Iterator[tuple[str, str]]:
    for field, text in pairwise(body):
        match (field, text):
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(words))):
                yield name, " ".join(words.split())
            case _:
                pass
