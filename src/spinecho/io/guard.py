"""Vet untrusted files in a process of its own, which is killed when it hangs; every failure becomes a DataError.

One in some hundred randomly damaged MRD files makes libhdf5 loop for ever, others crash it. A file with HDF5's
signature is therefore walked through by a worker (`io.probe`) before this process opens it, and so is a .mat file,
over which scipy's reader can crash. The worker starts once and lives on; a file that passed is not vetted again while
its size and time stay.
"""

from __future__ import annotations

import atexit
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from spinecho.core.errors import DataError, setting

SIGNATURE = b"\x89HDF\r\n\x1a\n"
SILENCE_S = 60.0
"""Seconds without a sign of progress after which the worker is killed (a step may also burn 3 s of processor time)."""


def is_hdf5(path: Path) -> bool:
    """Whether HDF5's signature stands at one of the places it may stand: 0, 512, 1024, 2048 ..."""
    size, offset = path.stat().st_size, 0
    with path.open("rb") as file:
        while offset + len(SIGNATURE) <= size:
            file.seek(offset)
            if file.read(len(SIGNATURE)) == SIGNATURE:
                return True
            offset = max(512, 2 * offset)
    return False


class Worker:
    """A long-lived `io.probe` process; started on first use, and again after it was killed."""

    def __init__(self, silence_s: float = SILENCE_S) -> None:
        self.silence_s = silence_s
        self._process: subprocess.Popen[str] | None = None
        self._lines: queue.Queue[str] = queue.Queue()
        self._owner = 0
        self._lock = threading.Lock()

    def start(self) -> None:
        """Start the process without waiting for it, so that its start costs nothing later."""
        if self._process is not None and self._owner == os.getpid() and self._process.poll() is None:
            return
        self.stop()
        self._lines = queue.Queue()
        one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "spinecho.io.probe"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
            env=os.environ | one_thread | {"HDF5_USE_FILE_LOCKING": "FALSE"},
        )
        self._owner = os.getpid()
        assert self._process.stdout is not None
        threading.Thread(target=_pump, args=(self._process.stdout, self._lines), daemon=True).start()

    def probe(self, path: Path) -> int:
        """Bytes of the file's largest dataset.

        Raises
        ------
        DataError
            If the worker refuses the file, hangs, crashes or runs out of memory over it.
        """
        with self._lock:
            self.start()
            process = self._process
            assert process is not None and process.stdin is not None
            try:
                process.stdin.write(json.dumps(str(path.absolute())) + "\n")
                process.stdin.flush()
                while (line := self._lines.get(timeout=self.silence_s)) == ".":
                    pass
            except queue.Empty:
                self.stop()
                raise _refused(f"reading it makes no progress for {self.silence_s:g} s") from None
            except OSError:
                line = ""
            if not line:
                code = process.wait()
                self.stop()
                raise _refused(_cause(code))
        answer = json.loads(line)
        if "found" in answer:
            raise DataError(answer["found"], do=answer["do"])
        return int(answer["largest"])

    def stop(self) -> None:
        """Kill the process, if it is ours."""
        process, self._process = self._process, None
        if process is None or self._owner != os.getpid():
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()


def _pump(pipe: Iterable[str], lines: queue.Queue) -> None:
    """Put the worker's lines into the queue, and an empty one when it has ended."""
    try:
        with suppress(ValueError):  # the pipe is closed when the worker is stopped
            for line in pipe:
                lines.put(line.rstrip("\n"))
    finally:
        lines.put("")


def _cause(code: int) -> str:
    if code == -getattr(signal, "SIGPROF", 0):
        return "reading it goes round in circles"
    return (
        "reading it runs out of memory" if code == -signal.SIGKILL else "reading it crashes the library for its format"
    )


def _refused(fault: str) -> DataError:
    return DataError(f"the file is damaged: {fault}", do="copy it from the scanner again")


WORKER = Worker()
_passed: dict[tuple[str, int, int], int] = {}


@atexit.register
def _at_exit() -> None:
    WORKER.stop()


def vet(path: Path) -> int:
    """Have an HDF5 or MATLAB file walked through by the worker; other files pass at once.

    Returns
    -------
    Bytes of the largest HDF5 dataset (0: no HDF5 file).

    Raises
    ------
    DataError
        If this process should not open the file.
    """
    if not path.is_file() or not (is_hdf5(path) or path.suffix.lower() == ".mat"):
        return 0
    status = path.stat()
    key = (str(path.absolute()), status.st_size, status.st_mtime_ns)
    if key not in _passed:
        _passed[key] = WORKER.probe(path)
    return _passed[key]


@contextmanager
def one_error(path: Path) -> Iterator[None]:
    """Whatever a reader raises over a file becomes a DataError that names it; the original stays as its cause."""
    try:
        yield
    except DataError as error:
        raise error.within(path) from error
    except MemoryError as error:
        do = f"read a part of it ({setting('slices')}, where the command has it), or use a machine with more memory"
        raise DataError("there is not enough memory to read it", do=do, file=path) from error
    except Exception as error:
        text = " ".join(str(error).split())[:300] or "no reason given"
        fault = f"it cannot be read ({type(error).__name__}: {text})"
        raise DataError(fault, do="it is damaged or of another kind: copy or export it again", file=path) from error
