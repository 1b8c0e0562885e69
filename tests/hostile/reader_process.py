"""A long-lived process that reads one damaged file after the other; its parent ends it on time-out."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path

TIMEOUT_S = 30.0
"""Wall time on a machine that may be busy; SECONDS is what counts."""
SECONDS = 10.0
"""Processor time that reading one file may take, the vetting process included."""
MEMORY = 2_000_000_000
"""Resident bytes that reading may take."""


@dataclass(frozen=True)
class Answer:
    """What came of a file: `read`, `DataError`, another error's name, `hang` or `crash`.

    peak_bytes is the most that the process has had; grown_bytes, that above what it had with everything imported, which
    differs by machine and build of torch.
    """

    outcome: str
    text: str = ""
    seconds: float = 0.0
    peak_bytes: int = 0
    grown_bytes: int = 0

    @property
    def is_fine(self) -> bool:
        """Read or refused, in time and within the memory."""
        return self.outcome in ("read", "DataError") and self.seconds <= SECONDS and self.peak_bytes <= MEMORY


class Reader:
    """The parent's side."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._lines: queue.Queue[str] = queue.Queue()

    def ask(self, path: Path) -> Answer:
        """Have a file read; a process that does not answer is killed, the next question starts another."""
        if self._process is None:
            self._start()
        assert self._process is not None and self._process.stdin is not None
        self._process.stdin.write(json.dumps(str(path)) + "\n")
        self._process.stdin.flush()
        try:
            line = self._lines.get(timeout=TIMEOUT_S)
        except queue.Empty:
            self.stop()
            return Answer("hang", f"no answer within {TIMEOUT_S:g} s", TIMEOUT_S)
        if not line:
            code = self._process.wait()
            self.stop()
            return Answer("crash", f"exit code {code}")
        return Answer(**json.loads(line))

    def stop(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdin is not None and self._process.stdout is not None
            self._process.stdin.close()
            self._process.stdout.close()
            self._process = None

    def _start(self) -> None:
        command = [sys.executable, __file__]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self._lines = queue.Queue()
        threading.Thread(target=_pump, args=(self._process.stdout, self._lines), daemon=True).start()


def _pump(pipe, lines):
    try:
        for line in pipe:
            lines.put(line)
    except ValueError:
        pass
    lines.put("")


def main() -> None:
    """Read the file that each line names; say what came of it."""

    import torch

    from spinecho.io.limits import peak_memory
    from spinecho.io.options import ReadOptions
    from spinecho.io.read import read

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    at_start = peak_memory()
    named = ReadOptions(axes="slice coil k1 k0")
    for line in sys.stdin:
        path = Path(json.loads(line))
        begin, text = _cpu_seconds(), ""
        try:
            kind = path.parent.parent.name
            read(path, named if kind.startswith("arrays") and kind != "arrays.own" else ReadOptions())
            outcome = "read"
        except Exception as error:
            outcome, text = type(error).__name__, str(error)
        peak = peak_memory()
        answer = Answer(outcome, text, _cpu_seconds() - begin, peak, peak - at_start)
        print(json.dumps(asdict(answer)), flush=True)


def _cpu_seconds() -> float:
    import resource

    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


if __name__ == "__main__":
    main()
