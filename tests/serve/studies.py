"""A small study for tests: folders with images, a server in a thread, and a reader who speaks plain HTTP."""

from __future__ import annotations

import http.client
import json
import os
import signal
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pillow

from spinecho.serve.study import run
from spinecho.serve.study.server import StudyServer, opened

Reply = tuple[int, dict[str, str], bytes]
N_REAL, N_SYNTHETIC, SIDE = 4, 3, 32


def picture(seed: int, side: int = SIDE) -> np.ndarray:
    """A disc with its own texture, 8 bits."""
    rows, columns = np.mgrid[:side, :side] - (side - 1) / 2
    texture = np.random.default_rng(seed).uniform(60, 255, (side, side))
    return np.where(np.hypot(rows, columns) < 0.4 * side, texture, 0).astype(np.uint8)


def save(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Pillow.fromarray(values).save(path)


def folders(root: Path, n_real: int = N_REAL, n_synthetic: int = N_SYNTHETIC) -> tuple[Path, Path]:
    """REAL/ and SYNTHETIC/ with names that would give the answer away."""
    for i in range(n_real):
        save(root / "REAL" / f"patient_{i}.png", picture(i))
    for i in range(n_synthetic):
        save(root / "SYNTHETIC" / f"gan_{i}.png", picture(100 + i))
    return root / "REAL", root / "SYNTHETIC"


def quiet(text: str) -> None:
    """Where notes go that no test asks for."""


@contextmanager
def served(root: Path, port: int | None = 0, seed: int = 0) -> Iterator[StudyServer]:
    """The study of `root`'s folders at work, in root/out."""
    made, shown = run.gathered([root / "REAL", root / "SYNTHETIC"], seed, quiet, quiet)
    session = run.session(root / "out", made, shown)
    server = opened(session, port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        session.close()
        thread.join()


class Elsewhere:
    """A server in another process, as `Client` wants it."""

    def __init__(self, port: int) -> None:
        self.server_port = port
        self.url = f"http://127.0.0.1:{port}/"


@contextmanager
def forked(root: Path, port: int = 0) -> Iterator[tuple[int, Elsewhere]]:
    """The study served by a process that can be killed: its id and the server."""
    told, tell = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # forking beside threads, from Python 3.12
        child = os.fork()
    if child == 0:
        try:
            with served(root, port) as server:
                os.write(tell, f"{server.server_port}\n".encode())
                time.sleep(300)
        finally:
            os._exit(1)
    try:
        yield child, Elsewhere(int(os.read(told, 100)))
    finally:
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        os.close(told)
        os.close(tell)


class Client:
    """One reader without a browser."""

    def __init__(self, server: StudyServer | Elsewhere, reader: str) -> None:
        self.port, self.reader = server.server_port, reader
        self.state: dict[str, Any] = {}
        self.learn()

    def ask(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body, {k.replace("_", "-"): v for k, v in headers.items()})
            response = connection.getresponse()
            return response.status, {k.lower(): v for k, v in response.getheaders()}, response.read()
        finally:
            connection.close()

    def learn(self) -> dict[str, Any]:
        status, _, body = self.ask("GET", f"/state?reader={self.reader}")
        assert status == 200, body
        self.state = json.loads(body)
        return self.state

    def said(self, number: int, quality: Any, real: Any, after: Any = None, **other: Any) -> dict[str, Any]:
        """What the page sends for an answer."""
        after = self.state["answers"][number - 1][2] if after is None else after
        words = {"study": self.state["study"], "reader": self.reader, "number": number, "seconds": 1.5}
        return {**words, "quality": quality, "real": real, "after": after, **other}

    def send(self, said: Any, **headers: str) -> tuple[int, dict[str, Any]]:
        body = said if isinstance(said, bytes) else json.dumps(said).encode()
        usual = {"Origin": f"http://127.0.0.1:{self.port}", "X_Token": self.state["token"]}
        status, _, told = self.ask("POST", "/answer", body, **{**usual, "Content_Type": "application/json", **headers})
        return status, json.loads(told)

    def answer(self, number: int, quality: Any, real: Any) -> None:
        """An answer that must be stored."""
        status, told = self.send(self.said(number, quality, real))
        assert status == 200 and told["stored"], told
        self.state["answers"][number - 1] = told["now"]


def file_of(root: Path, reader: str) -> dict[str, Any]:
    """A reader's answers as they lie on the disk."""
    return json.loads((root / "out" / f"reader-{reader}.json").read_text(encoding="utf-8"))


def scores(root: Path, reader: str) -> dict[int, tuple[Any, Any]]:
    """Number -> (quality, taken for) on the disk."""
    return {a["number"]: (a["quality"], a["taken_for"]) for a in file_of(root, reader)["answers"]}
