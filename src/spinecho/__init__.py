"""spinecho: from the scanner's raw samples to magnetic resonance images one can trust."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from spinecho.core.version import __version__ as __version__

if TYPE_CHECKING:
    from spinecho.core.encoding import Encoding
    from spinecho.core.errors import DataError, DoubtfulResult
    from spinecho.core.geometry import Geometry
    from spinecho.core.header import Header
    from spinecho.core.image import Image
    from spinecho.core.kspace import KSpace
    from spinecho.core.transform import Affine, Composite, Displacement, Rigid, Transform, Velocity
    from spinecho.io.read import read
    from spinecho.io.write import write
    from spinecho.methods.align import register
    from spinecho.methods.reconstruct import recon

_HOME = {
    "Affine": "spinecho.core.transform",
    "Composite": "spinecho.core.transform",
    "DataError": "spinecho.core.errors",
    "DoubtfulResult": "spinecho.core.errors",
    "Displacement": "spinecho.core.transform",
    "Encoding": "spinecho.core.encoding",
    "Geometry": "spinecho.core.geometry",
    "Header": "spinecho.core.header",
    "Image": "spinecho.core.image",
    "KSpace": "spinecho.core.kspace",
    "Rigid": "spinecho.core.transform",
    "Transform": "spinecho.core.transform",
    "Velocity": "spinecho.core.transform",
    "read": "spinecho.io.read",
    "recon": "spinecho.methods.reconstruct",
    "register": "spinecho.methods.align",
    "write": "spinecho.io.write",
}

__all__ = [
    "Affine",
    "Composite",
    "DataError",
    "Displacement",
    "DoubtfulResult",
    "Encoding",
    "Geometry",
    "Header",
    "Image",
    "KSpace",
    "Rigid",
    "Transform",
    "Velocity",
    "read",
    "recon",
    "register",
    "write",
]


def __getattr__(name: str) -> object:
    """Public names are found on first use (PEP 562), so that importing spinecho imports no torch."""
    if name not in _HOME:
        raise AttributeError(f"module 'spinecho' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
