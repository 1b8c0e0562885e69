"""Every how-to page is a session that works: its blocks are run as they stand, in an empty folder."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import sessions
from files_of_pages import FILES

PAGES = sorted((Path(__file__).parents[2] / "docs" / "how").glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
@pytest.mark.timeout(300)
def test_a_page_does_what_it_says(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    FILES.get(page.stem, lambda: None)()
    sessions.follow(page.read_text(encoding="utf-8"), capsys)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_a_page_is_short_and_has_a_session(page):
    text = page.read_text(encoding="utf-8")
    assert text.startswith("# ") and text.count("\n") <= 150
    assert max(len(line) for line in text.splitlines() if not line.startswith("|")) <= 120
    assert any(b.language in ("python", "console") for b in sessions.blocks(text))
    assert {b.language for b in sessions.blocks(text)} <= {"python", "console", "text", "toml"}


def test_blocks_and_commands_are_found():
    page = (
        '# A\n```python title="a.py"\nx = 1\n```\ntext\n```console\n$ spinecho a \\\n  "b c"  # why\none\n\n$ ls\n```\n'
    )
    first, second = sessions.blocks(page)
    assert (first.language, first.title, first.text, first.line) == ("python", "a.py", "x = 1\n", 2)
    one, two = sessions.commands(second.text)
    assert one.words == ("spinecho", "a", "b c") and one.answers == ("one",) and not one.fails
    assert two.words == ("ls",) and two.answers == ()


@pytest.mark.parametrize(
    ("page", "told"),
    [
        ("```console\n$ spinecho list\nno such line\n```\n", "no 'no such line'"),
        ("```console\n$ spinecho nonsense\n```\n", "ended with 2"),
        ("```console\n$ spinecho list\nerror: a\n```\n", "ended with 0"),
        ("```python\nassert False, 'no'\n```\n", "no"),
    ],
)
def test_a_page_that_is_wrong_is_found_out(page, told, capsys):
    with pytest.raises(AssertionError, match=told):
        sessions.follow(page, capsys)


def test_a_page_that_is_right(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    answer = "error: there is no command 'x' -> known are apply, … write"
    page = f"```console\n$ spinecho x\n{answer[:-8]}\n$ spinecho --version\nspinecho 0.…\n$ python a.py\nhello\n```\n"
    page = '```python title="a.py"\nprint("hello")\n```\n```python\nx = 3\n```\n```python\nassert x == 3\n```\n' + page
    sessions.follow(page, capsys)
