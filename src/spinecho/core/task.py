"""What a task is: the module `tasks/NAME/task.py`, found by listing, which imports no torch until it works."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard

if TYPE_CHECKING:
    from spinecho.core.image import Image
    from spinecho.core.method import Method


@dataclass(frozen=True)
class Limit:
    """How an entry of a model card must be written.

    Parameters
    ----------
    wanted
        In words, after "write".
    accepts
        Whether a value is written so.
    """

    wanted: str
    accepts: Callable[[Any], bool]


def is_number(value: Any) -> bool:
    """An int or a float, and no bool."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_list(value: Any) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, (list, tuple))


def _is_range(value: Any) -> bool:
    return _is_list(value) and len(value) == 2 and all(map(is_number, value)) and value[0] <= value[1]


RANGE = Limit("[smallest, largest]", _is_range)
NUMBER = Limit("a number", is_number)
YES_NO = Limit("true or false", lambda value: isinstance(value, bool))


def number_within(low: float, high: float) -> Limit:
    """A number from low to high."""
    return Limit(f"a number from {low:g} to {high:g}", lambda v: is_number(v) and low <= v <= high)


def some_of(*known: str) -> Limit:
    """A list of known words."""
    return Limit(
        f"a list of some of: {', '.join(known)}",
        lambda value: _is_list(value) and all(v in known for v in value),
    )


class ImageTask(Protocol):
    """What `task.py` offers besides where its task turns an image into an image: its command is made of it
    (`cli.image_command`).

    The result has integers where it is labels; its `extras` are maps that the report shows. Five things may be left
    out: `run` may have a parameter `tell`, the bar, called as `tell(done, total)`; `MAPS` says what the maps are, by
    their names; `NAMES` what the labels are called, by their numbers (a mapping, or a function of the method's name);
    `ANY_PLANE`, where true, that an image one voxel thick comes as its file has it, so that what a person says of x, y
    and z holds: else it comes with the thin axis as z; `OTHER_CONTRAST`, where true, that values before and after
    cannot be compared: the report shows no difference, and each in a window of its own.
    """

    Inputs: type
    """A dataclass of what a person says beside image, method and outputs, each field with its help; paths in it are
    inputs. Names that the command has itself (labels, truth, report, maps, series, ...) are taken."""

    def run(self, image: Image, inputs: Any, method: str, settings: Mapping[str, Any]) -> Image:
        """The image that comes of it, with its grid and its history."""
        ...


class Task(Protocol):
    """What `tasks/NAME/task.py` offers beside the command, the judge and the training of its task.

    Its folder holds `run.py` with the public function `NAME`, `methods/`, and where they exist `commands/`, `judge/`
    (see `evaluate.judge`) and `examples/` (see `train.supply`).
    """

    WHAT: str
    """What its methods are, for people: "reconstruction"."""
    DEFAULT: str
    """The method that is run where none is named."""

    def base(self) -> type[Method]:
        """The class of its methods: what they take and give back."""
        ...

    def limits(self) -> Mapping[str, Limit]:
        """What the card of its weights may limit."""
        ...

    def outside(self, card: Mapping[str, Any], *inputs: Any) -> list[str]:
        """Each way in which what a method shall take lies outside a card, with both numbers."""
        ...

    def scenes(self) -> dict[str, tuple[Any, ...]]:
        """Tiny inputs for a method's `forward`, as its task's `run` would hand them over, for the contract tests."""
        ...

    def lesson(self) -> Any:
        """A tiny training example, what a learned method's `loss` takes, for the contract tests."""
        ...

    def same(self, one: Any, other: Any) -> float:
        """The largest difference between two results relative to the result's own size, for the contract tests."""
        ...
