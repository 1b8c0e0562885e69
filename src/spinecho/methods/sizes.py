"""Sizes of a network that begins with the weights of another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from spinecho.core.errors import DataError, setting
from spinecho.core.method import Method


def sizes_taken(
    usual: Any, config: Any, other: Method, names: Sequence[str] = ("channels", "blocks")
) -> dict[str, Any]:
    """The settings of those names that the other has.

    Raises
    ------
    DataError
        If a config asks for others; it may leave them as usual.
    """
    sizes = {name: getattr(other.config, name) for name in names}
    for name, size in sizes.items():
        if (asked := getattr(config, name)) not in (getattr(usual, name), size):
            problem = f"the weights to begin with were trained with {name} {size} (asked for: {asked})"
            raise DataError(problem, do=f"leave out {setting(name)}")
    return sizes
