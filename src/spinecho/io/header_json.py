"""A header as JSON text, for formats that can carry a comment: flags and history survive every conversion."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

from spinecho.core.header import Header

_PRIVATE = ("patient", "source", "file_format", "kept")
_LONGEST = 1 << 20


def header_to_json(header: Header) -> str:
    """One line of JSON; what says who the patient is, and where files lie, is left out."""
    facts = {f.name: getattr(header, f.name) for f in fields(Header) if f.name not in _PRIVATE}
    return json.dumps({"spinecho": {name: value for name, value in facts.items() if value}})


def header_from_json(text: str) -> Header | None:
    """The header that `header_to_json` wrote; None for any other text. Fields of the wrong type are left out."""
    try:
        facts = json.loads(text[:_LONGEST])["spinecho"]
        if not isinstance(facts, dict):
            return None
        return Header(**{f.name: kept for f in fields(Header) if (kept := _checked(f.name, facts)) is not None})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _checked(name: str, facts: dict[str, Any]) -> Any:
    value, default = facts.get(name), getattr(Header(), name)
    if name in _PRIVATE or value is None:
        return None
    if isinstance(default, tuple):
        item = str if name in ("flags", "history") else float
        return tuple(item(v) for v in value) if isinstance(value, list) else None
    return type(default)(value) if isinstance(value, (str, int, float)) else None
