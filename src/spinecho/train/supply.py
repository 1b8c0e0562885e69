"""What a task's `examples/` package offers, so that the one training can train the task's learned methods.

`tasks/TASK/examples/__init__.py` has what `ExamplePackage` says. It is found by name, and imported for `--help`:
torch only inside `gather`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast, runtime_checkable

from spinecho.core.errors import DataError, setting
from spinecho.methods import registry
from spinecho.train.settings import Settings

if TYPE_CHECKING:
    import torch

    from spinecho.core.method import Method
    from spinecho.sim.splits import Part
    from spinecho.train.draw import Examples
    from spinecho.train.entries import Group
    from spinecho.train.gradient import Rule
    from spinecho.train.held_out import HeldOut
    from spinecho.train.run import Aim
    from spinecho.train.team import Team

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, eq=False)
class Context:
    """What a task knows when it gathers examples.

    Parameters
    ----------
    method
        That is trained, with its first weights, on the device.
    task, name
        What the method is called: `task/name`.
    on_broken
        Whether a file that cannot be used ends the work or is left out; it is named either way.
    say
        Takes a sentence for the person who trains.
    keep
        Is shown what `train.stock` read (part, groups, facts), to pack it; None: not needed.
    """

    method: Method
    task: str
    name: str
    settings: Settings
    device: torch.device
    team: Team
    on_broken: Literal["stop", "skip"]
    say: Say
    keep: Callable[[Part, list[Group], Mapping[str, Any]], None] | None = None

    def refuse(self, told: DataError) -> None:
        """Say that a file is left out, or end the work with how to have it left out."""
        if self.on_broken == "stop":
            raise told.but(do=f"{told.marked[1]}; or {setting('on_broken', 'skip')}") from told
        self.say(f"left out: {told}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Supply:
    """What a run is trained and judged on.

    Parameters
    ----------
    train
        (step, index) to an example, from nothing but these numbers and the run's seed; it can be pickled.
    held_out
        None: no validation.
    told
        The scores of a validation in words.
    facts
        What must be the same for a run to be resumed, beside paths and settings; JSON.
    rule
        (method, example) to the loss; None: the method's own.
    aim
        Scores of a validation to what early stopping makes large; None: it cannot be asked for.
    """

    train: Examples
    held_out: HeldOut | None
    told: Callable[[Mapping[str, float]], str]
    facts: Mapping[str, Any] = field(default_factory=dict)
    rule: Rule | None = None
    aim: Aim | None = None


@runtime_checkable
class ExamplePackage(Protocol):
    """`tasks/TASK/examples/__init__.py`."""

    Options: type
    """A dataclass: each field, with a default and a docstring, is an option of `spinecho train TASK/NAME`."""
    USE: str
    """The command that uses trained weights, without `--weights FILE`: "spinecho recon SCAN -o IMAGE"."""

    def gather(self, paths: Sequence[Path], options: Any, context: Context) -> Supply:
        """Examples from what a person gave with --data, read through `train.stock.stocked`: then it can be packed.

        Raises
        ------
        DataError
            If a path or an option cannot be used, or nothing is left to train on.
        """
        ...


def trainable() -> list[tuple[str, str]]:
    """(task, name) of each learned method whose task has examples, sorted; nothing is imported for it."""
    return [(t, n) for t, n in registry.learned() if (registry.TASKS / t / "examples" / "__init__.py").is_file()]


def examples_of(task: str) -> ExamplePackage:
    """The task's package."""
    return cast(ExamplePackage, import_module(f"spinecho.tasks.{task}.examples"))
