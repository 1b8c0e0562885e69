"""Pages: one HTML file that needs no other file and no network; templates lie beside the code that fills them."""

from __future__ import annotations

import base64

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined


def environment(package: str) -> Environment:
    """Where a package's pages find their templates (and the style that all share); `uri` puts a picture into a page."""
    loaders = [PackageLoader(name, ".") for name in dict.fromkeys((package, "spinecho.evaluate"))]
    made = Environment(loader=ChoiceLoader(loaders), autoescape=True, undefined=StrictUndefined)
    made.filters["uri"] = lambda p: "data:image/png;base64," + base64.b64encode(p.png).decode()
    return made
