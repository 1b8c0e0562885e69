"""Pages that mkdocs finds nowhere on disk: made at build time from the code, the cards and the files of the root."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(Path(__file__).parent), str(ROOT / "src")]

import made  # noqa: E402

HOW = [
    "arrays",
    "scanner_files",
    "which_method",
    "report",
    "train",
    "align",
    "denoise",
    "translate",
    "lesions",
    "generate",
    "dicom",
    "shell",
    "logging",
    "extend",
]
"""How-to pages in the order in which a person needs them"""
BENCHMARKS = {
    "benchmarks/RESULTS.md": "Beside other programs",
    "benchmarks/RESULTS-16-coils.md": "Beside other programs, 16 coils",
    "benchmarks/RESULTS-LEARNED.md": "Learned methods",
}
"""What the pages of benchmarks are called, in their order"""
_INLINE = re.compile(r"(?<!</span>)<code>[^<]*</code>")
_OPTION = re.compile(r"(?<![\w-])--?[a-z][\w-]*")
HOW_FOLDER = ROOT / "docs" / "how"


def on_config(config: Any) -> Any:
    """The navigation, from what there is."""
    how = sorted(HOW_FOLDER.glob("*.md"), key=lambda p: (HOW.index(p.stem) if p.stem in HOW else len(HOW), p.stem))
    methods = [{task: [f"methods/{task}/index.md", *pages]} for task, pages in made.method_pages().items()]
    order = list(BENCHMARKS)
    benchmarks = sorted((p for p in made.copied() if p.startswith("benchmarks/")), key=order.index)
    config.nav = [
        {"Home": "index.md"},
        {"How to": [f"how/{p.name}" for p in how]},
        {"Methods": methods},
        {"Reference": [*({t: p} for t, p in made.REFERENCE.items()), {"Registration": "registration.md"}]},
        {"Gallery": "gallery.md"},
        {"Results": ["results.md", *({BENCHMARKS[p]: p} for p in benchmarks)]},
        {"Inside": ["architecture.md", "training.md", *made.ROOT_PAGES]},
    ]
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add what is made."""
    from mkdocs.structure.files import File

    for path, text in made.pages().items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_content(html: str, **_: Any) -> str:
    """An option in a sentence stays in one line: browsers break `--voxel-mm` behind each hyphen."""
    return _INLINE.sub(lambda code: _OPTION.sub(r'<span class="option">\g<0></span>', code[0]), html)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Lists and tables stand apart from the text above them, as this markdown wants it and others do not."""
    return "\n".join(spaced(markdown.splitlines()))


def spaced(lines: list[str]) -> Iterator[str]:
    """The lines with an empty one wherever a list or a table begins."""
    before, fenced = "", False
    for line in lines:
        kind, of_before = _kind(line), _kind(before)
        begins = kind and kind != of_before and before.strip() and not before.startswith((" ", "\t"))
        if begins and not fenced:
            yield ""
        fenced ^= line.lstrip().startswith("```")
        yield line
        before = line


def _kind(line: str) -> str:
    if re.match(r"([-*]|\d+\.) ", line):
        return "list"
    return "table" if line.startswith("|") else ""
