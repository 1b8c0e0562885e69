"""The README is short, its commands and links exist, and its figures stand in the results."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from spinecho import cli
from spinecho.cli.completion import options
from spinecho.core.version import __version__
from spinecho.methods import registry

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
RESULTS = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
FENCED = [
    line for block in re.findall(r"^```\n(.*?)^```", README, re.DOTALL | re.MULTILINE) for line in block.splitlines()
]
COMMANDS = [c for c in [*FENCED, *re.findall(r"`([^`\n]+)`", README)] if c.startswith("spinecho ")]


def test_it_is_short_and_begins_with_what_it_is():
    lines = README.splitlines()
    assert len(lines) < 120 and max(len(line) for line in lines if not line.startswith(("|", "!"))) <= 130
    assert lines[0] == "# spinecho" and lines[2].startswith("spinecho ")
    assert README.index("![") < README.index("make demo") < README.index("\n## ")


@pytest.mark.parametrize("typed", COMMANDS)
def test_commands_and_options_exist(typed):
    _, name, *words = shlex.split(typed.partition("  #")[0])
    known = cli._commands()
    if name in ("COMMAND", "--completion"):
        return
    assert name in known, name
    module = cli._command(known[name])
    may = {*options(module.Arguments)}
    if name in ("evaluate", "train"):
        may |= set(judged(name))
    assert {w for w in words if w.startswith("--")} <= may | {"-o"}
    if "--method" in words:
        assert words[words.index("--method") + 1] in {o.name for o in registry.offers(name)}


def judged(name: str) -> list[str]:
    """Options that evaluate has of the task, and train of the method."""
    if name == "train":
        from spinecho.train.supply import examples_of

        return [*options(examples_of("recon").Options)]
    from spinecho.evaluate.judge import judge_of

    return [*options(judge_of("recon").Options)]


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(([^)]+)\)", README))))
def test_links_lead_somewhere(target):
    assert (ROOT / target).is_file()


@pytest.mark.parametrize("figure", sorted(set(re.findall(r"\b\d\d\.\d\d\b", README))))
def test_figures_are_those_of_the_results(figure):
    assert figure in RESULTS


def test_shares_are_those_of_the_results_rounded():
    rows = [line for line in README.splitlines() if re.match(r"\| (R = |8 pairs|the two)", line)]
    shares = [float(found) for row in rows for found in re.findall(r"(?<!\d)\.\d{3}", row)]
    known = [float(share) for share in re.findall(r"\b0\.\d{3,4}\b", RESULTS)]
    assert len(rows) == 4 and len(shares) == 23
    assert [s for s in shares if min(abs(s - k) for k in known) > 0.0005 + 1e-9] == []


def test_who_cites_it_names_this_version():
    assert f"\nversion: {__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
