"""What spinecho is made of, as CycloneDX 1.5: itself and all it needs at run time, as installed here.

python tools/sbom.py build/sbom.json

Versions, licences and what needs what come from the metadata of the installed packages; the same environment gives the
same file, to the byte.
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
import uuid
from collections.abc import Iterable
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Any
from urllib.parse import quote

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
_LONGEST = 100
"""Characters of a licence's name; some packages put the whole text in its place"""
_OSI = "License :: OSI Approved :: "


def purl(name: str, version: str) -> str:
    """The package URL."""
    return f"pkg:pypi/{canonicalize_name(name)}@{quote(version, safe='.-_~')}"


def needed(requirements: Iterable[str], extras: Iterable[str] = ()) -> list[Requirement]:
    """Those that apply here."""
    parsed = map(Requirement, requirements)
    environments = [{"extra": extra} for extra in ("", *extras)]
    return [r for r in parsed if r.marker is None or any(r.marker.evaluate(e) for e in environments)]


def closure(requirements: Iterable[str]) -> dict[str, tuple[Distribution, set[str]]]:
    """Installed packages by name, each with the names of what it needs itself.

    Raises
    ------
    importlib.metadata.PackageNotFoundError
        If one is not installed.
    """
    known: dict[str, tuple[Distribution, set[str]]] = {}
    waiting = needed(requirements)
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        requirement = waiting.pop()
        name, extras = canonicalize_name(requirement.name), frozenset(requirement.extras)
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        package = distribution(requirement.name)
        own = needed(package.requires or (), extras)
        known.setdefault(name, (package, set()))[1].update(canonicalize_name(r.name) for r in own)
        waiting += own
    return dict(sorted(known.items()))


def licences(package: Distribution) -> list[dict[str, Any]]:
    """As CycloneDX has them: an expression, or names; empty where the metadata says none."""
    metadata = package.metadata
    if "License-Expression" in metadata:
        return [{"expression": metadata["License-Expression"]}]
    classified = [c.removeprefix(_OSI) for c in metadata.get_all("Classifier") or () if c.startswith(_OSI)]
    named = metadata["License"].strip() if "License" in metadata else ""
    is_name = bool(named) and "\n" not in named and len(named) <= _LONGEST and named != "UNKNOWN"
    return [{"license": {"name": name}} for name in ([named] if is_name else classified)]


def component(name: str, version: str, licensed: list[dict[str, Any]]) -> dict[str, Any]:
    """A package."""
    ref = purl(name, version)
    told = {"type": "library", "bom-ref": ref, "name": canonicalize_name(name), "version": version, "purl": ref}
    return {**told, "licenses": licensed} if licensed else told


def bill() -> dict[str, Any]:
    """The whole document."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    version = re.search(r'"(.+)"', (ROOT / "src/spinecho/core/version.py").read_text(encoding="utf-8").splitlines()[-1])
    assert version is not None
    own = component(project["name"], version[1], [{"expression": project["license"]}])
    packages = closure(project["dependencies"])
    refs = {name: purl(name, package.version) for name, (package, _) in packages.items()}
    first = {canonicalize_name(r.name) for r in needed(project["dependencies"])}
    needs = {own["bom-ref"]: first, **{refs[name]: names for name, (_, names) in packages.items()}}
    content = {
        "metadata": {"component": own},
        "components": [component(name, p.version, licences(p)) for name, (p, _) in packages.items()],
        "dependencies": [{"ref": ref, "dependsOn": sorted(refs[n] for n in names)} for ref, names in needs.items()],
    }
    number = uuid.uuid5(uuid.NAMESPACE_OID, json.dumps(content, sort_keys=True))
    form = {"bomFormat": "CycloneDX", "specVersion": "1.5", "serialNumber": f"urn:uuid:{number}", "version": 1}
    return {**form, **content}


def main() -> int:
    """Write it."""
    file = Path(sys.argv[1])
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(bill(), indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(f"wrote {file}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
