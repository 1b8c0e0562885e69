"""The server driven by plain HTTP: nothing is lost and nothing doubled, whatever is sent twice, late or at once."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from http.client import HTTPException

import numpy as np
import pytest
from studies import N_REAL, N_SYNTHETIC, SIDE, Client, Elsewhere, file_of, folders, forked, scores, served

from spinecho.core.errors import DataError
from spinecho.serve.study import answers
from spinecho.serve.study.order import order_of
from spinecho.serve.study.server import opened

N = N_REAL + N_SYNTHETIC


def test_a_reader_from_beginning_to_end(tmp_path):
    folders(tmp_path)
    with served(tmp_path) as server:
        client = Client(server, "anna")
        assert client.state["count"] == N and client.state["answers"] == [[None, None, 0]] * N
        assert not list((tmp_path / "out").glob("reader-*"))  # looking leaves nothing
        wanted = {n: (n % 5 + 1, n % 2 == 0) for n in range(1, N + 1)}
        for n, (quality, real) in wanted.items():
            client.answer(n, quality, real)
            assert len(file_of(tmp_path, "anna")["answers"]) == n  # on the disk before the page goes on
    words = {True: "real", False: "synthetic"}
    assert scores(tmp_path, "anna") == {n: (q, words[r]) for n, (q, r) in wanted.items()}
    assert file_of(tmp_path, "anna")["order"] == order_of(0, "anna", N)


def test_pictures_come_in_the_readers_order(tmp_path):
    folders(tmp_path)
    with served(tmp_path) as server:
        for reader in ("anna", "ben"):
            client = Client(server, reader)
            for n, image in enumerate(order_of(0, reader, N), start=1):
                status, _, body = client.ask("GET", f"/image?reader={reader}&number={n}")
                pixels = np.frombuffer(body, "<u2").reshape(SIDE, SIDE)
                assert status == 200
                np.testing.assert_array_equal(pixels, server.session.shown.pixels[image])


def test_the_same_answer_sent_again_is_stored_once(tmp_path):
    folders(tmp_path)
    with served(tmp_path) as server:
        client = Client(server, "anna")
        said = client.said(2, 4, True)
        for _ in range(3):
            assert client.send(said) == (200, {"stored": True, "now": [4, True, 1]})
    assert [len(a["log"]) for a in file_of(tmp_path, "anna")["answers"]] == [1]


def test_twenty_at_once_are_stored_once(tmp_path):
    folders(tmp_path)
    with served(tmp_path) as server:
        client = Client(server, "anna")
        said, told = client.said(2, 4, True), []
        threads = [threading.Thread(target=lambda: told.append(client.send(said))) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [t[0] for t in told] == [200] * 20
    assert len(file_of(tmp_path, "anna")["answers"][0]["log"]) == 1


def test_changes_are_logged_and_the_last_one_counts(tmp_path):
    folders(tmp_path)
    with served(tmp_path) as server:
        client = Client(server, "anna")
        for quality, real in ((2, None), (2, True), (5, True), (5, False), (2, True)):
            client.answer(3, quality, real)
        assert client.learn()["answers"][2] == [2, True, 5]
    (answer,) = file_of(tmp_path, "anna")["answers"]
    assert [(e["quality"], e["taken_for"]) for e in answer["log"]] == [
        *((2, None), (2, "real"), (5, "real"), (5, "synthetic"), (2, "real")),
    ]
    times = [e["at"] for e in answer["log"]]
    assert times == sorted(times) and all(re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]{12}Z", t) for t in times)


def test_an_answer_that_was_overtaken_is_not_stored(tmp_path):
    """One packet waits in the network while another tab, or the same page later, has said something else."""
    folders(tmp_path)
    with served(tmp_path) as server:
        client = Client(server, "anna")
        late = client.said(1, 1, False)
        client.answer(1, 5, True)
        assert client.send(late) == (409, {"stored": False, "now": [5, True, 1]})
        assert client.send({**late, "after": 1}) == (200, {"stored": True, "now": [1, False, 2]})
    assert scores(tmp_path, "anna") == {1: (1, "synthetic")}


def test_two_readers_at_once_do_not_meet(tmp_path):
    folders(tmp_path)
    failed: list[BaseException] = []

    def read(server, reader: str, offset: int) -> None:
        try:
            client = Client(server, reader)
            for n in range(1, N + 1):
                client.answer(n, (n + offset) % 5 + 1, n % 2 == offset)
        except BaseException as error:
            failed.append(error)

    with served(tmp_path) as server:
        threads = [threading.Thread(target=read, args=(server, r, i)) for i, r in enumerate(("anna", "ben"))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not failed
    for offset, reader in enumerate(("anna", "ben")):
        taken = {True: "real", False: "synthetic"}
        expected = {n: ((n + offset) % 5 + 1, taken[n % 2 == offset]) for n in range(1, N + 1)}
        assert scores(tmp_path, reader) == expected
    assert file_of(tmp_path, "anna")["order"] != file_of(tmp_path, "ben")["order"]


def test_a_server_that_starts_again_goes_on_and_has_another_token(tmp_path):
    folders(tmp_path)
    with served(tmp_path) as server:
        client = Client(server, "anna")
        client.answer(1, 4, True)
        port = server.server_port
    with served(tmp_path, port=port):
        status, told = client.send(client.said(2, 3, False))
        assert status == 403 and "last start" in told["error"]
        assert client.learn()["answers"][0] == [4, True, 1]
        client.answer(2, 3, False)
    assert scores(tmp_path, "anna") == {1: (4, "real"), 2: (3, "synthetic")}


def until_killed(client: Client) -> dict[int, int]:
    """Answers one after another; those that were told stored."""
    stored: dict[int, int] = {}
    for i in range(100000):
        n, quality = i % N + 1, i // N % 5 + 1
        try:
            client.answer(n, quality, True)
        except (OSError, HTTPException):
            return stored
        stored[n] = quality
    raise AssertionError("nobody killed the server")


def test_killed_in_the_middle_every_answer_that_was_told_stored_is_there(tmp_path):
    folders(tmp_path)
    for seconds in (0.1, 0.13, 0.16, 0.2):
        with forked(tmp_path) as (child, server):
            client = Client(server, "anna")
            before = {n: a[0] for n, a in enumerate(client.state["answers"], start=1) if a[2]}
            threading.Timer(seconds, os.kill, (child, signal.SIGKILL)).start()
            stored = before | until_killed(client)
        lasting = {n: quality for n, (quality, _) in scores(tmp_path, "anna").items()}
        beyond = [n for n in lasting if stored.get(n) != lasting[n]]
        assert set(stored) <= set(lasting) and len(beyond) <= 1  # the one on its way may have come, or not
        assert all(lasting[n] == stored.get(n, 0) % 5 + 1 for n in beyond)


@pytest.mark.slow
def test_the_command_serves_and_stops(tmp_path):
    folders(tmp_path)
    words = [
        "study",
        str(tmp_path / "REAL"),
        str(tmp_path / "SYNTHETIC"),
        "--out",
        str(tmp_path / "out"),
        "--port",
        "0",
    ]
    command = [sys.executable, "-m", "spinecho", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        lines = []
        while not (lines and "readers begin" in lines[-1]):
            lines.append(process.stdout.readline())
            assert lines[-1], process.stderr.read()
        match = re.search(r"http://127.0.0.1:(\d+)/", lines[-1])
        assert match
        Client(Elsewhere(int(match[1])), "anna").answer(1, 4, True)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130 and "the same command continues" in process.stderr.read()
    assert scores(tmp_path, "anna") == {1: (4, "real")}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_told_by_its_owner(tmp_path):
    folders(tmp_path)
    with served(tmp_path) as server:
        client = Client(server, "anna")
        (tmp_path / "out").chmod(0o500)
        status, told = client.send(client.said(1, 4, True))
        (tmp_path / "out").chmod(0o700)
        assert status == 500 and "no permission" in told["error"]
        client.answer(1, 4, True)


def test_a_full_disk_loses_no_answer_that_was_stored(tmp_path, monkeypatch):
    folders(tmp_path)
    with served(tmp_path) as server:
        client = Client(server, "anna")
        client.answer(1, 4, True)
        kept, save = file_of(tmp_path, "anna"), answers.save

        def full(folder, reading):
            raise DataError("the disk is full", do="make room", file=folder)

        monkeypatch.setattr(answers, "save", full)
        said = client.said(2, 3, False)
        assert client.send(said)[0] == 500 and file_of(tmp_path, "anna") == kept
        assert client.learn()["answers"][1] == [None, None, 0]  # what is not on the disk does not count
        monkeypatch.setattr(answers, "save", save)
        assert client.send(said)[0] == 200
    assert scores(tmp_path, "anna") == {1: (4, "real"), 2: (3, "synthetic")}


def test_a_port_that_is_taken(tmp_path):
    folders(tmp_path)
    with served(tmp_path) as server, pytest.raises(DataError, match=f"port={server.server_port} cannot be had"):
        opened(server.session, server.server_port)
    for port in (70000, -1):
        with pytest.raises(DataError, match="cannot be had"):
            opened(server.session, port)


def test_the_usual_port_or_any_other(tmp_path):
    folders(tmp_path)
    with served(tmp_path, port=None) as server:
        other = opened(server.session, None)
        assert other.server_port != server.server_port
        assert other.server_address[0] == server.server_address[0] == "127.0.0.1"
        other.server_close()


def test_names_lead_to_the_page_they_are_kept_under(tmp_path):
    folders(tmp_path)
    with served(tmp_path) as server:
        client = Client(server, "anna")
        status, headers, _ = client.ask("GET", "/read?reader=%20Anna%20M%C3%BCller%20")
        assert status == 303 and headers["location"] == "/read?reader=anna-m%C3%BCller"
        assert client.ask("GET", headers["location"])[0] == 200
        status, _, body = client.ask("GET", "/read?reader=../..")
        assert status == 200 and b"This is not a name" in body
        assert json.loads(client.ask("GET", "/state?reader=Anna")[2])["reader"] == "anna"
