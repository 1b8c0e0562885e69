"""Many independent pieces of work: all are done, in whatever order, and the first failure is raised here."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

from spinecho.core.errors import DataError
from spinecho.methods import crew as crews
from spinecho.methods.crew import Alone, Cluster, crew

distributed = pytest.importorskip("distributed")
CommClosedError = pytest.importorskip("distributed.comm.core").CommClosedError


class Client:
    """A Dask client whose workers do each piece when it is waited for; the last one handed out comes back first."""

    def __init__(self, n_workers: int) -> None:
        self.workers = {str(i): {} for i in range(n_workers)}
        self.cancelled: list[Any] = []
        self.most = 0

    def scheduler_info(self, n_workers: int) -> dict[str, Any]:
        return {"workers": self.workers}

    def submit(self, function: Callable[..., Any], *arguments: Any, key: Any, pure: bool) -> Future:
        assert key is None and not pure  # equal calls are calls of their own
        future: Future = Future()
        try:
            future.set_result(function(*arguments))
        except Exception as error:
            future.set_exception(error)
        return future

    def cancel(self, futures: list[Future]) -> None:
        self.cancelled += futures


class Remote(Client):
    """The same of a scheduler that runs already."""

    closed = False

    def __enter__(self) -> Remote:
        return self

    def __exit__(self, *_: object) -> None:
        self.closed = True

    def wait_for_workers(self, n_workers: int, timeout: float) -> None:
        assert n_workers == 1 and timeout > 0


@pytest.fixture
def as_finished(monkeypatch):
    """dask's `as_completed`, the last one first; it knows how many were out at a time."""
    most = []

    class Waiting(list):
        def add(self, future: Future) -> None:
            self.append(future)

        def __iter__(self):
            while self:
                most.append(len(self))
                yield self.pop()

    monkeypatch.setattr(distributed, "as_completed", Waiting)
    return most


def test_alone_does_all_in_order():
    done = []
    assert list(Alone().each(lambda a, b: done.append(a * b), [(2, 3), (4, 5)])) == [0, 1]
    assert done == [6, 20]


def test_alone_stops_at_the_first_failure():
    done = []
    with pytest.raises(ZeroDivisionError):
        list(Alone().each(lambda a: done.append(1 / a), [(1,), (0,), (2,)]))
    assert done == [1.0]


@pytest.mark.parametrize("n_calls", [0, 1, 3, 20])
@pytest.mark.parametrize("n_workers", [0, 1, 3])
def test_a_cluster_does_each_piece_once(n_calls, n_workers, as_finished):
    done, client = [], Client(n_workers)
    numbers = list(Cluster(client).each(done.append, [(i,) for i in range(n_calls)]))
    assert sorted(numbers) == sorted(done) == list(range(n_calls))
    assert max(as_finished, default=0) <= max(1, 2 * n_workers)  # two for each: one to do, one to go on with
    assert client.cancelled == []


def test_when_one_piece_fails_those_under_way_are_given_up(as_finished):
    client = Client(2)
    with pytest.raises(DataError, match="no such scan"):
        list(Cluster(client).each(refuse_two, [(i,) for i in range(9)]))
    assert len(client.cancelled) == 3  # the failed one, and what was out beside it


def refuse_two(i: int) -> None:
    if i == 2:
        raise DataError("no such scan")


def lost_worker() -> Exception:
    class State:
        address = "tcp://host:2"

    return distributed.KilledWorker("piece", State(), 3)


@pytest.mark.parametrize(
    ("what", "told"),
    [
        (lost_worker, "a worker died repeatedly on one piece of work, probably for lack of memory"),
        (lambda: distributed.CancelledError("piece"), "the Dask scheduler has given up the work"),
        (lambda: CommClosedError("in TCP"), "the Dask scheduler has given up the work"),
    ],
)
def test_workers_that_die_are_no_bug_of_spinecho(what, told, as_finished):
    def fail(i: int) -> None:
        if i == 2:
            raise what()

    client = Client(2)
    with pytest.raises(DataError, match=told) as raised:
        list(Cluster(client).each(fail, [(i,) for i in range(9)]))
    assert "the same command goes on" in raised.value.do
    assert client.cancelled


def test_a_broken_connection_ends_with_the_sentence_too(as_finished):
    class Gone(Client):
        def cancel(self, futures: list[Future]) -> None:
            raise CommClosedError("in TCP")

    def fail() -> None:
        raise CommClosedError("in TCP")

    with pytest.raises(DataError, match="given up the work"):
        list(Cluster(Gone(1)).each(fail, [()]))


def test_a_scheduler_without_workers_is_told(monkeypatch):
    class Empty(Remote):
        def wait_for_workers(self, n_workers: int, timeout: float) -> None:
            raise TimeoutError(f"0 of {n_workers} workers after {timeout} s")

    monkeypatch.setattr(distributed, "Client", lambda address, timeout: Empty(0))
    with pytest.raises(DataError, match="scheduler at tcp://host:1 has no workers"), crew(scheduler="tcp://host:1"):
        pass


def test_who_stops_listening_gives_up_the_rest(as_finished):
    client = Client(1)
    work = Cluster(client).each(lambda i: i, [(i,) for i in range(9)])
    next(work)
    work.close()
    assert client.cancelled


@pytest.mark.parametrize("workers", [0, 1])
def test_one_process_needs_no_dask(workers, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    with crew(workers) as some:
        assert isinstance(some, Alone)


def test_dask_that_is_absent_is_named_with_what_installs_it(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    with pytest.raises(DataError, match=r"pip install 'spinecho\[scale\]'"), crew(2):
        pass


@pytest.mark.parametrize(("workers", "scheduler"), [(-1, ""), (2, "tcp://host:1")])
def test_workers_and_a_scheduler_exclude_each_other(workers, scheduler):
    with pytest.raises(DataError, match=f"workers={workers}"), crew(workers, scheduler):
        pass


def test_a_scheduler_that_does_not_answer_is_told(monkeypatch):
    def refuse(address: str, timeout: float) -> None:
        raise OSError(f"Timed out trying to connect to {address}")

    monkeypatch.setattr(distributed, "Client", refuse)
    with (
        pytest.raises(DataError, match="no Dask scheduler answers at tcp://nobody:1"),
        crew(scheduler="tcp://nobody:1"),
    ):
        pass


def test_a_scheduler_of_somebody_else_is_left_running(monkeypatch):
    remote = Remote(1)
    monkeypatch.setattr(distributed, "Client", lambda address, timeout: remote)
    with crew(scheduler="tcp://host:1") as some:
        assert isinstance(some, crews.Cluster) and not remote.closed
    assert remote.closed
