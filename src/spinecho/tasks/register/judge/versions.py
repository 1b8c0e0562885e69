"""Which code and weights made a row, so that rows of an earlier run are used only where they would come out again."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

_PACKAGE = Path(__file__).parents[3]
_JUDGES = ("overlap", "surface", "folding", "similarity", "warp_error")
_READS = ("core", "io")
"""What files become, and what every transform is"""
_REGISTERS = ("core", "io", "ops", "solve", "nets", "sim", "methods", "tasks/register")


def version_of_measures() -> str:
    """Of what judges, and of what it reads."""
    return _joined(*(_file(f"metrics/{name}.py") for name in _JUDGES), *map(_folder, _READS))


def version_of_method(method: str, settings: dict[str, Any]) -> str:
    """Of everything that decides a method's transform, beside the images."""
    weights = sorted((_PACKAGE / "weights/register").glob("*.safetensors"))
    own = [w for w in weights if w.stem.startswith((method, "hybrid", "voxelmorph"))]
    given = [p for v in settings.values() if isinstance(v, str | Path) and (p := Path(v)).is_file()]
    trained = [sha256(w.read_bytes()).hexdigest() for w in [*own, *given]]
    return _joined(repr(sorted(settings.items())), *trained, *(_folder(name) for name in _REGISTERS))


def version_of_field(path: Path | None) -> str:
    """Of a file that somebody else wrote; it is taken by size and time, since fields are large."""
    return "absent" if path is None else _joined(str(path.stat().st_size), str(path.stat().st_mtime_ns))


@cache
def _folder(name: str) -> str:
    """Of the package's own paths and what the files hold: where the package lies says nothing."""
    paths = sorted(p.relative_to(_PACKAGE) for p in (_PACKAGE / name).rglob("*.py"))
    if not paths:
        raise FileNotFoundError(f"no code in {_PACKAGE / name}")
    return _joined(*(f"{p.as_posix()} {sha256((_PACKAGE / p).read_bytes()).hexdigest()}" for p in paths))


@cache
def _file(name: str) -> str:
    return sha256((_PACKAGE / name).read_bytes()).hexdigest()


def _joined(*parts: str) -> str:
    return sha256("\n".join(parts).encode()).hexdigest()[:16]
