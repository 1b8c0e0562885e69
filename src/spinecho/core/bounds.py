"""Settings that must not lie below a bound."""

from __future__ import annotations

import math

from spinecho.core.errors import DataError, setting


def at_least(config: object, **least: float) -> None:
    """Refuse settings of a Config below these bounds, and those that are not finite (DataError); None may be."""
    for name, bound in least.items():
        value = getattr(config, name)
        if value is not None and not (math.isfinite(value) and value >= bound):
            raise DataError(f"{setting(name)} is {value:g}", do=f"give {bound:g} or more")


def over_0(config: object, *names: str) -> None:
    """Refuse settings of a Config that are 0 or less, or not finite (DataError)."""
    for name in names:
        value = getattr(config, name)
        if not (math.isfinite(value) and value > 0):
            raise DataError(f"{setting(name)} is {value:g}", do="give more than 0")
