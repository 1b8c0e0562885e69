"""Contenders against pairs, one after the other; rows that an earlier run finished are taken from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from spinecho.core.errors import DataError
from spinecho.core.image import Image
from spinecho.evaluate.kept import Kept
from spinecho.io.limits import out_of_memory
from spinecho.io.read import read_image
from spinecho.tasks.register.judge.contenders import Contender
from spinecho.tasks.register.judge.measure import measures
from spinecho.tasks.register.judge.pairs import Pair
from spinecho.tasks.register.judge.rows import PairRow
from spinecho.tasks.register.judge.versions import version_of_measures


@dataclass(frozen=True, kw_only=True)
class State:
    """How far it is, and the row just finished (or `resumed` from an earlier run)."""

    done: int
    total: int
    row: PairRow
    resumed: bool


def evaluate(pairs: Sequence[Pair], contenders: Sequence[Contender], rows: Kept[PairRow]) -> Iterator[State]:
    """Register and judge; all contenders do the first pair, then all the second, so that times are comparable."""
    total, done = len(pairs) * len(contenders), 0
    for pair in pairs:
        digest = f"{pair.group}:{pair.name}:{pair.digest()}:{version_of_measures()}"
        images: tuple[Image, Image] | None = None
        for one in contenders:
            key = f"{digest}:{one.name}:{one.version(pair)}"
            done += 1
            if (known := rows.get(key)) is not None:
                yield State(done=done, total=total, row=known, resumed=True)
                continue
            images = (read_image(pair.fixed), read_image(pair.moving)) if images is None else images
            row = _row(key, pair, one, *images)
            rows.add(row)
            yield State(done=done, total=total, row=row, resumed=False)


def _row(key: str, pair: Pair, one: Contender, fixed: Image, moving: Image) -> PairRow:
    named: dict[str, Any] = {
        "key": key,
        "pair": pair.name,
        "group": pair.group,
        "fixed": pair.fixed.name,
        "method": one.name,
    }
    if pair.fixed.name == "fixed.nii.gz":  # written by a command: the folder names the pair, and nothing the subject
        named["fixed"] = pair.name
    try:
        found = one.register(pair, fixed, moving)
        figures = measures(pair, fixed, moving, found.transform)
    except DataError as error:
        if error.__cause__ is not None and out_of_memory(error.__cause__):
            raise  # of this machine, now: no row to keep
        return PairRow(**named, refused=error.found)
    cost: dict[str, Any] = {name: getattr(found, name) for name in ("wall_s", "cpu_s", "peak_gb", "stages", "calls")}
    return PairRow(**named, **cost, **figures)
