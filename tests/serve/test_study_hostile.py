"""Requests by others than the study's own page: none changes an answer, reads a file or stops the server."""

from __future__ import annotations

import json
import socket

import pytest
from studies import Client, file_of, folders, served

HEADERS = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    path = tmp_path_factory.mktemp("hostile")
    folders(path)
    return path


@pytest.fixture(scope="module")
def server(root):
    with served(root) as server:
        yield server


@pytest.fixture
def client(server, root):
    client = Client(server, "anna")
    client.answer(1, 3, True)
    yield client
    assert file_of(root, "anna")["answers"][0]["quality"] == 3
    assert client.learn()["answers"][0] == [3, True, 1] and client.state["answers"][1:] == [[None, None, 0]] * 6
    assert [p.name for p in sorted((root / "out").iterdir())] == [".lock", "reader-anna.json", "study.json"]


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "0.0.0.0:{port}", "", "localhost.:1"],
)
@pytest.mark.parametrize("path", ["/", "/read?reader=anna", "/state?reader=anna", "/image?reader=anna&number=1"])
def test_other_hosts_learn_nothing(client, host, path):
    status, _, body = client.ask("GET", path, Host=host.format(port=client.port))
    assert status == 403 and client.state["token"].encode() not in body and len(body) < 200


def test_localhost_is_this_machine_too(client):
    host = f"localhost:{client.port}"
    assert client.ask("GET", "/", Host=host)[0] == 200
    status, _ = client.send(client.said(1, 3, True), Host=host, Origin=f"http://{host}")
    assert status == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1", "https://127.0.0.1:{port}", ""])
def test_other_origins_change_nothing(client, origin):
    assert client.send(client.said(1, 5, False), Origin=origin.format(port=client.port))[0] == 403


@pytest.mark.parametrize("token", ["", "x" * 32, "\xe4"])
def test_without_the_token_nothing_is_stored(client, token):
    assert client.send(client.said(1, 5, False), X_Token=token)[0] == 403


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_what_a_form_can_send_is_refused(client, kind):
    assert client.send(client.said(1, 5, False), Content_Type=kind)[0] == 415


@pytest.mark.parametrize(
    "path",
    [
        *("/../study.json", "/..%2fstudy.json", "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd", "/study.json", "/out"),
        *("/reader-anna.json", "/page.py", "/reading.html.j2", "/state", "/image", "/answer", "/.lock", "/read/../x"),
        *("/image?reader=anna&number=0", "/image?reader=anna&number=8", "/image?reader=anna&number=../1"),
        *(
            "/image?reader=anna&number=-1",
            "/image?reader=anna",
            "/image?reader=&number=1",
            "/image?reader=anna&number=%C2%B2",
        ),
        *("/state?reader=", "/image?reader=anna&number=" + "9" * 5000),
    ],
)
def test_no_address_reaches_the_disk(client, path):
    status, headers, body = client.ask("GET", path)
    assert status == 404 and len(body) < 200 and b"root:" not in body
    assert {name: headers[name] for name in HEADERS} == HEADERS


@pytest.mark.parametrize("path", ["/?" + "&".join("a=1" for _ in range(50)), "//[/", "/?%zz=%zz&=" + "&" * 9])
def test_odd_addresses_are_answered(client, path):
    assert client.ask("GET", path)[0] in (200, 400, 404)


@pytest.mark.parametrize("method", ["HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT"])
def test_other_methods_are_refused(client, method):
    assert client.ask(method, "/answer", b"")[0] == 501


@pytest.mark.parametrize(
    "change",
    [
        *({"quality": q} for q in (0, 6, 3.5, "3", True, [1], {"a": 1})),
        *({"real": r} for r in (1, "real", [])),
        *({"number": n} for n in (0, 8, -1, 1.5, "x", None, True, [1], 10**30)),
        *({"after": a} for a in (None, "1", 1.0, True, [])),
        *({"seconds": s} for s in (-1, "1", None, 1e300, True)),
        *({"reader": r} for r in ("../x", "Anna", "", None, 7, ["anna"], "anna/")),
        {"quality": None, "real": None},
    ],
)
def test_answers_that_cannot_be_are_refused(client, change):
    status, told = client.send({**client.said(1, 5, False), **change})
    assert status in (400, 404) and told["error"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 4000, b'{"study": NaN}'])
