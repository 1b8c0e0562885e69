"""Tables of reconstruction as markdown."""

from __future__ import annotations

from collections.abc import Sequence

from spinecho.core.version import __version__
from spinecho.evaluate.markdown import row_of
from spinecho.evaluate.words import FLOOR, interval, number, seconds
from spinecho.tasks.recon.judge.protocol import JUDGED
from spinecho.tasks.recon.judge.rows import Row
from spinecho.tasks.recon.judge.tables import KINDS, SHOWN, Table, tables

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
