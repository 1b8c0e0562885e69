"""What the loop asks of a validation, whatever is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class HeldOut(Protocol):
    """Held-out examples, the same ones for every step."""

    def scores(self, method: Any) -> dict[str, float]:
        """Means over them, JSON numbers."""
        ...

    def picture(self, method: Any, path: Path) -> None:
        """A PNG of one of them."""
        ...
