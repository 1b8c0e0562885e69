"""The oldest versions that pyproject.toml allows, as constraints for pip: one line for each dependency.

python tools/oldest.py torch==2.13.0 > constraints.txt          (what is given stands in place of its lower bound)
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
_BOUND = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(\[[^\]]*\])?>=(?P<version>[0-9][0-9a-z.]*)(,<[0-9.]+)?")


def dependencies(file: Path = ROOT / "pyproject.toml") -> list[str]:
    """What the package needs, as pyproject.toml has it."""
    return tomllib.loads(file.read_text(encoding="utf-8"))["project"]["dependencies"]


def constraints(requirements: Iterable[str], given: Sequence[str] = ()) -> list[str]:
    """`name==lower bound` of each requirement, or what is given for that name.

    Raises
    ------
    ValueError
        If a requirement is not `name>=version`, with or without an upper bound: then nobody says what is oldest.
    """
    instead = {pin.partition("==")[0]: pin for pin in given}
    lines: list[str] = []
    for requirement in requirements:
        bound = _BOUND.fullmatch(requirement.replace(" ", ""))
        if bound is None:
            raise ValueError(f"{requirement!r} has no lower bound: write name>=version")
        lines.append(instead.get(bound["name"], f"{bound['name']}=={bound['version']}"))
    return lines


def main() -> int:
    """Print them."""
    sys.stdout.write("".join(f"{line}\n" for line in constraints(dependencies(), sys.argv[1:])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
