"""A headless Chromium driven over its DevTools protocol, by a websocket client of our own (RFC 6455)."""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import struct
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), ""
)
PATIENCE_S = 60.0
_KEYS = {"Enter": (13, "\r"), "ArrowLeft": (37, ""), "ArrowRight": (39, "")}
_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10


class Socket:
    """Text messages over one websocket."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.socket = socket.create_connection((parts.hostname, parts.port), PATIENCE_S)
        self.buffer = b""
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [f"GET {parts.path} HTTP/1.1", f"Host: {parts.netloc}", "Upgrade: websocket", "Connection: Upgrade"]
        lines += [f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", "", ""]
        self.socket.sendall("\r\n".join(lines).encode())
        while b"\r\n\r\n" not in self.buffer:
            self._more()
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        assert b" 101 " in head.split(b"\r\n")[0], head

    def send(self, text: str, code: int = _TEXT) -> None:
        payload, mask = text.encode(), os.urandom(4)
        n = len(payload)
        size = bytes([128 | n]) if n < 126 else struct.pack("!BH", 254, n) if n < 65536 else struct.pack("!BQ", 255, n)
        masked = bytes(b ^ mask[i % 4] for i, b in enumerate(payload))
        self.socket.sendall(bytes([128 | code]) + size + mask + masked)

    def receive(self) -> str:
        parts: list[bytes] = []
        while True:
            first, second = self._take(2)
            n = second & 127
            if n >= 126:
                n = int.from_bytes(self._take(2 if n == 126 else 8), "big")
            payload = self._take(n)
            if first & 15 == _PING:
                self.send(payload.decode(), _PONG)
            elif first & 15 == _CLOSE:
                raise ConnectionError("the browser closed the socket")
            elif first & 15 != _PONG:
                parts.append(payload)
                if first & 128:
                    return b"".join(parts).decode()

    def _take(self, n: int) -> bytes:
        while len(self.buffer) < n:
            self._more()
        taken, self.buffer = self.buffer[:n], self.buffer[n:]
        return taken

    def _more(self) -> None:
        chunk = self.socket.recv(1 << 20)
        if not chunk:
            raise ConnectionError("the browser is gone")
        self.buffer += chunk


class Tab:
    """One page."""

    def __init__(self, browser: Browser, target: dict[str, Any], size: tuple[int, int], touch: bool) -> None:
        self.browser, self.id = browser, target["id"]
        self.socket = Socket(target["webSocketDebuggerUrl"])
        self.n = 0
        self.errors: list[str] = []
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": touch}
        self.call("Emulation.setDeviceMetricsOverride", **metrics)
        if touch:
            self.call("Emulation.setTouchEmulationEnabled", enabled=True, maxTouchPoints=2)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        self.n += 1
        self.socket.send(json.dumps({"id": self.n, "method": method, "params": params}))
        while True:
            message = json.loads(self.socket.receive())
            if message.get("method") == "Runtime.exceptionThrown":
                self.errors.append(json.dumps(message["params"]["exceptionDetails"]))
            if message.get("method") == "Log.entryAdded" and message["params"]["entry"].get("source") == "security":
                self.errors.append(message["params"]["entry"]["text"])
            if message.get("id") == self.n:
                if "navigated" in message.get("error", {}).get("message", ""):
                    return {}  # it was given, and a page that loaded in between took its answer
                assert "error" not in message, message
                return message["result"]

    def value(self, script: str) -> Any:
        """The value of a script, promises awaited."""
        told = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    def wait(self, script: str) -> None:
        """Until a script is true."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            if self.value(f"(() => {{ try {{ return Boolean({script}) }} catch {{ return false }} }})()"):
                return
            time.sleep(0.03)
        raise TimeoutError(f"{script}: {self.value('document.body.innerText')!r}, {self.errors}")

    def visit(self, url: str) -> None:
        self.call("Page.navigate", url=url)

    def reload(self) -> None:
        self.value("window.before = true")
        self.call("Page.reload")
        self.wait("!window.before && document.readyState === 'complete'")

    def back(self, steps: int = -1) -> None:
        """The browser's own back button (or forward)."""
        past = self.call("Page.getNavigationHistory")
        entry = past["entries"][past["currentIndex"] + steps]
        self.call("Page.navigateToHistoryEntry", entryId=entry["id"])

    def key(self, key: str, times: int = 1) -> None:
        """A key pressed and let go; pressed `times` before that, it repeats."""
        code, text = _KEYS[key] if key in _KEYS else (ord(key.upper()), key)
        event = {"key": key, "windowsVirtualKeyCode": code, "text": text, "unmodifiedText": text}
        for i in range(times):
            kind = "keyDown" if text else "rawKeyDown"
            self.call("Input.dispatchKeyEvent", type=kind, autoRepeat=i > 0, **event)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    def middle(self, selector: str) -> tuple[float, float]:
        """Where an element's middle lies."""
        box = f"document.querySelector({json.dumps(selector)}).getBoundingClientRect()"
        x, y = self.value(f"(b => [b.x + b.width / 2, b.y + b.height / 2])({box})")
        return x, y

    def click(self, selector: str, times: int = 1) -> None:
        x, y = self.middle(selector)
        for count in range(1, times + 1):
            for kind in ("mousePressed", "mouseReleased"):
                self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=count)

    def tap(self, selector: str) -> None:
        x, y = self.middle(selector)
        self.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
        self.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def pinch(self, selector: str, apart: float, further: float) -> None:
        """Two fingers, from one distance to another."""
        x, y = self.middle(selector)
        for i, kind in enumerate(["touchStart", *["touchMove"] * 4]):
            half = (apart + (further - apart) * i / 4) / 2
            points = [{"x": x - half, "y": y, "id": 0}, {"x": x + half, "y": y, "id": 1}]
            self.call("Input.dispatchTouchEvent", type=kind, touchPoints=points)
        self.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def drag(self, selector: str, dx: float, dy: float, modifiers: int = 0) -> None:
        x, y = self.middle(selector)
        mouse = {"button": "left", "modifiers": modifiers}
        self.call("Input.dispatchMouseEvent", type="mousePressed", x=x, y=y, clickCount=1, **mouse)
        for i in range(1, 5):
            moved = {"x": x + dx * i / 4, "y": y + dy * i / 4}
            self.call("Input.dispatchMouseEvent", type="mouseMoved", buttons=1, **moved, **mouse)
        self.call("Input.dispatchMouseEvent", type="mouseReleased", x=x + dx, y=y + dy, clickCount=1, **mouse)

    def wheel(self, selector: str, delta: float) -> None:
        x, y = self.middle(selector)
        self.call("Input.dispatchMouseEvent", type="mouseWheel", x=x, y=y, deltaX=0, deltaY=delta)

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))

    def close(self) -> None:
        """Close the tab as a person does."""
        self.browser.ask("PUT", f"/json/close/{self.id}")
        self.socket.socket.close()


class Browser:
    """A Chromium of its own profile."""

    def __init__(self, profile: Path) -> None:
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage"]
        options += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
        command = [CHROMIUM, *options, "--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        told, end = profile / "DevToolsActivePort", time.monotonic() + PATIENCE_S
        while not (told.exists() and told.read_text().count("\n")):
            assert self.process.poll() is None and time.monotonic() < end, "Chromium does not start"
            time.sleep(0.05)
        self.port = int(told.read_text().split()[0])

    def ask(self, method: str, path: str) -> bytes:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", method=method)
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
            return response.read()

    def tab(self, url: str, size: tuple[int, int] = (1400, 900), touch: bool = False) -> Tab:
        tab = Tab(self, json.loads(self.ask("PUT", "/json/new?about:blank")), size, touch)
        tab.visit(url)
        return tab

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(PATIENCE_S)
