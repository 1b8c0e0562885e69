"""Which series of a DICOM folder is meant: the only one, or the one that a person names."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spinecho.core.errors import DataError, setting
from spinecho.core.names import told_apart

_MOST = 40


def chosen(headers: Sequence[Any], said: str | None, do: str = "") -> list[Any]:
    """The data sets of one series.

    Parameters
    ----------
    said
        Its number, UID or description, or a part of that which no other has; None: there must be only one.
    do
        What the error advises where several are there and none can be named.

    Raises
    ------
    DataError
        Lists the series.
    """
    by_uid = defaultdict(list)
    for ds in headers:
        by_uid[str(ds.get("SeriesInstanceUID", ""))].append(ds)
    series = sorted(by_uid.values(), key=lambda s: (_number(s) is None, int(_number(s) or 0)))
    names = _names(series)
    if said is None:
        if len(series) == 1:
            return series[0]
        how = do or f"say which: {setting('series', names[0])}"
        raise DataError(f"the folder holds {len(series)} series ({_listed(series, names)})", do=how)
    fitting = _fitting(series, said)
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        listed = _listed(fitting, [names[series.index(s)] for s in fitting])
        raise DataError(
            f"{setting('series', said)} fits {len(fitting)} series ({listed})", do="give more of it, or its number"
        )
    how = f"say which: {setting('series', names[0])}"
    raise DataError(
        f"{setting('series', said)} fits none of its {len(series)} series ({_listed(series, names)})", do=how
    )


def _fitting(series: list[list[Any]], said: str) -> list[list[Any]]:
    """By UID, else by number, else by the whole description, else by a part of it."""
    said = said.strip()
    low = said.lower()
    ways = (
        lambda s: str(s[0].get("SeriesInstanceUID", "")) == said,
        lambda s: _number(s) is not None and _number(s) == _plain(said),
        lambda s: _title(s).lower() == low,
        lambda s: low in _title(s).lower(),
    )
    matches = ([s for s in series if fits(s)] for fits in ways) if said else ()
    return next((some for some in matches if some), [])


def _names(series: list[list[Any]]) -> list[str]:
    """What a person types: the number, or the UID where that is absent or there twice."""
    counts = Counter(map(_number, series))
    return [
        number if (number := _number(s)) is not None and counts[number] == 1 else str(s[0].get("SeriesInstanceUID", ""))
        for s in series
    ]


def _number(series: list[Any]) -> str | None:
    return _plain(str(series[0].get("SeriesNumber", "")).strip())


def _plain(text: str) -> str | None:
    """A number without zeros in front; None if it is none."""
    return (text.lstrip("0") or "0") if text.isascii() and text.isdigit() else None


def _title(series: list[Any]) -> str:
    title = series[0].get("SeriesDescription") or series[0].get("ProtocolName") or "unnamed"
    return " ".join(str(title).split())


def _listed(series: list[list[Any]], names: list[str]) -> str:
    lines, files = [], told_apart([Path(s[0].filename) for s in series])
    for s, name, file in zip(series[:_MOST], names, files, strict=False):
        first, n_frames = s[0], sum(int(ds.get("NumberOfFrames") or 1) for ds in s)
        frames = f", {n_frames} images of" if n_frames != len(s) else ","
        kind = "" if first.get("Modality") == "MR" else f", {first.get('Modality') or 'of unknown kind'}"
        size = f"{first.get('Rows')} x {first.get('Columns')}"
        lines.append(f"{name} {_title(s)}: {len(s)} files like {file}{frames} {size}{kind}")
    more = f"; and {len(series) - _MOST} more" if len(series) > _MOST else ""
    return "; ".join(lines) + more
