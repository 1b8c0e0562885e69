"""The frame of all pages: what is given stands in it escaped, and a part can stand in more than one page."""

from __future__ import annotations

import pytest
from markupsafe import Markup

from spinecho.core.errors import DataError
from spinecho.core.version import __version__
from spinecho.evaluate.pictures import Picture
from spinecho.evaluate.template import environment, part, write_framed


def test_a_page_has_its_heading_its_maker_and_its_parts(tmp_path):
    body = Markup("<section>{}</section>").format("one") + Markup("<section>{}</section>").format("a < b")
    write_framed(path := tmp_path / "p.html", "title", "The <heading>", body, "spinecho x --out 'a&b'")
    page = path.read_text(encoding="utf-8")
    assert "<h1>The &lt;heading&gt;</h1>" in page and f"spinecho {__version__}" in page
    assert "<title>spinecho title</title>" in page and "a&amp;b" in page
    assert page.index("<section>one</section>") < page.index("<section>a &lt; b</section>") < page.index("</main>")


def test_a_page_without_a_command_names_none(tmp_path):
    write_framed(path := tmp_path / "p.html", "t", "h", Markup())
    assert "made by" not in path.read_text(encoding="utf-8")


def test_a_place_that_is_none_is_refused_and_nothing_is_left(tmp_path):
    with pytest.raises(DataError):
        write_framed(tmp_path / "absent" / "p.html", "t", "h", Markup())
    assert not list(tmp_path.iterdir())


def test_a_part_is_markup_and_what_fills_it_is_escaped():
    values = {"title": "t", "heading": "<b>", "body": "<i>", "command": "", "version": "1"}
    made = part("spinecho.evaluate", "frame.html.j2", values)
    assert isinstance(made, Markup) and "&lt;b&gt;" in made and "&lt;i&gt;" in made
    values["body"] = made
    assert part("spinecho.evaluate", "frame.html.j2", values).count("<h1>") == 2, "parts are not escaped again"


def test_a_picture_goes_into_the_page_itself():
    uri = environment("spinecho.evaluate").from_string("{{ p | uri }}")
    assert uri.render(p=Picture(png=b"abc", caption="", aspect=1.0)) == "data:image/png;base64,YWJj"
