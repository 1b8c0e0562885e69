"""Tables as markdown, in named sections of a file that are replaced one by one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from spinecho.core.errors import DataError, setting
from spinecho.core.version import __version__
from spinecho.evaluate.columns import columns
from spinecho.evaluate.judge import Judge
from spinecho.evaluate.rows import Row
from spinecho.evaluate.tables import Table, tables
from spinecho.io.atomic import replacing

SHOWN = {
    "real": "Real scans",
    "simulated": "Simulated scans (nothing here says how a method does on a scanner)",
    "": "",
}
"""How the kinds are headed."""
READ = (
    "Intervals: 95 %, bootstrap. Differences are paired, case by case; p: Wilcoxon's signed-rank test. Mean rank: 1 is "
    "best, by the first measure, over the cases in which all have it. Seconds: medians; peak memory: the largest"
)
"""How tables are read."""
_MOST_NAMES = 6


def section_text(rows: Sequence[Row], judge: Judge, baseline: str, command: str, machine: str = "") -> str:
    """All tables, real and simulated apart, with the command that makes them and who was not run."""
    lines = [f"Made by spinecho {__version__} with", "", "```", command, "```", ""]
    lines += [machine, ""] if machine else []
    headed = ""
    for table in tables(rows, judge, baseline):
        if table.kind != headed:
            headed = table.kind
            lines += [f"### {SHOWN[headed]}", ""] if headed else []
        lines += table_lines(table)
        for remark in judge.remarks(table.rows) if table.is_whole else ():
            lines += [remark, ""]
    notes = [f"- not run: `{m}` on {scans}: {why}" for m, scans, why in refusals(rows)]
    calls = {r.method: r.calls for r in reversed(rows) if r.calls}
    notes += [f"- `{method}` was asked for (first case's files): `{call}`" for method, call in sorted(calls.items())]
    return "\n".join([*lines, *notes, *([""] if notes else []), f"{judge.JUDGED}. {READ}."])


def table_lines(table: Table) -> list[str]:
    """One table, best contender first, with its title and what it rests on."""
    shown = columns(table)
    lines = [f"**{table.title}**: {table.basis}", "", row_of([c.head for c in shown])]
    lines.append(row_of(["---", *["---:"] * (len(shown) - 1)]))
    return [*lines, *(row_of([f"`{one.method}`", *(c.tell(one) for c in shown[1:])]) for one in table.lines), ""]


def refusals(rows: Sequence[Row]) -> list[tuple[str, str, str]]:
    """Contender, the scans that it was not run on, and why; reasons that differ only in the scan's name are one."""
    scans: dict[tuple[str, str], dict[str, None]] = {}
    for row in rows:
        if row.refused:
            name = row.scan.rpartition(" ")[2]
            why = re.sub(rf"\b{re.escape(name)}(?=$|[\s,;:])", "it", " ".join(row.refused.split()))
            scans.setdefault((row.method, why), {})[row.scan] = None
    return [(method, names(list(of)), why) for (method, why), of in sorted(scans.items())]


def names(all_of_them: Sequence[str]) -> str:
    """The first few of many names."""
    more = len(all_of_them) - _MOST_NAMES
    return "; ".join(all_of_them[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def row_of(cells: Sequence[str]) -> str:
    """A line of a markdown table."""
    return "| " + " | ".join(cells) + " |"


def check_section(path: Path, name: str) -> None:
    """Refuse before the work what `write_section` would refuse after it.

    Raises
    ------
    DataError
        If the file is no text, its markers are damaged, or the name cannot stand in one.
    """
    if "-->" in name or "\n" in name:
        problem = f"{setting('section', name)} cannot stand in a marker"
        raise DataError(problem, do="give a name of one line without -->")
    _old(path, name)


def write_section(path: Path, name: str, text: str) -> None:
    """Put the text between `<!-- results: NAME -->` and `<!-- end: NAME -->`: replaced, or appended where absent.

    Raises
    ------
    DataError
        If the markers are damaged, or the file cannot be written.
    """
    begin, end = _markers(name)
    old = _old(path, name)
    block = f"{begin}\n## {name}\n\n{text.rstrip()}\n\n{end}"
    if begin in old:
        new = re.sub(re.escape(begin) + ".*" + re.escape(end), lambda _: block, old, flags=re.DOTALL)
    else:
        new = f"{old.rstrip()}\n\n{block}\n"
    with replacing(path) as temporary:
        temporary.write_text(new, encoding="utf-8", errors="backslashreplace")


def _markers(name: str) -> tuple[str, str]:
    return f"<!-- results: {name} -->", f"<!-- end: {name} -->"


def _old(path: Path, name: str) -> str:
    """What the file holds, if it can take the section."""
    begin, end = _markers(name)
    try:
        old = path.read_text(encoding="utf-8") if path.exists() else "# Results\n"
    except UnicodeDecodeError as error:
        do = "save it as UTF-8, or give another file"
        raise DataError(f"it is no text in UTF-8 (byte {error.start})", do=do, file=path) from None
    if (old.count(begin), old.count(end)) not in ((0, 0), (1, 1)) or old.find(begin) > old.find(end):
        problem = f"the markers of section {name!r} are not one pair"
        raise DataError(problem, do=f"keep one {begin} and {end}", file=path)
    return old
