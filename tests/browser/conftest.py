"""A Chromium and a Locust with its web UI for each test; both end with it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from support.chromium import WAIT_S, Page, open_chromium
from tidegauge.target import free_ports

TESTS = Path(__file__).parents[1]


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    folder = tmp_path / "chromium"
    folder.mkdir()
    with open_chromium(folder) as opened:
        opened.size(1280, 900)
        yield opened


class Locust:
    """A process of its own, waiting for somebody to press START."""

    def __init__(self, folder: Path) -> None:
        port = free_ports(["locust"])["locust"]
        self.url = f"http://127.0.0.1:{port}"
        self.log = folder / "locust.log"
        command = [sys.executable, "-m", "locust", "-f", str(TESTS / "browser" / "toy_locustfile.py")]
        command += ["--web-port", str(port), "-u", "2", "-r", "2"]
        paths = os.pathsep.join((str(TESTS.parent / "src"), str(TESTS)))
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, cwd=folder, env={**os.environ, "PYTHONPATH": paths}, stdout=log, stderr=log
            )

    def wait_ready(self) -> None:
        ends_s = time.monotonic() + WAIT_S
        while time.monotonic() < ends_s and self.process.poll() is None:
            with contextlib.suppress(httpx.HTTPError):
                httpx.get(self.url, timeout=5).raise_for_status()
                return
            time.sleep(0.1)
        pytest.fail(f"Locust did not start: {self.log.read_text()}")

    @property
    def listens_on(self) -> set[str]:
        connections = psutil.Process(self.process.pid).net_connections(kind="inet")
        return {connection.laddr.ip for connection in connections if connection.status == psutil.CONN_LISTEN}

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def locust_ui(tmp_path: Path) -> Iterator[Locust]:
    process = Locust(tmp_path)
    try:
        process.wait_ready()
        yield process
    finally:
        process.kill()
