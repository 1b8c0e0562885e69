"""Dipy, an extra: imported where it is needed."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from spinecho.core.errors import DataError


def needed(module: str) -> ModuleType:
    """A module of dipy.

    Raises
    ------
    DataError
        If it is not installed.
    """
    try:
        return import_module(module)
    except ImportError:
        do = "install it with: pip install 'spinecho[dipy]'; or use another method (spinecho list)"
        raise DataError("this method needs the package dipy, which is not installed", do=do) from None
