"""What files give to train on, as arrays with their facts: read once, from the files themselves or from a pack.

A task reads everything through `stocked`; a pack (`train.pack`) then is the same entries from another place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from spinecho.core.errors import DataError
from spinecho.sim.splits import Part, Task
from spinecho.train import pack
from spinecho.train.cases import Case, cases
from spinecho.train.entries import Entry, Group
from spinecho.train.supply import Context

NAMED_AXES = "named_axes"
"""Among the facts of a raw scan that is an array: its axes, in the reader's words."""


def stocked(
    paths: Sequence[Path],
    part: Part,
    read: Callable[[Case], Iterable[Entry]],
    context: Context,
    *,
    splits: Task,
    facts: Mapping[str, Any] | None = None,
) -> list[Group]:
    """Everything under the paths that is for a part of the work; paths that hold nothing for it are left out.

    Parameters
    ----------
    read
        What a file gives. Files that it refuses end the work or are left out, as the person said.
    splits
        Which of the project's splits count (`sim.splits`).
    facts
        Of the reading (a spacing): what must be the same for entries of a pack to be of use.

    Raises
    ------
    DataError
        If a path does not exist, a file is refused, or a pack is damaged or was made for something else.
    """
    groups: list[Group] = []
    for path in paths:
        if pack.is_pack(path):
            groups += pack.opened(path, context.task, facts or {}).groups(part)
            continue
        entries: list[Entry] = []
        for case in cases(path, part, splits, context.say, few=context.settings.patience > 0):
            try:
                entries += read(case)
            except DataError as error:
                context.refuse(error.within(case.path))
        if entries:
            groups.append(Group(str(path), entries))
    if context.keep is not None:
        context.keep(part, groups, facts or {})
    return groups


def entries(
    paths: Sequence[Path],
    part: Part,
    read: Callable[[Case], Iterable[Entry]],
    context: Context,
    what: str,
    *,
    splits: Task = "image",
) -> list[Entry]:
    """As `stocked`, of all paths together; `what` they are is said of each path."""
    groups = stocked(paths, part, read, context, splits=splits)
    for group in groups:
        context.say(f"{group.name}: {len(group.entries)} {what} to {part}")
    return [entry for group in groups for entry in group.entries]
