"""A page with a session: its code blocks in order, and how each is carried out."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_BLOCK = re.compile(r"^```(\w+)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Block:
    """What stands between two fences: its language, its title (a file's name), its text, its line on the page."""

    language: str
    title: str
    text: str
    line: int


@dataclass(frozen=True)
class Command:
    """What a person types, and what must be among what it answers; `…` stands for anything."""

    words: tuple[str, ...]
    answers: tuple[str, ...]

    @property
    def fails(self) -> bool:
        """Whether the page shows an error."""
        return any(a.startswith("error: ") for a in self.answers)


def blocks(page: str) -> list[Block]:
    """All code blocks of a page."""
    return [Block(m[1], m[2] or "", m[3], page[: m.start()].count("\n") + 1) for m in _BLOCK.finditer(page)]


def commands(text: str) -> Iterator[Command]:
    """The lines after `$ `, each with the lines below it."""
    for part in re.split(r"^\$ ", text.replace("\\\n", " "), flags=re.MULTILINE)[1:]:
        typed, *answers = part.splitlines()
        yield Command(tuple(shlex.split(typed, comments=True)), tuple(a for a in answers if a.strip()))


def follow(page: str, capture: Any) -> None:
    """Do all that a page says, in the folder where we are.

    Blocks with a title are files, python is executed, a console's commands are carried out, text is only read.
    """
    names: dict[str, Any] = {"__name__": "__page__"}
    for block in blocks(page):
        if block.title:
            Path(block.title).parent.mkdir(parents=True, exist_ok=True)
            Path(block.title).write_text(block.text, encoding="utf-8")
        elif block.language == "python":
            exec(compile("\n" * block.line + block.text, "page", "exec"), names)
        elif block.language == "console":
            for command in commands(block.text):
                told = carried_out(command, capture)
                at = 0
                for answer in command.answers:
                    wanted = re.compile(r".*?".join(map(re.escape, re.split(" ?… ?", answer.strip()))))
                    place = wanted.search(told, at)
                    assert place, f"line {block.line}, {' '.join(command.words)}: no {answer!r} (after {at}) in\n{told}"
                    at = place.end()


def carried_out(command: Command, capture: Any) -> str:
    """What a command says, spaces made one; it must end as the page shows."""
    capture.readouterr()
    if command.words[0] == "spinecho":
        from spinecho.cli import main

        code = main(command.words[1:])
        told = "".join(capture.readouterr())
    else:
        program = {"python": sys.executable, "pytest": sys.executable}.get(command.words[0], command.words[0])
        words = [program, *(["-m", "pytest", "-p", "no:cacheprovider"] if command.words[0] == "pytest" else [])]
        path = os.pathsep.join((str(ROOT / "src"), "."))
        environment = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            [*words, *command.words[1:]], capture_output=True, text=True, check=False, env=environment
        )
        code, told = done.returncode, done.stdout + done.stderr
    assert bool(code) == command.fails, f"{' '.join(command.words)} ended with {code}:\n{told}"
    return re.sub(r"\s+", " ", told)
