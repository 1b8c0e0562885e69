"""Marks on the fields of a command's arguments, and what a parser makes of them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spinecho.cli.parse import given_settings, parse, value_of, with_settings
from spinecho.core.errors import DataError
from spinecho.core.option import HIDDEN, INLINE, OUTPUTS, POSITIONAL, REPEATED, Option

TABLE = Option(aliases=("-t",))


@dataclass(frozen=True, kw_only=True)
class Group:
    key: str | None = None
    """name of the variable"""


@dataclass(frozen=True, kw_only=True)
class Marked:
    scan: Annotated[Path, POSITIONAL]
    """what to read"""
    outputs: Annotated[tuple[Path, ...], OUTPUTS] = ()
    """where it goes"""
    table: Annotated[Path | None, TABLE] = None
    """one table"""
    labels: Annotated[tuple[int, ...], REPEATED] = ()
    """regions"""
    secret: Annotated[int, HIDDEN] = 5
    """not for people"""
    size_mm: Annotated[float, Option(name="size", metavar="MM")] = 1.0
    """of a voxel"""
    kind: Literal["small", "large"] = "small"
    """which"""
    guard: bool = True
    """whether to look twice"""
    threads: int | None = None
    """processors"""
    group: Annotated[Group, INLINE] = field(default_factory=Group)


@dataclass(frozen=True, kw_only=True)
class Twice:
    outputs: Annotated[tuple[Path, ...], OUTPUTS] = ()
    """where it goes"""


@dataclass(frozen=True, kw_only=True)
class Weighted:
    weight: float = 0.25
    """of the penalty"""
    n_iters: int = 7
    """of the solver"""


def told(arguments: list[str], capsys: pytest.CaptureFixture[str], kind: type = Marked) -> tuple[object, str]:
    with pytest.raises(SystemExit) as end:
        parse(kind, "test", "About it.", arguments)
    shown = capsys.readouterr()
    return end.value.code, re.sub(r"[\s│|]+", " ", shown.out + shown.err)


def test_one_option_may_be_given_several_times_by_its_short_name():
    args = parse(Twice, "test", "", ["-o", "a.nii", "-o", "b.png", "--outputs", "c.npy"])
    assert args.outputs == (Path("a.nii"), Path("b.png"), Path("c.npy"))


def test_marks_stand_for_what_a_person_types():
    words = [
        "s.h5",
        "--labels",
        "3",
        "--labels",
        "17",
        "--size",
        "2.5",
        "--no-guard",
        "--key",
        "k",
        "--kind",
        "large",
        "-t",
        "t",
    ]
    args = parse(Marked, "test", "", words)
    assert (args.scan, args.labels, args.size_mm, args.guard) == (Path("s.h5"), (3, 17), 2.5, False)
    assert (args.group.key, args.kind, args.secret, args.table) == ("k", "large", 5, Path("t"))


def test_help_shows_places_names_and_what_turns_things_off(capsys):
    code, text = told(["--help"], capsys)
    assert code == 0
    for word in ("--size MM", "--key TEXT", "--no-guard", "this turns it off", "--threads INT", "{small,large}"):
        assert word in text
    assert "--secret" not in text and "not for people" not in text and "--scan" not in text


@pytest.mark.parametrize("words", [["--size-mm", "2"], ["--scan", "a"], ["--group.key", "k"], ["--guard", "yes"]])
def test_a_field_has_no_second_name(words, capsys):
    assert told(["s.h5", *words], capsys)[0] == 2


@pytest.mark.parametrize("threads", ["0", "-3"])
def test_less_than_one_thread_is_refused(threads):
    with pytest.raises(DataError, match="give 1 or more"):
        parse(Marked, "test", "", ["s.h5", "--threads", threads])


def test_the_last_of_two_values_counts_for_the_parser_and_before_it():
    words = ["s.h5", "--kind", "small", "--kind=large"]
    assert parse(Marked, "test", "", words).kind == value_of("--kind", words, "") == "large"


@settings(max_examples=40)
@given(
    before=st.lists(st.sampled_from(["a.h5", "--loud", "-o", "x.nii"]), max_size=4), value=st.text("abc=-", min_size=1)
)
def test_a_value_is_found_in_both_spellings_wherever_it_stands(before, value):
    for words in ([*before, "--method", value], [*before, f"--method={value}", "z"]):
        assert value_of("--method", words, "none") == value
    assert value_of("--method", [*before, "--methods", value], "none") == "none"
    assert value_of("--method", [*before, "--method"], "none") == "none"


def test_settings_of_a_method_keep_what_was_given_and_hide_the_rest(capsys):
    kind = with_settings(Twice, Weighted, Weighted(weight=0.5, n_iters=3), ["weight"])
    assert given_settings(parse(kind, "test", "", [])) == {"weight": 0.5, "n_iters": 3}
    assert given_settings(parse(kind, "test", "", ["--weight", "2"])) == {"weight": 2.0, "n_iters": 3}
    code, text = told(["--help"], capsys, kind)
    assert code == 0 and "--weight" in text and "--n-iters" not in text
    assert given_settings(parse(Twice, "test", "", [])) == {}


def test_the_settings_are_still_of_the_methods_own_class():
    args = parse(with_settings(Twice, Weighted, Weighted(n_iters=1)), "test", "", [])
    assert isinstance(args.settings, Weighted) and isinstance(args, Twice)
    assert [f.name for f in fields(args.settings)] == ["weight", "n_iters"]


@dataclass(frozen=True, kw_only=True)
class Ranges:
    part: tuple[int, int] | None = None
    """which"""
    at: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """where"""
    group: Annotated[Group, INLINE] = field(default_factory=Group)
    names: tuple[str, ...] = ()
    """any number"""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--part 3", "--part takes 2 values, given: 3 -> write --part INT INT"),
        ("--part", "--part takes 2 values, given: none"),
        ("--part 3 --names a", "given: 3 "),
        ("--part 3 -o a", "given: 3 "),
        ("--at 1 -2", "--at takes 3 values, given: 1 -2 -> write --at FLOAT FLOAT FLOAT"),
    ],
)
def test_too_few_values_are_one_sentence(words, said):
    with pytest.raises(DataError) as refused:
        parse(Ranges, "test", "", words.split())
    assert said in refused.value.typed()


def test_enough_values_go_through():
    made = parse(Ranges, "test", "", ["--part", "3", "-4", "--at", "-1", "2", "-3e-1", "--names", "a", "b"])
    assert (made.part, made.at, made.names) == ((3, -4), (-1.0, 2.0, -0.3), ("a", "b"))
