"""Write src/spinecho/__init__.pyi: the public names for type checkers, found as `spinecho/__init__.py` finds them.

python tools/write_stubs.py          (writes; a test holds it against what it would write)
"""

from __future__ import annotations

import sys
from pathlib import Path

import spinecho

STUB = Path(spinecho.__file__).with_suffix(".pyi")


def stub() -> str:
    """The file's text."""
    homes = {**spinecho.HOMES, "__version__": "spinecho.core.version"}
    imports = sorted(f"from {home} import {name} as {name}" for name, home in homes.items())
    lines = ["# made by tools/write_stubs.py", *imports]
    names = "".join(f'    "{name}",\n' for name in sorted(spinecho.HOMES))
    return "\n".join([*lines, "", "HOMES: dict[str, str]", f"__all__ = [\n{names}]", ""])


def main() -> int:
    """Write it."""
    STUB.write_text(stub(), encoding="utf-8")
    sys.stdout.write(f"wrote {STUB}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
