"""How long a training may last, as a person says it: 90s, 9m, 1h30m."""

from __future__ import annotations

import re

from spinecho.core.errors import DataError, setting

_SPELT = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")


def seconds(text: str) -> float:
    """ "90s", "9m" or "1h30m" as seconds.

    Raises
    ------
    DataError
        If it is no such time, or zero.
    """
    matched = _SPELT.fullmatch(text.strip())
    hours, minutes, rest = (int(part or 0) for part in matched.groups()) if matched else (0, 0, 0)
    whole = 3600.0 * hours + 60.0 * minutes + rest
    if not whole:
        raise DataError(f"{setting('budget')} is {text!r}", do="give a time as 90s, 9m or 1h30m")
    return whole
