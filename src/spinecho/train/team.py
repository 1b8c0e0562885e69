"""Several processes that train together (torchrun): who takes which examples, and what they tell each other."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed

from spinecho.core.errors import DataError


@dataclass(frozen=True)
class Team:
    """This process among all.

    Parameters
    ----------
    rank, size
        Number of this process, and of processes.
    """

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes files."""
        return self.rank == 0

    def share(self, n: int) -> range:
        """Which of n things of a kind this process takes."""
        return range(self.rank, n, self.size)

    def total(self, value: Tensor) -> Tensor:
        """Sum over all processes."""
        if self.size > 1:
            distributed.all_reduce(value)
        return value

    def gather(self, items: list[Any]) -> list[Any]:
        """What all processes hold, in the order in which `share` dealt it out."""
        if self.size == 1:
            return items
        held: list[Any] = [None] * self.size
        distributed.all_gather_object(held, items)
        return [part[i] for i in range(max(map(len, held))) for part in held if i < len(part)]


@contextmanager
def together(device: str) -> Iterator[tuple[Team, torch.device]]:
    """Join the processes that torchrun started; without it, this one alone.

    Parameters
    ----------
    device
        "cpu" or "cuda"; of several GPUs each process takes its own.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield Team(), torch.device(device)
        return
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if device == "cuda" and local >= torch.cuda.device_count():
        told = f"process {local} of this machine finds {torch.cuda.device_count()} GPUs"
        raise DataError(told, do="start at most one process for each GPU (torchrun --nproc-per-node)")
    own = torch.device("cuda", local) if device == "cuda" else torch.device("cpu")
    if own.type == "cuda":
        torch.cuda.set_device(own)
    distributed.init_process_group("nccl" if own.type == "cuda" else "gloo")
    try:
        yield Team(distributed.get_rank(), size), own
    finally:
        distributed.destroy_process_group()
