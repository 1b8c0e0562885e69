"""Tables of points: columns found by name, everything else kept, and which world they lie in."""

from __future__ import annotations

import numpy as np
import pytest

from spinecho.core.errors import DataError
from spinecho.io.points import read_points, write_points


def table(tmp_path, text: str):
    path = tmp_path / "p.csv"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_columns_are_found_by_name(separator, tmp_path):
    text = separator.join(["label", "Z", "x", "Y"]) + "\n" + separator.join(["ac", "3", "1.5", "-2"]) + "\n\n"
    points = read_points(table(tmp_path, "# a comment\n" + text))
    assert points.places.tolist() == [[1.5, -2.0, 3.0]]


def test_what_is_written_keeps_order_and_columns(tmp_path):
    points = read_points(table(tmp_path, "label,x,y,z,t\nac,1,2,3,0\npc,4,5,6,0\n"))
    write_points(points, points.places + 1, "moving", tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == (
        "label,x,y,z,t,world\n"
        "ac,2.000000,3.000000,4.000000,0,moving LPS mm\n"
        "pc,5.000000,6.000000,7.000000,0,moving LPS mm\n"
    )
    again = read_points(tmp_path / "out.csv")
    np.testing.assert_array_equal(again.places, points.places + 1)
    write_points(again, again.places, "fixed", tmp_path / "back.csv")
    assert (tmp_path / "back.csv").read_text().splitlines()[0] == "label,x,y,z,t,world"
    with pytest.raises(DataError, match="leave out points_ras"):
        read_points(tmp_path / "out.csv", ras=True)


def test_ras_is_turned_and_turned_back(tmp_path):
    points = read_points(table(tmp_path, "x,y,z\n1,2,3\n"), ras=True)
    assert points.places.tolist() == [[-1.0, -2.0, 3.0]]
    write_points(points, points.places, "fixed", tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == "x,y,z,world\n1.000000,2.000000,3.000000,fixed RAS mm\n"
    with pytest.raises(DataError, match="add points_ras=True"):
        read_points(tmp_path / "out.csv")


def test_no_points_are_none(tmp_path):
    points = read_points(table(tmp_path, "x,y,z\n"))
    assert points.places.shape == (0, 3)
    write_points(points, points.places, "fixed", tmp_path / "out.csv")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "names no columns x, y and z"),
        ("1,2,3\n4,5,6\n", "names no columns x, y and z"),
        ("x,y,z,x\n1,2,3,4\n", "names no columns x, y and z"),
        ("x,y,z\n1,2\n", "point 1 is '1,2'"),
        ("x,y,z\n1,2,3\n1,two,3\n", "point 2 is '1,two,3'"),
        ("x,y,z\n1,nan,3\n", "is not a place"),
    ],
)
def test_tables_that_are_none(text, told, tmp_path):
    with pytest.raises(DataError, match=told):
        read_points(table(tmp_path, text))


def test_files_that_are_no_text(tmp_path):
    path = tmp_path / "p.csv"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="it is not text"):
        read_points(path)
    with pytest.raises(DataError, match="there is no such file"):
        read_points(tmp_path / "absent.csv")
