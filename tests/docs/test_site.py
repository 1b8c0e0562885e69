"""The pages that are made from the code hold all of it, and say it as it is said there."""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import pytest

import spinecho
from spinecho.core.option import HIDDEN, INLINE, OUTPUTS, POSITIONAL
from spinecho.methods import registry

pytest.importorskip("mkdocs", reason="the pages are made with mkdocs: pip install 'spinecho[docs]'")
sys.path.insert(0, str(Path(__file__).parents[2] / "tools" / "site"))
import dataclass_tables
import hook
import made
import returns
import sentences

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return made.pages()


def test_every_method_has_a_page_with_all_of_its_settings(pages):
    for task in registry.tasks():
        index = pages[f"methods/{task}/index.md"]
        assert f"`{registry.task_named(task).DEFAULT}`" in index
        for offer in registry.offers(task):
            assert f"[`{offer.name}`]({offer.method}.md)" in index and offer.summary in index
        for name in registry.names(task):
            page, module = pages[f"methods/{task}/{name}.md"], registry.load(task, name)
            assert page.startswith(f"# {name}\n") and "## Source\n\nSource" in page
            assert all(f"| `{field}`" in page for field in module.Config.__dataclass_fields__)
    assert "## Weights `varnet_fast` { #weights-varnet_fast }" in pages["methods/recon/varnet.md"]
    assert "\n### Limits\n" in pages["methods/recon/varnet.md"], "the card's headings lie below the page's"
    assert "(../../results.md#real-slices-7-and-4-coils)" in pages["methods/recon/checked.md"]
    assert "https://doi.org/10.1002/" in pages["methods/recon/l1_wavelet.md"]


def test_figures_are_those_of_the_methods_own_task(pages):
    assert "#super-resolution-k-space" in pages["methods/superres/zero_filled.md"]
    assert "#real-slices-1-coil" not in pages["methods/superres/zero_filled.md"]
    assert "#super-resolution-k-space" not in pages["methods/recon/zero_filled.md"]
    assert (
        "## Figures" not in pages["methods/translate/auto.md"]
        and "#tumour" not in pages["methods/translate/pix2pix3d.md"]
    )
    assert "#registration-another-day-simulated" in pages["methods/register/hybrid.md"], (
        "made by a script of benchmarks"
    )
    assert "#low-field-real" in pages["methods/superres/lowfield.md"]


def test_dois_with_brackets_are_linked_whole():
    told = made._tidy("J 1991, doi:10.1016/0022-2364(91)90253-P. And (Kim 2001, doi:10.1109/42.938237).")
    assert "(https://doi.org/10.1016/0022-2364(91)90253-P). And" in told
    assert "(https://doi.org/10.1109/42.938237))." in told


def test_options_in_sentences_stay_in_one_line():
    html = "<p><code>spinecho --voxel-mm 1 -o a-b</code></p><pre><span></span><code>x --like\n</code></pre>"
    assert hook.on_page_content(html) == html.replace("--voxel-mm", '<span class="option">--voxel-mm</span>').replace(
        "-o a", '<span class="option">-o</span> a'
    )


def test_every_public_name_and_command_is_there(pages):
    assert all(f"::: {home}.{name}\n" in pages["api.md"] for name, home in spinecho.HOMES.items())
    commands = pages["commands.md"]
    assert all(f"\n## {name}\n" in commands for name in ("recon", "denoise", "info", "apply", "groupwise", "study"))
    assert "2 for input that cannot be used" in commands and "| `--no-noise-floor` |" not in commands
    assert "| `-o, --output`<br>several paths | where the image goes" in commands


def test_a_sentence_that_ends_in_braces_keeps_them_in_its_cell():
    from markdown import markdown

    row = f"| a | b |\n|---|---|\n| {made._plain('its {n} entries share {reason}')} | x |\n"
    assert "<td>its {n} entries share {reason}</td>" in markdown(row, extensions=["tables", "attr_list"]).replace(
        "&#123;", "{"
    )


