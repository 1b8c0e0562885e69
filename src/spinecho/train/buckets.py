"""A step's examples by bucket: those of one shape go through a method's loss together."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

from spinecho.train.draw import Example

T = TypeVar("T")


@runtime_checkable
class Joins(Protocol):
    """An example that can stand beside others of its shape as one; the loss of that one is the mean of theirs."""

    @property
    def bucket(self) -> Hashable:
        """What examples must share to be joined."""
        ...

    @classmethod
    def joined(cls, examples: Sequence[Any]) -> Any:
        """Examples of one bucket as one."""
        ...


@dataclass(frozen=True, eq=False)
class Group:
    """Examples that go through the loss together.

    Parameters
    ----------
    places
        Their indices within the step.
    example
        All of them, joined.
    """

    places: tuple[int, ...]
    example: Example


def grouped(places: Sequence[int], examples: Sequence[Example], at_once: int = 0) -> Iterator[Group]:
    """Groups of one bucket and at most `at_once` examples (0: any number), in the order of their first places.

    Examples that cannot be joined stand alone.
    """
    groups: dict[Hashable, list[tuple[int, Example]]] = {}
    for place, example in zip(places, examples, strict=True):
        bucket = (type(example), example.bucket) if isinstance(example, Joins) else place
        groups.setdefault(bucket, []).append((place, example))
    for members in groups.values():
        for few in parts(members, at_once):
            first = few[0][1]
            joined = type(first).joined([e for _, e in few]) if isinstance(first, Joins) else first
            yield Group(tuple(place for place, _ in few), joined)


def parts(items: Sequence[T], at_once: int) -> list[Sequence[T]]:
    """Stretches of at most `at_once` items (0: all)."""
    step = at_once or max(1, len(items))
    return [items[i : i + step] for i in range(0, len(items), step)]
