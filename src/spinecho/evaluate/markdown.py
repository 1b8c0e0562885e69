"""Tables as markdown, in named sections of a file that are replaced one by one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from spinecho.core.errors import DataError
from spinecho.core.version import __version__
from spinecho.evaluate.protocol import JUDGED
from spinecho.evaluate.rows import Row
from spinecho.evaluate.tables import KINDS, SHOWN, Table, tables
from spinecho.evaluate.words import FLOOR, interval, number, seconds
from spinecho.io.atomic import replacing

_HEAD = (
    ("method", "cases", "psnr, dB [95 %]", "ssim [95 %]", "psnr over baseline, dB", "ssim over baseline"),
    ("psnr inside", "nmse", "hfen", "mean rank", "wall s", "CPU s"),
)


def table_lines(table: Table, baseline: str) -> list[str]:
    """One table as lines of markdown, with its title and what it rests on."""
    head = [*_HEAD[0], *_HEAD[1]]
    lines = [f"**{table.title}**", "", row_of(head), row_of(["---", *["---:"] * (len(head) - 1)])]
    for line in table.lines:
        own = "baseline"
        cells = [
            f"`{line.method}`",
            str(line.n),
            interval(line.psnr),
            interval(line.ssim, 3),
            own if line.method == baseline else interval(line.psnr_gain, signed=True),
            own if line.method == baseline else interval(line.ssim_gain, 3, signed=True),
            number(line.psnr_inside),
            number(line.nmse, 4),
            number(line.hfen, 3),
            number(line.rank, 1),
            seconds(line.wall_s),
            seconds(line.cpu_s),
        ]
        lines.append(row_of(cells))
    return [*lines, ""]


def ceiling_words(table: Table) -> str:
    """The noise ceiling as a sentence."""
    return (
        f"Noise ceiling (estimated): a noise-free image would score {number(table.ceiling)} dB against this noisy "
        f"truth, one that carries the mean noise floor in air as well {number(table.ceiling_floor)} dB."
    )


def basis(table: Table) -> str:
    """What the intervals were resampled over."""
    over = table.lines[0].psnr.resampled if table.lines else "cases"
    slices = f"{table.n_scans} slice{'s' * (table.n_scans > 1)}"
    warning = "" if over == "scans" or table.n_scans >= 3 else ", so they say nothing of other scans"
    return f"{slices}; intervals resampled over {over}{warning}"


def section_text(rows: Sequence[Row], baseline: str, command: str) -> str:
    """All tables, real and simulated apart, with the command that makes them."""
    lines = [f"Made by spinecho {__version__} with", "", "```", command, "```", ""]
    for kind in KINDS:
        found = tables(rows, kind, baseline)
        if not found:
            continue
        lines += [f"### {SHOWN[kind]}", "", f"{_scans(rows, kind)}. {basis(found[-1]).capitalize()}.", ""]
        for table in found:
            lines += table_lines(table, baseline)
        if found[-1].ceiling is not None:
            lines += [ceiling_words(found[-1]), ""]
    refused = sorted({(r.method, r.scan, r.refused) for r in rows if r.refused})
    lines += [f"- not run: `{method}` on {scan}: {why}" for method, scan, why in refused]
    lines += [""] * bool(refused)
    return "\n".join([*lines, f"{JUDGED}. {FLOOR}. Seconds: median per slice; for an oracle its whole search."])


def _scans(rows: Sequence[Row], kind: str) -> str:
    named = {f"{r.scan} ({r.n_coils} coil{'s' * (r.n_coils > 1)}, {r.matrix})": None for r in rows if r.kind == kind}
    shown = list(named)
    return "; ".join(shown[:6]) + (f" and {len(shown) - 6} more" if len(shown) > 6 else "")


def row_of(cells: Sequence[str]) -> str:
    """A line of a markdown table."""
    return "| " + " | ".join(cells) + " |"


def write_section(path: Path, name: str, text: str) -> None:
    """Put the text between `<!-- results: NAME -->` and `<!-- end: NAME -->`: replaced, or appended where absent.

    Raises
    ------
    DataError
        If the markers are damaged, or the file cannot be written.
    """
    begin, end = f"<!-- results: {name} -->", f"<!-- end: {name} -->"
    old = path.read_text(encoding="utf-8") if path.exists() else "# Results\n"
    if (old.count(begin), old.count(end)) not in ((0, 0), (1, 1)) or old.find(begin) > old.find(end):
        raise DataError(
            f"the markers of section {name!r} are not one pair", do=f"keep one {begin} and {end}", file=path
        )
    block = f"{begin}\n## {name}\n\n{text.rstrip()}\n\n{end}"
    if begin in old:
        new = re.sub(re.escape(begin) + ".*" + re.escape(end), lambda _: block, old, flags=re.DOTALL)
    else:
        new = f"{old.rstrip()}\n\n{block}\n"
    with replacing(path) as temporary:
        temporary.write_text(new, encoding="utf-8")
