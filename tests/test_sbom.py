"""The bill of materials: all that is needed is in it with version, licence and address, and each time the same."""

from __future__ import annotations

import importlib.util
import json
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import SimpleNamespace

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import spinecho

ROOT = Path(__file__).parents[1]
_spec = importlib.util.spec_from_file_location("sbom", ROOT / "tools" / "sbom.py")
assert _spec is not None and _spec.loader is not None
sbom = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(sbom)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def bill() -> dict:
    return sbom.bill()


def test_it_is_cyclonedx_of_this_version(bill):
    assert list(bill)[:4] == ["bomFormat", "specVersion", "serialNumber", "version"]
    assert (bill["bomFormat"], bill["specVersion"], bill["version"]) == ("CycloneDX", "1.5", 1)
    own = bill["metadata"]["component"]
    assert (own["name"], own["version"]) == ("spinecho", spinecho.__version__)
    assert own["licenses"] == [{"expression": "Apache-2.0"}] and own["purl"] == f"pkg:pypi/spinecho@{own['version']}"


@pytest.mark.parametrize("text", PROJECT["dependencies"])
def test_each_requirement_is_there_in_a_version_that_fits(bill, text):
    requirement = Requirement(text)
    (one,) = [c for c in bill["components"] if c["name"] == canonicalize_name(requirement.name)]
    assert one["version"] == version(requirement.name)
    assert requirement.specifier.contains(one["version"], prereleases=True)
    own = bill["metadata"]["component"]["bom-ref"]
    (needs,) = [d["dependsOn"] for d in bill["dependencies"] if d["ref"] == own]
    assert one["bom-ref"] in needs


def test_components_are_whole_and_each_once(bill):
    names = [c["name"] for c in bill["components"]]
    assert names == sorted(set(names)) and "pytest" not in names, "what tests need is not run"
    for one in bill["components"]:
        assert one["type"] == "library" and one["purl"] == one["bom-ref"]
        assert one["purl"].startswith(f"pkg:pypi/{one['name']}@") and "+" not in one["purl"]
        for licence in one.get("licenses", []):
            assert licence.keys() == {"expression"} or licence["license"].keys() == {"name"}
    assert sum("licenses" in c for c in bill["components"]) >= 0.9 * len(names)


def test_what_needs_what_is_closed(bill):
    refs = {bill["metadata"]["component"]["bom-ref"], *(c["bom-ref"] for c in bill["components"])}
    edges = {d["ref"]: d["dependsOn"] for d in bill["dependencies"]}
    assert set(edges) == refs and all(set(to) <= refs for to in edges.values())
    reached, waiting = set(), [bill["metadata"]["component"]["bom-ref"]]
    while waiting:
        if (ref := waiting.pop()) not in reached:
            reached.add(ref)
            waiting += edges[ref]
    assert reached == refs, "nothing is in it that is not needed"


def test_the_same_environment_gives_the_same_file(tmp_path, monkeypatch, bill):
    for name in ("a", "b"):
        monkeypatch.setattr(sys, "argv", ["sbom", str(tmp_path / "new" / name)])
        assert sbom.main() == 0
    one, other = ((tmp_path / "new" / name).read_bytes() for name in ("a", "b"))
    assert one == other and json.loads(one) == bill and b"http" not in one


def test_names_versions_and_extras():
    assert sbom.purl("Typing_Extensions", "2.13.0+cpu") == "pkg:pypi/typing-extensions@2.13.0%2Bcpu"
    told = ['a; extra == "fast"', 'b; python_version < "3"', "c>=1"]
    assert [r.name for r in sbom.needed(told)] == ["c"]
    assert [r.name for r in sbom.needed(told, ["fast"])] == ["a", "c"]
    with pytest.raises(PackageNotFoundError):
        sbom.closure(["no-such-package-of-a-test"])


class Metadata(dict):
    """As importlib.metadata has it."""

    def get_all(self, name):
        return self.get(f"all {name}")


@pytest.mark.parametrize(
    ("metadata", "told"),
    [
        ({"License-Expression": "MIT", "License": "x"}, [{"expression": "MIT"}]),
        ({"License": "MIT"}, [{"license": {"name": "MIT"}}]),
        (
            {"License": "Copyright\nall of it", "all Classifier": ["License :: OSI Approved :: BSD License", "Topic"]},
            [{"license": {"name": "BSD License"}}],
        ),
        ({"License": "UNKNOWN"}, []),
        ({}, []),
    ],
)
def test_licences_as_the_metadata_has_them(metadata, told):
    assert sbom.licences(SimpleNamespace(metadata=Metadata(metadata))) == told
