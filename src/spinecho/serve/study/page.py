"""What the browser is given: two pages, a style and two scripts, made once and kept in memory."""

from __future__ import annotations

from importlib.resources import files as resources

from spinecho.evaluate.template import environment
from spinecho.serve.study.order import LONGEST_NAME

_PACKAGE = "spinecho.serve.study"
_KINDS = {
    "study.css": "text/css; charset=utf-8",
    "reading.js": "text/javascript; charset=utf-8",
    "view.js": "text/javascript; charset=utf-8",
}


def files() -> dict[str, tuple[str, bytes]]:
    """Address -> content type and content: the only files that are served, whatever an address says."""
    folder = resources(_PACKAGE)
    return {f"/{name}": (kind, (folder / name).read_bytes()) for name, kind in _KINDS.items()}


def start(wrong: str = "") -> str:
    """The page that asks who reads.

    Parameters
    ----------
    wrong
        What was wrong with the name given before.
    """
    return environment(_PACKAGE).get_template("start.html.j2").render(longest=LONGEST_NAME, wrong=wrong)


def reading(reader: str) -> str:
    """The page on which one reader judges images; all else comes by script."""
    return environment(_PACKAGE).get_template("reading.html.j2").render(reader=reader)
