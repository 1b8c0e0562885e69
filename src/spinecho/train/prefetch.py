"""Examples drawn ahead by worker processes, in order; with any number of them, or none, the same ones."""

from __future__ import annotations

import os
import pickle
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from functools import partial

import torch
from torch.utils.data import DataLoader, Dataset

from spinecho.core.errors import DataError, setting
from spinecho.train.draw import Example, Examples


class _Drawn(Dataset[bytes]):
    """Examples by (step, index). They come as bytes through a pipe: shared memory is small in containers."""

    def __init__(self, draw: Examples) -> None:
        self.draw = draw

    def __getitem__(self, place: tuple[int, int]) -> bytes:  # type: ignore[override]
        try:
            return pickle.dumps(self.draw(*place), protocol=5)
        except DataError as error:
            return pickle.dumps(error)


def batches(draw: Examples, steps: range, indices: Sequence[int], workers: int) -> Iterator[list[Example]]:
    """For each step the examples with these indices.

    Raises
    ------
    DataError
        What an example's file is refused for; or if a worker is killed, as by a system without memory.
    """
    places = [(step, index) for step in steps for index in indices]
    if workers == 0:
        for step in steps:
            yield [draw(step, index) for index in indices]
        return
    loader = DataLoader(
        _Drawn(draw),
        batch_size=None,
        sampler=places,  # type: ignore[arg-type]
        num_workers=workers,
        prefetch_factor=max(2, len(indices)),
        multiprocessing_context="fork" if sys.platform == "linux" else "spawn",
        worker_init_fn=partial(_end_with, os.getpid()),
        generator=torch.Generator(),  # the loader draws a number that nobody uses: not from the global state
    )
    drawn = iter(loader)
    for _ in steps:
        yield [_opened(drawn) for _ in indices]


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
