"""Points in CSV files: a header with the columns x, y and z, millimetres; every other column is kept."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import numpy as np
import numpy.typing as npt

from spinecho.core.door import check_present
from spinecho.core.errors import DataError, setting
from spinecho.io.atomic import replacing

_LARGEST = 2**28
_WORLD = "world"
_WANTED = "write a first line with the names x,y,z and one point a line, millimetres"
_FLIP = np.array([-1.0, -1.0, 1.0])


@dataclass(frozen=True, eq=False)
class Points:
    """What a file holds.

    Parameters
    ----------
    places
        (n, 3) in LPS mm, whatever the file's axes are.
    names, rows
        All columns as text.
    ras
        Whether the file's own numbers are RAS.
    """

    places: npt.NDArray[np.float64]
    names: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    ras: bool = False


def read_points(path: Path, ras: bool = False) -> Points:
    """The points of a file; columns are parted by commas, semicolons or tabs, lines that begin with # are left out.

    Raises
    ------
    DataError
        If there is no such table, or its column `world` contradicts `ras`.
    """
    check_present(path)
    if not path.is_file():
        raise DataError("it is a folder, but a file is needed", do="check the path", file=path)
    if path.stat().st_size > _LARGEST:
        raise DataError("it is too large for a table of points", do=_WANTED, file=path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise DataError("it is not text", do=_WANTED, file=path) from None
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    first = lines[0] if lines else ""
    separator = max(",;\t", key=first.count)
    rows = [tuple(cell.strip() for cell in row) for row in csv.reader(lines, delimiter=separator)]
    names = rows[0] if rows else ()
    order = _columns(names, path)
    places = np.array([_numbers(row, order, i, path) for i, row in enumerate(rows[1:], 1)]).reshape(-1, 3)
    points = Points(places * _FLIP if ras else places, names, tuple(rows[1:]), ras)
    _check_world(points, path)
    return points


def write_points(points: Points, moved: npt.NDArray[np.float64], world: str, path: Path) -> Path:
    """The table with other places (LPS mm), in the axes it came in; its column `world` says where they lie now.

    Parameters
    ----------
    moved
        (n, 3), LPS mm.
    world
        "moving" or "fixed".
    """
    order = _columns(points.names, path)
    numbers = moved * _FLIP if points.ras else moved
    kept = [i for i, name in enumerate(points.names) if name.lower() != _WORLD]
    told = f"{world} {'RAS' if points.ras else 'LPS'} mm"
    text = StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow([*(points.names[i] for i in kept), _WORLD])
    for row, place in zip(points.rows, numbers, strict=True):
        cells = dict(enumerate(row)) | {i: f"{v:.6f}" for i, v in zip(order, place, strict=True)}
        table.writerow([*(cells.get(i, "") for i in kept), told])
    with replacing(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")
    return path


def _columns(names: tuple[str, ...], path: Path) -> tuple[int, int, int]:
    lower = [name.lower() for name in names]
    if any(lower.count(axis) != 1 for axis in "xyz"):
        problem = f"its first line is {','.join(names)[:60]!r}, and names no columns x, y and z"
        raise DataError(problem, do=_WANTED, file=path)
    return lower.index("x"), lower.index("y"), lower.index("z")


def _numbers(row: tuple[str, ...], order: tuple[int, int, int], number: int, path: Path) -> list[float]:
    try:
        place = [float(row[i]) for i in order]
    except (ValueError, IndexError):
        place = [float("nan")]
    if not np.isfinite(place).all():
        raise DataError(f"point {number} is {','.join(row)[:60]!r}, which is not a place", do=_WANTED, file=path)
    return place


def _check_world(points: Points, path: Path) -> None:
    lower = [name.lower() for name in points.names]
    if _WORLD not in lower:
        return
    index, other = lower.index(_WORLD), "LPS" if points.ras else "RAS"
    if any(other in row[index] for row in points.rows if index < len(row)):
        do = f"leave out {setting('points_ras')}" if points.ras else f"add {setting('points_ras', True)}"
        raise DataError(f"its column {_WORLD!r} says that the points are {other}", do=do, file=path)
