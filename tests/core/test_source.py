"""Summaries are read from the text of a module, whatever its docstring looks like."""

from __future__ import annotations

import ast
from dataclasses import dataclass, make_dataclass
from pathlib import Path

import pytest

import spinecho
from spinecho.core.source import field_docs, summary

PACKAGE = Path(spinecho.__file__).parent


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('"""One line."""\nimport os\n', "One line."),
        ('"""First.\n\nfrom the second on\nclass by class.\n"""\n\nimport os\n', "First."),
        ("# a remark\n'''Quoted otherwise.\n\nMore.'''\nx = 1\n", "Quoted otherwise."),
        ('"""Nothing but this.\n"""', "Nothing but this."),
        ("import os\n", ""),
        ('x = 1\n"""No docstring."""\n', ""),
        ("", ""),
    ],
)
def test_the_first_line_of_a_docstring(tmp_path, text, told):
    file = tmp_path / "module.py"
    file.write_text(text)
    assert summary(file) == told


def test_every_module_of_the_package_has_the_summary_that_python_gives_it():
    for file in PACKAGE.rglob("*.py"):
        whole = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
        assert summary(file) == whole.partition("\n")[0], file


@dataclass
class Base:
    first: int
    """of the base,
    on two lines"""
    second: int = 0
    "quoted once"


@dataclass
class Derived(Base):
    second: int = 1
    """told anew"""
    third: int = 2
    fourth: int = 3  # a remark is no docstring
    """of the fourth"""


def test_docs_below_fields_the_nearest_class_counts():
    assert field_docs(Base) == {"first": "of the base, on two lines", "second": "quoted once"}
    assert field_docs(Derived) == {
        "first": "of the base, on two lines",
        "second": "told anew",
        "fourth": "of the fourth",
    }
    assert field_docs(make_dataclass("Made", [("own", int, 0)], bases=(Derived,))) == field_docs(Derived)


def test_classes_without_a_file_have_no_docs():
    assert field_docs(make_dataclass("Made", [("own", int)])) == {}
    assert field_docs(type("Foreign", (), {"__module__": "no.such.module"})) == {}
