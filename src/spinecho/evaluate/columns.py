"""The columns of a table, made from its measures: the same in markdown and on the page; those without values go."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from spinecho.evaluate.judge import Measure
from spinecho.evaluate.tables import Line, Table
from spinecho.evaluate.words import figure, interval, number, probability, seconds

_SAYS_NOTHING = {"–", "baseline"}


@dataclass(frozen=True)
class Column:
    """A head, and what stands there in each line; `gain_of` names the measure whose gain it shows."""

    head: str
    tell: Callable[[Line], str]
    gain_of: str = ""


def columns(table: Table) -> list[Column]:
    """Contender, number of cases, the leading and the headline measures, the others, rank and costs."""
    shown = [Column("method", lambda one: one.method), Column("cases", lambda one: _cases(one, table.leading))]
    for m in table.measures:
        is_leading = m is table.leading
        if is_leading or m.headline:
            over = "over baseline" if is_leading else f"{m.title} over baseline"
            shown += [_spread(m, table), _gain(m, table.baseline, over)]
        else:
            shown.append(_value(m, table))
        if is_leading:
            shown.append(Column("p", lambda one: probability(one.p)))
    shown += [
        Column("mean rank", lambda one: number(one.rank, 1)),
        Column("wall s", lambda one: seconds(one.wall_s)),
        Column("CPU s", lambda one: seconds(one.cpu_s)),
        Column("peak GB", lambda one: number(one.peak_gb, 1)),
    ]
    return [c for c in shown if not {c.tell(one) for one in table.lines} <= _SAYS_NOTHING]


def titled(measure: Measure) -> str:
    """A measure with its unit."""
    return f"{measure.title}, {measure.unit}" if measure.unit else measure.title


def _cases(one: Line, m: Measure) -> str:
    """How many, or how many of them have the measure."""
    known = one.known[m.name]
    return str(one.n) if known == one.n else f"{known} of {one.n}"


def _fewer(one: Line, m: Measure, table: Table) -> str:
    """Behind the figure of a measure that other cases have than the leading one."""
    known = one.known[m.name]
    return f" ({known} of {one.n})" if known and known != one.known[table.leading.name] else ""


def _spread(m: Measure, table: Table) -> Column:
    def tell(one: Line) -> str:
        return interval(one.spreads[m.name], _digits(m)) + _fewer(one, m, table)

    return Column(f"{titled(m)} [95 %]", tell)


def _gain(m: Measure, baseline: str, head: str) -> Column:
    def tell(one: Line) -> str:
        return "baseline" if one.method == baseline else interval(one.gains.get(m.name), _digits(m), signed=True)

    return Column(head, tell, m.name)


def _value(m: Measure, table: Table) -> Column:
    head = titled(m) if m.summary == "mean" else f"worst {titled(m)}"
    return Column(head, lambda one: figure(one.values[m.name], m) + _fewer(one, m, table))


def _digits(m: Measure) -> int:
    return 3 if m.digits is None else m.digits