def test_every_error_is_there(pages):
    package = ROOT / "src" / "spinecho"
    trees = [ast.parse(f.read_text(encoding="utf-8")) for f in package.rglob("*.py")]
    calls = [n for t in trees for n in ast.walk(t) if isinstance(n, ast.Call) and ast.unparse(n.func) == "DataError"]
    told = list(sentences.sentences(package))
    assert 0.9 * len(calls) < len(told) <= len(calls), "a few hand on what another one said"
    assert "| there is no {task} method &#123;name} | known are " in pages["troubleshooting.md"]
    page = pages["troubleshooting.md"].split("\n## spinecho.cli.parse\n")[1].partition("\n## ")[0]
    assert "| --threads &#123;threads} | give 1 or more, or leave it out: then all are used |" in page


@pytest.mark.parametrize(
    ("source", "problem", "do"),
    [
        ('raise DataError("no coil", do="give one")', "no coil", "give one"),
        ('raise DataError(f"{n} coils, {x.shape[0]} maps")', "{n} coils, {…} maps", ""),
        ('raise DataError("a " + "b", do=f"see {setting(\'at_once\', 3)}")', "a b", "see --at-once 3"),
        ('do = "x"\nraise DataError("a" if c else "b", do=do)', "a / b", "x"),
        ('def f():\n do, p = f"{n} x", "p"\n raise DataError(p, do=do)', "p", "{n} x"),
        ('X = "far"\ndef f(X):\n raise DataError(X)', "far", ""),
        ('def why():\n return f"{n} is odd"\nraise DataError(f"no: {why()}")', "no: {n} is odd", ""),
        (
            'def why():\n if a:\n  return "x is odd"\n return "y is even"\nif w := why():\n raise DataError(w)',
            "x is odd / y is even",
            "",
        ),
        ('class A:\n def b(self):\n  return "c"\n def d(self):\n  raise DataError(self.b)', "c", ""),
        ('do = tell()\nraise DataError(f"bad {a:g}", do=do)', "bad {a}", "{do}"),
    ],
)
def test_sentences_are_read_from_the_source(source, problem, do):
    (one,) = sentences.in_source(source, "m")
    assert (one.problem, one.do, one.module) == (problem, do, "m")


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ('def f():\n if a:\n  p = "one"\n else:\n  p = "two"\n raise DataError(p)', "one / two"),
        ('p = "one"\ndef f():\n p = f"two {n}"\n raise DataError(p)', "two {n}"),
        ('def f():\n p = "one"\n p = say()\n raise DataError("no " + p)', "no {p}"),
        ('def f():\n p = "a"\n p = "b"\n p = "c"\n raise DataError(p)', "a / b / c"),
    ],
)
def test_a_sentence_that_is_chosen_among_several_stands_with_all_of_them(source, problem):
    (one,) = sentences.in_source(source, "m")
    assert one.problem == problem


def test_sentences_of_a_table_are_there(pages):
    (one, two) = sentences.listed_in('A = {1: ("full", "make room"), 2: ("gone", "look"), 3: ("gone", "look")}', "m")
    assert (one.problem, two.do) == ("full", "look")
    assert not list(sentences.listed_in('A = {1: ("a", "b"), 2: 3}\nB = {"c": "d"}', "m"))
    assert "| the disk is full (or a size limit is reached) | make room" in pages["troubleshooting.md"]
    assert "slice orientations are mixed: " in pages["troubleshooting.md"]


def test_reasons_of_methods_are_read_from_the_source():
    text = """
def refusal(scan):
    if scan.n == 1:
        return f"it has {scan.n} coil, and two are needed"
    reason = "it is flat"
    if scan.flat:
        return reason
    return other(scan) or None
def helper():
    return "not this one"
"""
    assert [s.problem for s in sentences.refused_in(text, "m")] == [
        "it has {scan.n} coil, and two are needed",
        "it is flat",
    ]


def test_every_reason_of_grappa_is_on_the_page(pages):
    page = pages["troubleshooting.md"].partition("## Why a method cannot handle an input")[2]
    assert "| tasks.recon.methods.grappa | its samples lie along a trajectory, not on a grid |" in page
    assert "it has one coil, and GRAPPA fills gaps" in page


def test_errors_that_only_pass_something_on_are_left_out():
    assert not list(sentences.in_source("raise DataError(str(error))\nraise DataError(*parts)\nDataError()", "m"))