def test_bodies_that_are_no_answers_are_refused(client, body):
    assert client.send(body)[0] in (400, 410)


def test_an_answer_to_another_study_is_refused(client):
    status, told = client.send(client.said(1, 5, False, study="0" * 64))
    assert status == 410 and "another study" in told["error"]


def test_a_changed_count_of_entries_is_no_way_in(client):
    for after in (0, 2, -1, 10**9):
        assert client.send(client.said(1, 5, False, after=after))[0] == 409


def raw(client: Client, text: bytes) -> bytes:
    """What comes back on a bare connection."""
    with socket.create_connection(("127.0.0.1", client.port), 20) as connection:
        connection.sendall(text)
        connection.shutdown(socket.SHUT_WR)
        told = b""
        while chunk := connection.recv(65536):
            told += chunk
    return told


def post(client: Client, *lines: str) -> bytes:
    """A POST with everything right but for these lines."""
    head = [
        "POST /answer HTTP/1.1",
        f"Host: 127.0.0.1:{client.port}",
        f"Origin: http://127.0.0.1:{client.port}",
        f"X-Token: {client.state['token']}",
        "Content-Type: application/json",
        *lines,
    ]
    return ("\r\n".join(head) + "\r\n\r\n").encode()


@pytest.mark.parametrize("length", ["4097", "99999999999999999999", "1" * 400])
def test_a_huge_body_is_refused_before_it_is_read(client, length):
    assert raw(client, post(client, f"Content-Length: {length}") + b"x" * 5000).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("line", ["Content-Length: -5", "Content-Length: x", "Transfer-Encoding: chunked", "X: y"])
def test_a_body_without_a_length_is_refused(client, line):
    assert raw(client, post(client, line) + b"0\r\n\r\n").startswith(b"HTTP/1.1 411 ")


def test_two_hosts_are_none(client):
    said = json.dumps(client.said(1, 5, False)).encode()
    lines = ("Host: evil.example", f"Content-Length: {len(said)}")
    assert raw(client, post(client, *lines) + said).startswith(b"HTTP/1.1 403 ")


def test_what_comes_behind_a_refused_request_is_not_read_as_another(client):
    said = json.dumps(client.said(1, 5, False)).encode()
    smuggled = post(client, f"Content-Length: {len(said)}") + said
    first = f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{client.port}\r\nContent-Length: {len(smuggled)}\r\n\r\n"
    told = raw(client, first.encode() + smuggled)
    assert told.count(b"HTTP/1.1 ") == 1 and told.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("text", [b"\x16\x03\x01\x02\x00\x01\x00", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\r\n"])
def test_what_is_no_http_stops_nothing(client, text):
    raw(client, text)


@pytest.mark.parametrize("size", [70000, 200])
def test_long_heads_are_refused(client, size):
    line = b"GET /" + b"a" * size + b" HTTP/1.1\r\n" if size > 1000 else b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * size
    assert raw(client, line + b"\r\n").split(b" ")[1] in (b"414", b"431")


def test_a_browser_that_goes_away_stops_nothing(client):
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", client.port), 20) as connection:
            connection.sendall(b"POST /answer HTTP/1.1\r\nContent-Le")


def test_a_thousand_readers_are_the_most(tmp_path, monkeypatch):
    monkeypatch.setattr("spinecho.serve.study.session.MOST_READERS", 2)
    folders(tmp_path)
    with served(tmp_path) as server:
        for reader in ("a", "b"):
            Client(server, reader).answer(1, 3, True)
        client = Client(server, "c")
        assert client.send(client.said(1, 3, True))[0] == 500
    assert not (tmp_path / "out" / "reader-c.json").exists()
