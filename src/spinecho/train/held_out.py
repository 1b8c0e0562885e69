"""What the loop asks of a validation, whatever is trained, and what validations have in common."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import torch

if TYPE_CHECKING:
    from spinecho.train.settings import Settings
    from spinecho.train.team import Team


@runtime_checkable
class HeldOut(Protocol):
    """Held-out examples, the same ones for every step."""

    def scores(self, method: Any) -> dict[str, float]:
        """Means over them, JSON numbers."""
        ...

    def picture(self, method: Any, path: Path) -> None:
        """A PNG of one of them."""
        ...


def numbers(settings: Settings, team: Team) -> Sequence[int] | None:
    """Of the held-out examples, those that this process looks at; None where the settings want no validation."""
    if not settings.validate_every or not settings.validation_examples:
        return None
    return team.share(settings.validation_examples)


@contextmanager
def resting(method: Any) -> Iterator[None]:
    """The method as it is used, not as it learns: without gradients; afterwards it is as before."""
    training = method.training
    method.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        method.train(training)
