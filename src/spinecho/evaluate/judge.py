"""What the judge of a task is: the package `tasks/NAME/judge`, found by name; it imports no torch until it works."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast, runtime_checkable

from spinecho.core.errors import DataError
from spinecho.evaluate.rows import Fact, Kind, Row
from spinecho.methods import registry

if TYPE_CHECKING:
    import torch

    from spinecho.evaluate.pictures import Column

INSIDE = (
    "Inside: over the pixels of the object, where the truth, smoothed by a Gaussian of 3 pixels, is over 5 % of its "
    "maximum, holes filled; psnr with the truth's maximum as range, ssim over the 7 x 7 windows that lie inside"
)
"""What the scores of `metrics.inside` mean, for judges of images."""


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A figure that tables show.

    Parameters
    ----------
    name
        Its key among the figures of a row.
    title, unit
        For the heads of tables.
    digits
        Behind the point; None: two significant ones.
    better
        1: more is better, -1: less, 0: neither, so that nobody is ranked by it.
    headline
        With an interval and a difference to the baseline of its own, as the leading measure has them.
    summary
        What a table shows of many cases.
    """

    name: str
    title: str
    unit: str = ""
    digits: int | None = 2
    better: Literal[1, -1, 0] = 0
    headline: bool = False
    summary: Literal["mean", "worst"] = "mean"


@dataclass(frozen=True, kw_only=True)
class Case:
    """What every contender is given once.

    Parameters
    ----------
    name
        For people, and what results are paired by: no two cases share it.
    digest
        Of everything that is given and known: another digest is another case, whatever its name.
    scan
        What it is a part of: cases of one scan are not independent.
    group
        The table it belongs to.
    load
        Reads or makes the inputs; only called where there is something to do, perhaps long afterwards.
    facts
        Texts are what tables are broken down by; numbers are only kept.
    about
        A line to print when it is reached; printed once if several cases share it.
    """

    name: str
    digest: str
    scan: str
    group: str
    kind: Kind = ""
    load: Callable[[], Any]
    facts: Mapping[str, Fact] = field(default_factory=dict[str, Fact])
    about: str = ""


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """Cases that were counted but are not there, and why; without a reason nothing is told."""

    n: int
    scan: str = ""
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class Cases:
    """All cases of an evaluation, found one after the other; `total` is how many there are if none is left out."""

    total: int
    each: Iterable[Case | LeftOut]


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Seconds, and memory in GB; nan if it was not recorded."""

    wall_s: float
    cpu_s: float
    peak_gb: float


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a contender made of a case.

    Parameters
    ----------
    result
        What the task's `judge` and `picture` look at.
    n_parts
        Independent parts (slices, frames) that it holds: seconds are told for each.
    note, stages, calls
        What it chose; seconds of each stage; what another program was asked for.
    cost
        Where somebody else measured it; None: what the engine measures.
    """

    result: Any
    n_parts: int = 1
    note: str = ""
    stages: str = ""
    calls: str = ""
    cost: Cost | None = None


@dataclass(frozen=True)
class Asked:
    """A method as it was asked for; other weights are the setting `weights`."""

    word: str
    name: str
    settings: dict[str, Any] = field(default_factory=dict[str, Any])


@runtime_checkable
class Contender(Protocol):
    """One line of the tables."""

    @property
    def name(self) -> str:
        """As asked for, settings included."""
        ...

    @property
    def is_oracle(self) -> bool:
        """Whether it knows the truth, so that it does not exist in practice."""
        ...

    def version(self, case: Case) -> str:
        """Changes whenever its row of this case might (see `evaluate.versions`); holds no path."""
        ...

    def run(self, inputs: Any) -> Outcome:
        """Work on what `Case.load` gave.

        Raises
        ------
        DataError
            Where it cannot: its row says why.
        """
        ...


@runtime_checkable
class Judge(Protocol):
    """What `tasks/NAME/judge/__init__.py` offers; `judge_of` fills in what it leaves out, marked with a default."""

    TASK: str
    """The task's name, filled in."""
    Options: type
    """A dataclass: its fields are options of `spinecho evaluate NAME` beside those of every task."""
    MEASURES: Sequence[Measure]
    """Tables are led by the first of these that their rows have; other figures are only in the CSV."""
    JUDGED: str
    """What the numbers mean, as sentences without the last full stop."""
    WORDS: str
    """What --methods takes beside the methods of the task, for people; default: nothing."""
    BASELINE: str
    """What others are compared with where it is among the contenders; default: the first."""
    POOLED: bool
    """Whether the groups of a kind are also shown together; default: they are not."""

    def cases(self, options: Any, device: torch.device) -> Cases:
        """All cases; what options say wrongly is refused at once, and scans are read one by one later."""
        ...

    def contender(self, word: str) -> Contender | None:
        """A contender of the task's own; None (default): the word names a method, see `evaluate.methods`."""
        ...

    def run(self, inputs: Any, asked: Asked) -> Outcome:
        """What a method of the task makes of a case's inputs; the default refuses."""
        ...

    def judge(self, inputs: Any, outcome: Outcome) -> dict[str, float]:
        """Figures by name; nan where one cannot be told.

        Raises
        ------
        DataError
            If the result cannot be judged, for example since it holds NaN.
        """
        ...

    def picture(self, inputs: Any, outcomes: Mapping[str, Outcome]) -> Sequence[Column]:
        """A case and what contenders made of it, for the page; default: nothing is drawn."""
        ...

    def remarks(self, rows: Sequence[Row]) -> list[str]:
        """Sentences on the cases of a table, each a line of its own; default: none."""
        ...


def judged() -> list[str]:
    """The tasks that something judges."""
    return [task for task in registry.tasks() if (registry.TASKS / task / "judge" / "__init__.py").is_file()]


def judge_of(task: str) -> Judge:
    """The judge of a task.

    Raises
    ------
    DataError
        If there is no such task, or nothing judges it yet.
    """
    registry.task_named(task)
    name = f"spinecho.tasks.{task}.judge"
    try:
        module = import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise DataError(f"nothing judges {task} yet", do=f"write tasks/{task}/judge/__init__.py") from None
    return cast(Judge, SimpleNamespace(**{**_LEFT_OUT, **vars(module), "TASK": task}))


def _refused(inputs: Any, asked: Asked) -> Outcome:
    raise DataError(f"this task cannot run {asked.word}", do="use a contender of its judge")


_LEFT_OUT: dict[str, Any] = {
    "WORDS": "",
    "BASELINE": "",
    "POOLED": False,
    "contender": lambda word: None,
    "run": _refused,
    "picture": lambda inputs, outcomes: (),
    "remarks": lambda rows: [],
}
