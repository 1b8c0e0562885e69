"""The study's web server: this machine alone, a handful of addresses, nothing of an address touches the disk."""

from __future__ import annotations

import hmac
import json
import secrets
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from spinecho.core.errors import DataError, setting
from spinecho.serve.study import answers, page
from spinecho.serve.study.order import reader_named
from spinecho.serve.study.session import Session

LOOPBACK = "127.0.0.1"
USUAL_PORT = 8737
LONGEST_BODY = 4096
SILENCE_S = 30.0
_SECURITY = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
JSON, HTML, BYTES = "application/json", "text/html; charset=utf-8", "application/octet-stream"


class Refused(Exception):
    """A request that gets no answer but a status and a sentence."""

    def __init__(self, status: HTTPStatus, why: str) -> None:
        super().__init__(why)
        self.status, self.why = status, why


class StudyServer(ThreadingHTTPServer):
    """Serves one session; its token, drawn at the start, must come back with every answer."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, session: Session, port: int) -> None:
        self.session = session
        self.token = secrets.token_urlsafe(24)
        self.files = page.files()
        super().__init__((LOOPBACK, port), Handler)
        self.hosts = {f"{name}:{self.server_port}" for name in (LOOPBACK, "localhost")}

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{LOOPBACK}:{self.server_port}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that goes away in the middle is no event."""


