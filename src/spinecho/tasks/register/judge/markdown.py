"""Tables of registration as markdown, with the command that makes them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from spinecho.core.version import __version__
from spinecho.evaluate.markdown import row_of
from spinecho.evaluate.words import interval, number, seconds
from spinecho.tasks.register.judge.measure import MEASURED
from spinecho.tasks.register.judge.rows import PairRow
from spinecho.tasks.register.judge.tables import Line, Table, tables

_LEADING = {"dice": ("Dice", 4), "error_mm": ("error, mm", 3), "ncc_after": ("NCC", 4)}
_COLUMNS: tuple[tuple[str, Callable[[Line], str]], ...] = (
    ("HD95, voxels", lambda one: number(one.means["hd95_voxels"])),
    ("HD95, mm", lambda one: number(one.means["hd95_mm"])),
    ("error p95, mm", lambda one: number(one.means["error_p95_mm"])),
    ("inverse, mm", lambda one: number(one.means["inverse_mm"], 3)),
    ("SDlogJ", lambda one: number(one.means["sdlogj"], 3)),
    ("folds, central", lambda one: _share(one.folded_central)),
    ("folds, digital", lambda one: _share(one.folded_digital)),
    ("NCC after", lambda one: number(one.means["ncc_after"], 3)),
    ("mean rank", lambda one: number(one.rank, 1)),
    ("wall s", lambda one: seconds(one.wall_s)),
    ("CPU s", lambda one: seconds(one.cpu_s)),
    ("peak GB", lambda one: number(one.peak_gb, 1)),
)


def section_text(rows: Sequence[PairRow], baseline: str, command: str, machine: str) -> str:
    """All tables; columns that no method has are left out."""
    lines = [f"Made by spinecho {__version__} with", "", "```", command, "```", "", machine, ""]
    for table in tables(rows, baseline):
        lines += [f"### {table.group}: {table.n_pairs} pairs", "", *table_lines(table, baseline), ""]
    refused = sorted({(r.method, r.group, r.pair, r.refused) for r in rows if r.refused})
    lines += [f"- not run: `{m}` on {group} {pair}: {' '.join(why.split())}" for m, group, pair, why in refused]
    lines += [""] * bool(refused)
    calls = {r.method: r.calls for r in rows if r.calls}
    lines += [f"- `{method}` was asked for (first pair's files): `{call}`" for method, call in calls.items()]
    lines += [""] * bool(calls)
    told = "Intervals: 95 %, resampled over pairs. Folds: the worst pair's share of voxels. Seconds: medians"
    return "\n".join([*lines, f"{MEASURED}. {told}; peak memory: the largest."])


def table_lines(table: Table, baseline: str) -> list[str]:
    """One table, best method first."""
    name, digits = _LEADING[table.leading]
    shown = [(head, tell) for head, tell in _COLUMNS if any(tell(one) != "–" for one in table.lines)]
    head = ["method", "pairs", f"{name} [95 %]", "over baseline", "p", *(h for h, _ in shown)]
    lines = [row_of(head), row_of(["---", *["---:"] * (len(head) - 1)])]
    for one in table.lines:
        gain = "baseline" if one.method == baseline else interval(one.gain, digits, signed=True)
        first = [f"`{one.method}`", str(one.n), interval(one.leading, digits), gain, _p(one.p)]
        lines.append(row_of([*first, *(tell(one) for _, tell in shown)]))
    return lines


def _share(value: float) -> str:
    return "–" if math.isnan(value) else "0" if value == 0 else f"{value:.2g}"


def _p(value: float) -> str:
    return "–" if math.isnan(value) else "<.0001" if value < 1e-4 else f"{value:.4f}"
