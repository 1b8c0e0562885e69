"""Pages: one HTML file that needs no other file and no network; templates lie beside the code that fills them."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from spinecho.core.version import __version__
from spinecho.io.atomic import replacing


def environment(package: str) -> Environment:
    """Where a package's pages find their templates (and the style that all share); `uri` puts a picture into a page."""
    loaders = [PackageLoader(name, ".") for name in dict.fromkeys((package, "spinecho.evaluate"))]
    made = Environment(loader=ChoiceLoader(loaders), autoescape=True, undefined=StrictUndefined)
    made.filters["uri"] = lambda p: "data:image/png;base64," + base64.b64encode(p.png).decode()
    return made


def part(package: str, template: str, values: Mapping[str, object]) -> Markup:
    """What belongs into a page: a template of a package, filled."""
    return Markup(environment(package).get_template(template).render(values))


def write_framed(path: Path, title: str, heading: str, body: Markup, command: str = "") -> None:
    """Write a page: the heading, what made it, and its parts.

    Parameters
    ----------
    path
        The .html file; replaced only when the new page is complete.
    title, heading
        In the browser's tab, and on the page.
    body
        From `part`, one or several joined.
    command
        What makes this page again.

    Raises
    ------
    DataError
        If the path cannot be written.
    """
    values = {"title": title, "heading": heading, "body": body, "command": command, "version": __version__}
    page = part("spinecho.evaluate", "frame.html.j2", values)
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8", errors="backslashreplace")