def opened(session: Session, port: int | None) -> StudyServer:
    """A server on a port; without one on the usual, or any that is free.

    Raises
    ------
    DataError
        If the port that was asked for cannot be had.
    """
    try:
        return StudyServer(session, USUAL_PORT if port is None else port)
    except (OSError, OverflowError) as error:
        if port is not None:
            told = getattr(error, "strerror", None) or str(error)
            problem = f"{setting('port', port)} cannot be had: {told}"
            raise DataError(problem, do=f"leave {setting('port')} out: then a free one is taken") from None
    return StudyServer(session, 0)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: StudyServer  # pyright: ignore[reportIncompatibleVariableOverride]
    protocol_version = "HTTP/1.1"
    timeout = SILENCE_S

    def do_GET(self) -> None:
        """Pages, their files, a reader's state, a picture."""
        self._answered(self._get)

    def do_POST(self) -> None:
        """One answer."""
        self._answered(self._post)

    def _answered(self, work: Any) -> None:
        """Check who asks, work, and say what is wrong in words of our own."""
        try:
            self._check_host()
            work(*self._address())
        except Refused as refused:
            self.close_connection = True
            self._send(refused.status, JSON, json.dumps({"error": refused.why}).encode())
        except DataError as error:
            self.close_connection = True
            self._send(HTTPStatus.INTERNAL_SERVER_ERROR, JSON, json.dumps({"error": str(error)}).encode())

    def _check_host(self) -> None:
        """A name that an attacker points at this machine (DNS rebinding) is not ours."""
        if self.headers.get_all("Host", []) not in [[host] for host in self.server.hosts]:
            raise Refused(HTTPStatus.FORBIDDEN, "this server answers to its own address only")
        if self.command == "GET" and (
            self.headers.get("Content-Length", "0") != "0" or self.headers.get("Transfer-Encoding")
        ):
            raise Refused(HTTPStatus.BAD_REQUEST, "nothing is to be sent along")

    def _address(self) -> tuple[str, dict[str, list[str]]]:
        """The path, which is only ever compared, and the words behind it."""
        try:
            url = urlsplit(self.path)
            return url.path, parse_qs(url.query, max_num_fields=8)
        except ValueError:
            raise Refused(HTTPStatus.BAD_REQUEST, "the address cannot be read") from None

    def _get(self, path: str, words: dict[str, list[str]]) -> None:
        if path in self.server.files:
            kind, content = self.server.files[path]
            return self._send(HTTPStatus.OK, kind, content)
        if path == "/":
            return self._page(page.start())
        if path == "/read":
            return self._read(words)
        reader = self._reader(words)
        session = self.server.session
        if path == "/state":
            state = {"token": self.server.token, "reader": reader, **session.state(reader)}
            return self._send(HTTPStatus.OK, JSON, json.dumps(state).encode())
        if path == "/image":
            number = self._number((words.get("number") or [""])[0])
            return self._send(HTTPStatus.OK, BYTES, session.pixels(reader, number))
        raise Refused(HTTPStatus.NOT_FOUND, "there is no such page")

    def _page(self, text: str) -> None:
        self._send(HTTPStatus.OK, HTML, text.encode())

    def _read(self, words: dict[str, list[str]]) -> None:
        """The page of a reader; a name that is written otherwise is led to the one it is kept under."""
        given = (words.get("reader") or [""])[0]
        try:
            reader = reader_named(given)
        except DataError as error:
            return self._page(page.start(wrong=f"{error.found[0].upper()}{error.found[1:]}: {error.do}."))
        if reader != given:
            return self._send(HTTPStatus.SEE_OTHER, HTML, b"", Location=f"/read?reader={quote(reader)}")
        return self._page(page.reading(reader))

    def _reader(self, words: dict[str, list[str]]) -> str:
        try:
            return reader_named((words.get("reader") or [""])[0])
        except DataError:
            raise Refused(HTTPStatus.NOT_FOUND, "there is no such page") from None

    def _number(self, text: Any) -> int:
        """The number of an image, from 1."""
        n = len(self.server.session.manifest.images)
        number = int(text) if isinstance(text, str) and text.isascii() and text.isdigit() and len(text) < 8 else text
        if type(number) is not int or not 1 <= number <= n:
            raise Refused(HTTPStatus.NOT_FOUND, "there is no such image")
        return number

    def _post(self, path: str, words: dict[str, list[str]]) -> None:
        """Token and origin first, then the sizes, then the words."""
        origins = {f"http://{host}" for host in self.server.hosts}
        if self.headers.get("Origin") not in origins:
            raise Refused(HTTPStatus.FORBIDDEN, "answers come from the study's own page")
        if not hmac.compare_digest((self.headers.get("X-Token") or "").encode(), self.server.token.encode()):
            raise Refused(HTTPStatus.FORBIDDEN, "this page is from before the server's last start")
        if path != "/answer" or words:
            raise Refused(HTTPStatus.NOT_FOUND, "there is no such page")
        said = self._body()
        session = self.server.session
        if said.get("study") != session.manifest.digest:
            raise Refused(HTTPStatus.GONE, "another study is served here now; load the page again")
        try:
            reader = reader_named(str(said.get("reader")))
            entry = answers.entry(said.get("quality"), said.get("real"), said.get("seconds"), answers.now())
        except ValueError as error:
            raise Refused(HTTPStatus.BAD_REQUEST, str(error)) from None
        nothing = entry.quality is None and entry.real is None
        if reader != said.get("reader") or nothing or type(said.get("after")) is not int:
            raise Refused(HTTPStatus.BAD_REQUEST, "the answer is not one of this page's")
        reply = session.answer(reader, self._number(said.get("number")), said["after"], entry)
        status = HTTPStatus.OK if reply.stored else HTTPStatus.CONFLICT
        self._send(status, JSON, json.dumps({"stored": reply.stored, "now": reply.now}).encode())

    def _body(self) -> dict[str, Any]:
        """JSON of a size that was announced before."""
        length = self.headers.get("Content-Length") or ""
        if not (length.isascii() and length.isdigit()) or self.headers.get("Transfer-Encoding"):
            raise Refused(HTTPStatus.LENGTH_REQUIRED, "the length is not told")
        if len(length) > 9 or int(length) > LONGEST_BODY:
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "an answer is shorter")
        if self.headers.get_content_type() != JSON:
            raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "an answer is JSON")
        try:
            said = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError):
            raise Refused(HTTPStatus.BAD_REQUEST, "this is not JSON") from None
        if not isinstance(said, dict):
            raise Refused(HTTPStatus.BAD_REQUEST, "this is no answer")
        return said

    def _send(self, status: HTTPStatus, kind: str, content: bytes, **headers: str) -> None:
        """Everything is sent with the same headers."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        for name, value in (_SECURITY | headers).items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What http.server refuses by itself, in our form."""
        self.close_connection = True
        self._send(HTTPStatus(code), JSON, b'{"error": "the request cannot be read"}')

    def version_string(self) -> str:
        """No versions."""
        return "spinecho"

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is logged."""
