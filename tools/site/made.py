"""The pages made from the code (methods, tasks, commands, public names, errors), and those copied from the root."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import sentences
from dataclass_tables import entries, table

import spinecho
from spinecho import cli
from spinecho.cli import frame
from spinecho.methods import registry

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "spinecho"
ROOT_PAGES = ("CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
REFERENCE = {"Python": "api.md", "Commands": "commands.md", "What errors say": "troubleshooting.md"}
_LINK = re.compile(r"\]\((?!https?:|#)([^)\s]+)\)")
_OUTSIDE = re.compile(r"\[([^\]]+)\]\((?:examples|tests|tools)/[^)\s]+\)")
_DOI = re.compile(r"doi:(10\.\d{4,}/(?:\([^\s()]*\)|[^\s,;()])*(?:\([^\s()]*\)|[^\s,;().]))")
_EVALUATED = re.compile(r"^spinecho evaluate (?:(\w+)|--)", re.MULTILINE)
_ARXIV = re.compile(r"arXiv:(\d{4}\.\d{4,5})")


def pages() -> dict[str, str]:
    """Text of every page by its path in the site."""
    made = {path: text for task in registry.tasks() for path, text in _of_task(task)}
    made |= {"api.md": api(), "commands.md": commands(), "troubleshooting.md": troubleshooting()}
    return made | copied()


def method_pages() -> dict[str, list[str]]:
    """Paths of the methods' pages of each task."""
    return {t: [f"methods/{t}/{name}.md" for name in registry.names(t)] for t in registry.tasks()}


@cache
def copied() -> dict[str, str]:
    """Files of the root, with their links as the site has them; the README is the first page."""
    files = {"index.md": "README.md"} | {name: name for name in ROOT_PAGES}
    files |= {f"benchmarks/{p.name}": f"benchmarks/{p.name}" for p in sorted((ROOT / "benchmarks").glob("*.md"))}
    return {path: _relinked((ROOT / file).read_text(encoding="utf-8")) for path, file in files.items()}


def _relinked(text: str) -> str:
    """Links from the root of the repository as links within the site; what is not on the site is named alone."""

    def moved(link: re.Match[str]) -> str:
        target = link[1].removeprefix("docs/")
        if card := re.fullmatch(r"src/spinecho/weights/(\w+)/(\w+)\.md", target):
            offer = registry.offer(card[1], card[2])
            target = f"methods/{card[1]}/{offer.method}.md#weights-{offer.name}"
        return f"]({target})"

    return _LINK.sub(moved, _OUTSIDE.sub(r"\1", text))


def _of_task(task: str) -> Iterator[tuple[str, str]]:
    module = registry.task_named(task)
    rows = [f"| [`{o.name}`]({o.method}.md) | {o.summary} | {_state(o)} |" for o in registry.offers(task)]
    parts = [
        f"# {task}: {module.WHAT}",
        inspect.getdoc(module) or "",
        f"Without `--method`, `spinecho {task}` uses [`{module.DEFAULT}`]({module.DEFAULT}.md).",
        "## Methods\n\n| name | what it does | weights |\n|---|---|---|\n" + "\n".join(rows),
        f"## In Python\n\n::: {spinecho.HOMES[task]}.{task}",
        f"## On the command line\n\nSee [spinecho {task}](../../commands.md#{task}).",
    ]
    yield f"methods/{task}/index.md", "\n\n".join(parts) + "\n"
    for name in registry.names(task):
        yield f"methods/{task}/{name}.md", _of_method(task, name)


def _of_method(task: str, name: str) -> str:
    module = registry.load(task, name)
    said, source, *_ = [*re.split(r"\s(?=Sources?: )", inspect.getdoc(module) or "", maxsplit=1), ""]
    settings = list(entries(module.Config))
    parts = [
        f"# {name}",
        _tidy(said).strip(),
        f'`spinecho {task} --method {name}`, in Python `spinecho.{task}(…, "{name}")`.',
    ]
    if registry.is_learned(task, name):
        parts.append(f"A learned method; `spinecho train {task}/{name}` trains it.")
    if settings:
        parts.append(f"## Settings\n\n{table(settings)}")
    if module.Method.tunable:
        tunable = ", ".join(f"`{t}`" for t in module.Method.tunable)
        parts.append(f"With trained weights, only these can be set: {tunable}. The training fixes the others.")
    parts.append(f"## Source\n\n{_tidy(source)}" if source else "")
    parts += [_card(o) for o in registry.offers(task) if o.method == name and o.weights is not None]
    parts.append(_figures(task, name))
    return "\n\n".join(p for p in parts if p) + "\n"


def _card(offer: registry.Offer) -> str:
    """The weights' card, its headings two levels down."""
    assert offer.weights is not None
    text = offer.weights.with_suffix(".md").read_text(encoding="utf-8")
    title, _, body = text.partition("\n")
    body = re.sub(r"^(#+ )", r"#\1", _relinked(body), flags=re.MULTILINE)
    said = title.removeprefix("# ").partition(": ")[2]
    head = f"## Weights `{offer.name}` {{ #weights-{offer.name} }}"
    return f"{head}\n\n{said[:1].upper()}{said[1:]}.\n{body}"


