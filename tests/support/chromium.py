"""A real Chromium without a window, driven by its own DevTools protocol: open a page, ask it, look at it.

Nothing but a WebSocket client is needed. The browser is ours alone: a profile of its own, a port that it picks itself,
and it ends with the test.
"""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
import websocket

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WAIT_S = 30.0


class Page:
    """One tab."""

    def __init__(self, socket: websocket.WebSocket) -> None:
        self._socket = socket
        self._number = 0
        self.faults: list[str] = []  # what the console and the loader complained of
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **arguments: Any) -> dict[str, Any]:
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": arguments}))
        while True:
            told = json.loads(self._socket.recv())
            if told.get("method") == "Runtime.exceptionThrown":
                self.faults.append(json.dumps(told["params"]["exceptionDetails"]))
            if told.get("method") == "Log.entryAdded" and told["params"]["entry"]["level"] == "error":
                self.faults.append(json.dumps(told["params"]["entry"]))
            if told.get("id") == self._number:
                assert "error" not in told, told
                return cast("dict[str, Any]", told["result"])

    def size(self, width: int, height: int) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )

    def prefer(self, scheme: str) -> None:
        """Light or dark."""
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def open(self, url: str) -> None:
        self.call("Page.navigate", url=url)

    def ask(self, expression: str) -> Any:
        told = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    def wait(self, expression: str) -> None:
        """Until it is true, as JavaScript sees it."""
        ends_s = time.monotonic() + WAIT_S
        while time.monotonic() < ends_s:
            # While a page is being left there may be nothing to ask.
            with contextlib.suppress(AssertionError):
                if self.ask(f"Boolean({expression})"):
                    return
            time.sleep(0.1)
        pytest.fail(f"never true in {WAIT_S:g} s: {expression}; the page complained of {self.faults}")

    def screenshot(self, path: Path, *, whole: bool = True) -> None:
        told = self.call("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(told["data"]))


@contextlib.contextmanager
def open_chromium(folder: Path) -> Iterator[Page]:
    """A browser with one empty page."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.fail("not measured: there is no Chromium here; `apt-get install chromium`, then run the tests again")
    command = [program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
    command += ["--remote-debugging-port=0", "--remote-allow-origins=*", f"--user-data-dir={folder}", "about:blank"]
    with (folder.parent / "chromium.log").open("wb") as log:
        browser = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        with contextlib.closing(websocket.create_connection(_address(folder, browser), timeout=WAIT_S)) as socket:
            yield Page(socket)
            Page(socket).call("Browser.close")
        browser.wait(WAIT_S)
    finally:
        browser.kill()
        browser.wait()


def _address(folder: Path, browser: subprocess.Popen[bytes]) -> str:
    written = folder / "DevToolsActivePort"
    ends_s = time.monotonic() + WAIT_S
    while time.monotonic() < ends_s and browser.poll() is None:
        with contextlib.suppress(OSError, IndexError, StopIteration, httpx.HTTPError):
            port = written.read_text().split()[0]
            told = httpx.get(f"http://127.0.0.1:{port}/json/list", timeout=5).json()
            pages = [page for page in told if page["type"] == "page"]
            return str(next(iter(pages))["webSocketDebuggerUrl"])
        time.sleep(0.1)
    pytest.fail(f"Chromium did not start; read {folder.parent / 'chromium.log'}")