@dataclass(frozen=True)
class Inner:
    deep: float | None = None
    """how deep, < 3"""


@dataclass(frozen=True)
class Options(Inner):
    file: Annotated[Path, POSITIONAL] = Path()
    """where
    it lies"""
    output: Annotated[tuple[Path, ...], OUTPUTS] = ()
    """goes there"""
    kind: Literal["a", "b"] = "a"
    """one | other"""
    sides: tuple[int, int] = (3, 4)
    is_even: bool = True
    """whether"""
    secret: Annotated[int, HIDDEN] = 3
    inner: Annotated[Inner, INLINE] = Inner()


def test_tables_of_settings():
    listed = list(dataclass_tables.entries(Options))
    assert [e.name for e in listed] == ["deep", "file", "output", "kind", "sides", "is_even", "deep"]
    text = dataclass_tables.table(listed)
    assert "| `deep`<br>number | how deep, &lt; 3 |\n" in text and "| `file`<br>path | where it lies" in text
    assert "| `kind`<br>a or b | one \\| other<br>Default: `a` |\n" in text
    assert "| `sides`<br>whole number, whole number | <br>Default: `3, 4` |\n" in text
    typed = dataclass_tables.table(listed, typed=True)
    assert "| `FILE`<br>path |" in typed and "| `-o, --output`<br>several paths | goes there |" in typed
    assert "| `--no-is-even` | whether |\n" in typed


def test_links_of_the_root_are_links_of_the_site():
    assert made._relinked("[a](docs/results.md) [b](https://x.y) [c](#d)") == "[a](results.md) [b](https://x.y) [c](#d)"
    assert made._relinked("see [examples/README.md](examples/README.md).") == "see examples/README.md."
    card = "[card](src/spinecho/weights/recon/varnet_fast.md)"
    assert made._relinked(card) == "[card](methods/recon/varnet.md#weights-varnet_fast)"


def test_lists_and_tables_stand_apart():
    before = ["a", "- b", "- c", "  - d", "| e |", "|---|", "```", "x", "- y", "```", "", "1. z"]
    after = ["a", "", "- b", "- c", "  - d", "| e |", "|---|", "```", "x", "- y", "```", "", "1. z"]
    assert list(hook.spaced(before)) == after


def test_what_a_function_gives_back_gets_its_type():
    before = "Do.\n\nReturns\n-------\nThe thing,\nwhole.\n\nRaises\n------\nDataError\n    If not."
    after = "Do.\n\nReturns\n-------\nImage\n    The thing,\n    whole.\n\nRaises\n------\nDataError\n    If not."
    assert returns.typed(before, "Image") == after and returns.typed("Do.", "Image") == "Do."


def test_the_navigation_names_every_page(pages):
    class Config:
        nav = None

    def paths(entry):
        if isinstance(entry, dict):
            entry = list(entry.values())
        return [entry] if isinstance(entry, str) else [p for one in entry for p in paths(one)]

    named = paths(hook.on_config(Config()).nav)
    assert sorted(hook.HOW) == sorted(p.stem for p in hook.HOW_FOLDER.glob("*.md")), "each has its place in the order"
    written = {p.relative_to(ROOT / "docs").as_posix() for p in (ROOT / "docs").rglob("*.md")}
    assert sorted(named) == sorted({*pages, *written})


def test_no_page_is_empty(pages):
    written = {p.name: p.read_text(encoding="utf-8") for p in (ROOT / "docs").rglob("*.md")}
    empty = [name for name, text in {**pages, **written}.items() if not text.startswith("# ") or len(text) < 300]
    assert not empty


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_asks_nobody_for_anything(tmp_path):
    import subprocess

    build = [sys.executable, "-m", "mkdocs", "build", "--quiet", "-d", str(tmp_path)]
    environment = {"NO_MKDOCS_2_WARNING": "1", "PATH": ""}
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert 'src="http' not in page and 'rel="stylesheet" href="http' not in page


def test_no_section_of_the_results_has_its_heading_twice():
    headings = [line for line in (ROOT / "docs" / "results.md").read_text().splitlines() if line.startswith("## ")]
    assert len(headings) > 20 and len(headings) == len(set(headings))
