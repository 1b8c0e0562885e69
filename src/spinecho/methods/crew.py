"""Who does many independent pieces of work: this process one after the other, or the workers of a Dask cluster."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from spinecho.core.errors import DataError, setting

_AT_ONCE = 2
"""Pieces of work handed out per worker: one to do, one to go on with"""
_PATIENCE_S = 30
"""How long a scheduler's first worker is waited for"""
_GOES_ON = "the same command goes on with what is done"


class Crew(ABC):
    """Whoever calls functions."""

    @abstractmethod
    def each(self, function: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> Iterator[int]:
        """Call it with each of the tuples; the numbers of those that are done, as they are done.

        The first exception of a call is raised here. Results go through files: every worker must see them.
        """


class Alone(Crew):
    """This process, in order."""

    def each(self, function: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> Iterator[int]:
        """Call by call."""
        for i, arguments in enumerate(calls):
            function(*arguments)
            yield i


class Cluster(Crew):
    """The workers that a Dask client knows."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def each(self, function: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> Iterator[int]:
        """As workers become free; when one call fails, those under way are given up.

        Raises
        ------
        DataError
            If workers die over their work, or the scheduler is gone.
        """
        from distributed import CancelledError, KilledWorker, as_completed
        from distributed.comm.core import CommClosedError

        submit = lambda i: self.client.submit(function, *calls[i], key=None, pure=False)  # noqa: E731
        n_first = min(len(calls), max(1, _AT_ONCE * len(self.client.scheduler_info(n_workers=-1)["workers"])))
        numbers = {submit(i): i for i in range(n_first)}
        waiting = as_completed(list(numbers))
        following = n_first
        try:
            for future in waiting:
                future.result()
                yield numbers.pop(future)
                if following < len(calls):
                    another = submit(following)
                    numbers[another] = following
                    waiting.add(another)
                    following += 1
        except KilledWorker as error:
            problem = "a worker died repeatedly on one piece of work, probably for lack of memory"
            do = f"give fewer {setting('workers')}, or images of larger voxels; {_GOES_ON}"
            raise DataError(problem, do=do) from error
        except (CancelledError, CommClosedError) as error:
            problem = "the Dask scheduler has given up the work, or cannot be reached any more"
            raise DataError(problem, do=f"look at what it said, and start it again; {_GOES_ON}") from error
        finally:
            with suppress(CommClosedError):  # nobody is left to give it up
                self.client.cancel(list(numbers))


@contextmanager
def crew(workers: int = 0, scheduler: str = "") -> Iterator[Crew]:
    """The crew asked for, sent home at the end.

    Parameters
    ----------
    workers
        Processes on this machine that share its processors; 0 or 1: this process alone.
    scheduler
        Address of a Dask scheduler that runs already ("tcp://host:8786"); its workers must have spinecho installed
        and see the same files under the same names.

    Raises
    ------
    DataError
        If Dask is wanted and not installed, the scheduler does not answer, or has no workers.
    """
    if workers < 0 or (workers and scheduler):
        problem = setting("workers", workers) + (f" and {setting('scheduler')} are both given" if scheduler else "")
        raise DataError(problem, do="give a number of processes, or the address of a scheduler that runs already")
    if workers < 2 and not scheduler:
        yield Alone()
        return
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        both = f"{setting('workers')} and {setting('scheduler')}"
        do = f"pip install 'spinecho[scale]', or leave {both} out: then one process does the work"
        raise DataError("many subjects at once need Dask, which is not installed", do=do) from None
    if scheduler:
        try:
            client = Client(scheduler, timeout=20)
        except (OSError, ValueError) as error:
            do = "check the address, and that `dask scheduler` runs there"
            raise DataError(f"no Dask scheduler answers at {scheduler} ({error})", do=do) from None
        with client:
            try:
                client.wait_for_workers(1, timeout=_PATIENCE_S)
            except TimeoutError:
                do = f"start some (`dask worker {scheduler}`) where spinecho is installed"
                raise DataError(f"the Dask scheduler at {scheduler} has no workers", do=do) from None
            yield Cluster(client)
        return
    threads = max(1, (os.cpu_count() or 1) // workers)
    local = LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address="127.0.0.1:0")
    with local, Client(local) as client:
        client.run(_use_threads, threads)
        yield Cluster(client)


def _use_threads(n: int) -> None:
    import torch

    torch.set_num_threads(n)
