"""Packages that the install has only where they were asked for."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from spinecho.core.errors import DataError


def needed(module: str, package: str, extra: str) -> Any:
    """The module, imported now.

    Raises
    ------
    DataError
        If its package is not installed; it says which extra brings it.
    """
    try:
        return import_module(module)
    except ImportError as error:
        do = f"install it: pip install 'spinecho[{extra}]'"
        raise DataError(f"{extra} needs the package {package}, which is not installed", do=do) from error
