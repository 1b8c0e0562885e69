"""Examples drawn ahead by worker processes, in order; with any number of them, or none, the same ones."""

from __future__ import annotations

import os
import pickle
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice

import torch
from torch.utils.data import DataLoader, Dataset

from spinecho.core.errors import DataError, setting
from spinecho.train.buckets import Group, grouped, parts
from spinecho.train.draw import DrawsBatches, Example, Examples

Place = tuple[int, tuple[int, ...]]
"""A step, and indices within it."""

_CPU = torch.device("cpu")


@dataclass(frozen=True, eq=False)
class _Drawn(Dataset[bytes]):
    """Examples by place. They come as bytes through a pipe: shared memory is small in containers."""

    draw: Examples

    def __getitem__(self, place: Place) -> bytes:  # type: ignore[override]
        try:
            return pickle.dumps(_at(self.draw, place, _CPU), protocol=5)
        except DataError as error:
            return pickle.dumps(error)


def batches(
    draw: Examples, steps: range, indices: Sequence[int], workers: int, at_once: int = 0, device: torch.device = _CPU
) -> Iterator[list[Group]]:
    """For each step the examples with these indices, in groups of one shape.

    Where examples are drawn in batches, a batch is drawn as a whole: on the device without workers, on the CPU by a
    worker. Others are drawn one by one, and those of one bucket joined.

    Parameters
    ----------
    at_once
        Examples in a group at most; 0: any number.

    Raises
    ------
    DataError
        What an example's file is refused for; or if a worker is killed, as by a system without memory.
    """
    many = isinstance(draw, DrawsBatches)
    chunks = [tuple(part) for part in parts(indices, at_once if many else 1)]
    drawn = _drawn_ahead(draw, [(s, chunk) for s in steps for chunk in chunks], workers, len(chunks), device)
    for _ in steps:
        examples = list(islice(drawn, len(chunks)))
        if many:
            yield [Group(chunk, example) for chunk, example in zip(chunks, examples, strict=True)]
        else:
            yield list(grouped(indices, examples, at_once))


def _at(draw: Examples, place: Place, device: torch.device) -> Example:
    step, indices = place
    return draw.batch(step, indices, device) if isinstance(draw, DrawsBatches) else draw(step, indices[0])


def _drawn_ahead(
    draw: Examples, places: list[Place], workers: int, n_ahead: int, device: torch.device
) -> Iterator[Example]:
    if workers == 0:
        yield from (_at(draw, place, device) for place in places)
        return
    loader = DataLoader(
        _Drawn(draw),
        batch_size=None,
        sampler=places,  # type: ignore[arg-type]
        num_workers=workers,
        prefetch_factor=max(2, n_ahead),
        multiprocessing_context="fork" if sys.platform == "linux" else "spawn",
        worker_init_fn=partial(_end_with, os.getpid()),
        generator=torch.Generator(),  # the loader draws a number that nobody uses: not from the global state
    )
    drawn = iter(loader)
    for _ in places:
        yield _opened(drawn)


def _end_with(parent: int, worker: int) -> None:
    """Have a worker end when its parent was killed: it would wait for ever to hand over its next example."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _opened(drawn: Iterator[bytes]) -> Example:
    try:
        item = pickle.loads(next(drawn))
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        do = f"give fewer {setting('workers')} (0: draw in the training process), or a machine with more memory"
        raise DataError(f"a worker ended: {str(error).partition('.')[0]}", do=do) from error
    if isinstance(item, DataError):
        raise item
    return item
