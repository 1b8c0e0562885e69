"""Which code and weights made a row, so that rows of an earlier run are used only where they would come out again."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from pathlib import Path

from spinecho.methods import registry
from spinecho.tasks.recon.judge.bart import bart_version
from spinecho.tasks.recon.judge.oracle import NAMES

_PACKAGE = Path(__file__).parents[3]
_MAKES_IMAGES = ("core", "ops", "calib", "solve", "nets", "sim", "methods", "tasks/recon")
"""With `sim`, which draws the masks"""
_JUDGES = ("metrics/image.py", "tasks/recon/judge/protocol.py", "tasks/recon/judge/case.py")
_ORACLE = ("tasks/recon/judge/oracle.py", "tasks/recon/judge/bart.py")


def version_of(method: str) -> str:
    """A digest of everything that decides a method's row, beside the scan.

    For bart's oracle that is bart's version and how it is called, so that changes in our methods do not repeat it.
    """
    if method == "oracle":
        return _joined(bart_version(), _files(*_JUDGES, *_ORACLE))
    name, _, file = method.partition("+")[0].partition("=")
    weights = [Path(file) if file else registry.WEIGHTS / "recon" / f"{name}.safetensors"]
    if name == "auto":  # it may take any
        weights = sorted((registry.WEIGHTS / "recon").glob("*.safetensors"))
    trained = [sha256(w.read_bytes()).hexdigest() if w.exists() else "" for w in weights]
    return _joined(*trained, _files(*_JUDGES, *(_ORACLE if method in NAMES else ()), *_MAKES_IMAGES))


@cache
def _files(*names: str) -> str:
    """Of the package's own paths and what the files hold."""
    held: list[str] = []
    for name in names:
        path = _PACKAGE / name
        files = [path] if path.is_file() else sorted(path.rglob("*.py"))
        if not files:
            raise FileNotFoundError(f"no code in {path}")
        held += [f"{p.relative_to(_PACKAGE).as_posix()} {sha256(p.read_bytes()).hexdigest()}" for p in files]
    return _joined(*held)


def _joined(*parts: str) -> str:
    return sha256("\n".join(parts).encode()).hexdigest()[:16]