def _figures(task: str, name: str) -> str:
    """Where the results' tables have this method."""
    having = [title for title, section, tasks in _results() if task in tasks and _has(section, name)]
    links = "".join(f"- [{title}](../../results.md#{_slug(title)})\n" for title in having)
    return f"## Figures\n\n{links}" if having else ""


@cache
def _results() -> list[tuple[str, str, set[str]]]:
    """The sections of the results: title, text, and the tasks whose methods it compares, since tasks share names.

    These are named by the command that made the section, else by the methods in it that only one task has.
    """
    text = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    homes: dict[str, list[str]] = {}
    for task in registry.tasks():
        for name in registry.names(task):
            homes.setdefault(name, []).append(task)
    told = []
    for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        named = {m[1] or "recon" for m in _EVALUATED.finditer(section)}
        own = {at[0] for name, at in homes.items() if len(at) == 1 and _has(section, name)}
        told.append((section.partition("\n")[0], section, named or own))
    return told


def _has(section: str, name: str) -> bool:
    return bool(re.search(rf"^\|.*\b{name}\b.*\|", section, re.MULTILINE))


def _state(offer: registry.Offer) -> str:
    if not offer.learned:
        return "none needed"
    if offer.weights is None:
        return "none yet"
    size = offer.weights.stat().st_size
    return f"{size / 1e6:.1f} MB, in the package" if size > 1e5 else f"{size / 1e3:.0f} kB, in the package"


def _tidy(text: str) -> str:
    """A docstring as markdown: DOIs and arXiv numbers are links."""
    text = _DOI.sub(r"[doi:\1](https://doi.org/\1)", text)
    return _ARXIV.sub(r"[arXiv:\1](https://arxiv.org/abs/\1)", text)


def _slug(title: str) -> str:
    from markdown.extensions.toc import slugify

    return slugify(title, "-")


def api() -> str:
    """All public names."""
    functions = [n for n in sorted(spinecho.HOMES) if n[0].islower()]
    nouns = [n for n in sorted(spinecho.HOMES) if n[0].isupper()]
    parts = ["# Python", inspect.getdoc(spinecho) or ""]
    for title, group in (("Functions", functions), ("Classes", nouns)):
        parts += [f"## {title}", *(f"::: {spinecho.HOMES[name]}.{name}" for name in group)]
    return "\n\n".join(parts) + "\n"


def commands() -> str:
    """Every command with its options, and the exit codes."""
    codes = (inspect.getdoc(cli.main) or "").partition("Returns\n-------\n")[2].replace("\n", " ")
    parts = ["# Commands", _SAME, f"## Exit codes\n\nA command ends with {codes}"]
    for name, file in cli._commands().items():
        parts.append(f"## {name}\n\n{_options(name, file)}")
    return "\n\n".join(parts) + "\n"


def _options(name: str, file: Path) -> str:
    """What a command does, and what can be said to it."""
    module = cli._command(file)
    kind = module.Arguments
    if file.parent != cli._FOLDER and hasattr(module, "method"):
        kind = frame.with_method(kind, name, kind.method, "", {})
    listed = [e for e in entries(kind) if e.name != "settings"]
    said = re.sub(r"^  (?=\S)", "    ", inspect.getdoc(module) or "", flags=re.MULTILINE)
    return f"{said}\n\n{table(listed, typed=True)}"


def troubleshooting() -> str:
    """Every sentence of every error, by module."""
    by_module: dict[str, list[sentences.Sentence]] = {}
    for one in sorted([*sentences.sentences(PACKAGE), *sentences.listed(PACKAGE)], key=lambda s: (s.module, s.line)):
        by_module.setdefault(one.module, []).append(one)
    parts = ["# What errors say", _HOW_TO_SEARCH]
    for module, told in by_module.items():
        rows = "".join(f"| {_plain(s.problem)} | {_plain(s.do)} |\n" for s in told)
        parts.append(f"## {module}\n\n| what is wrong | what to do |\n|---|---|\n{rows}")
    why = "".join(
        f"| {s.module.removeprefix('spinecho.')} | {_plain(s.problem)} |\n" for s in sentences.refusals(PACKAGE)
    )
    parts.append(f"{_REFUSALS}\n\n| method | reason |\n|---|---|\n{why}")
    return "\n\n".join(parts) + "\n"


_SAME = "`spinecho COMMAND --help` says the same; a method's settings are options too: `--method NAME --help`."
_HOW_TO_SEARCH = """Bad input gives one sentence: what was found, and what to do about it. These are all of
them. Search this page (Ctrl-F) for a few words of the message; your own numbers and names appear here in braces. The
search box above looks for single words on all pages, and seldom finds a sentence. A setting that reads `--axes` here is
`axes=` in Python. `--debug` shows where an error comes from."""
_REFUSALS = """## Why a method cannot handle an input

These are the reasons behind "METHOD cannot take this scan" or "this image"; `auto` and the demo give them too."""


def _plain(text: str) -> str:
    """Text that markdown leaves alone, and that does not end in what would be taken for attributes of its cell."""
    escaped = re.sub(r"([|*_\[\]`#~])", r"\\\1", " ".join(text.split()).replace("<", "&lt;"))
    return re.sub(r"\{([^{}]*\})$", r"&#123;\1", escaped)
