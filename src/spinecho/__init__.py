"""spinecho: from the scanner's raw samples to magnetic resonance images you can trust.

Each task is a function of the same name (`spinecho.recon`, `spinecho.register`, ...), found by listing `tasks/`. Type
checkers read `__init__.pyi`, which `tools/write_stubs.py` writes.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

from spinecho.core.version import __version__ as __version__
from spinecho.moved import Moved

_CORE = {
    "encoding": ("Encoding",),
    "errors": ("DataError", "DoubtfulResult"),
    "geometry": ("Geometry",),
    "header": ("Header",),
    "image": ("Image",),
    "kspace": ("KSpace",),
    "transform": ("Affine", "Composite", "Displacement", "Rigid", "Transform", "Velocity"),
}
_EXCHANGE = {"arrays": ("numpy",), "neuro": ("nibabel", "torchio"), "itk": ("sitk",)}
_TASKS = sorted(p.parent.name for p in (Path(__file__).parent / "tasks").glob("*/run.py"))
HOMES: dict[str, str] = {
    **{name: f"spinecho.core.{module}" for module, names in _CORE.items() for name in names},
    **{
        f"{way}_{package}": f"spinecho.io.exchange.{module}"
        for module, packages in _EXCHANGE.items()
        for package in packages
        for way in ("from", "to")
    },
    "from_samples": "spinecho.io.exchange.samples",
    "ReadOptions": "spinecho.io.options",
    "WriteOptions": "spinecho.io.options",
    "read": "spinecho.io.read",
    "write": "spinecho.io.write",
    **{name: f"spinecho.tasks.{name}.run" for name in _TASKS},
}
"""Where each public name is defined."""

__all__ = sorted(HOMES)  # pyright: ignore[reportUnsupportedDunderAll]

if not any(isinstance(finder, Moved) for finder in sys.meta_path):
    sys.meta_path.append(Moved())


def __getattr__(name: str) -> object:
    """Public names are found on first use (PEP 562), so that importing spinecho imports no torch."""
    if name not in HOMES:
        raise AttributeError(f"module 'spinecho' has no attribute {name!r}")
    value = getattr(import_module(HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
