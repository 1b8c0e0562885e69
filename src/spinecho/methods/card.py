"""Model cards: limits as numbers and words, and texts for people; each task says which limits it understands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spinecho.core.errors import DataError
from spinecho.core.task import Limit

WORDS = ("summary", "anatomy", "data", "licence", "results", "note")
"""What a card says to people only."""


def check_card(card: Mapping[str, Any], limits: Mapping[str, Limit]) -> None:
    """Refuse a card whose limits would not be understood, and thus not be kept.

    Parameters
    ----------
    limits
        `task.LIMITS` of the task that the weights are for. A limit that the card leaves out does not exist.

    Raises
    ------
    DataError
        Names what is unknown or has the wrong form.
    """
    known = (*limits, *WORDS)
    if unknown := set(card) - set(known):
        problem = f"the card has unknown entries: {', '.join(sorted(unknown))}"
        raise DataError(problem, do=f"known are {', '.join(known)}")
    for name, limit in limits.items():
        if name in card and not limit.accepts(card[name]):
            raise DataError(f"the card's {name} is {card[name]!r}", do=f"write {limit.wanted}")
