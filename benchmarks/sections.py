"""RESULTS-LEARNED.md: each benchmark of learned methods writes its own section, between its own markers."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path

import torch

OUT = Path(__file__).parent / "RESULTS-LEARNED.md"
TITLE = "# Benchmarks of learned methods\n"


def write_section(path: Path, name: str, text: str) -> None:
    """Put the text between the markers of that name, in place of what stood there; other sections stay."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    page = path.read_text() if path.exists() else TITLE
    block = f"{begin}\n{text.strip()}\n{end}"
    before, found, rest = page.partition(begin)
    if not found:
        path.write_text(f"{page.rstrip()}\n\n{block}\n")
        return
    _, closed, after = rest.partition(end)
    if not closed:
        raise RuntimeError(f"{path} has the marker {begin} but no {end}: put it back where the section ends")
    path.write_text(before + block + after)


def load_average() -> str:
    """Over 1, 5 and 15 minutes."""
    return " ".join(f"{v:.2f}" for v in os.getloadavg())


def circumstances(module: str, threads: int, load_before: str) -> str:
    """How a section came about, in one sentence or two."""
    command = shlex.join(["python", "-m", module, *sys.argv[1:]])
    when = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    machine = f"{platform.machine()}, {os.cpu_count()} cores, {threads} thread{'s' * (threads > 1)}"
    return (
        f"Made by `{command}` on {when}; {machine}; torch {torch.__version__}; load average {load_before} before and "
        f"{load_average()} after."
    )


def table(head: list[str], rows: list[list[str]]) -> str:
    """As Markdown."""
    return "".join("| " + " | ".join(cells) + " |\n" for cells in [head, ["---"] * len(head), *rows])
