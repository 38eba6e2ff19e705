"""Locust with its web UI as a process of its own, waiting for somebody to press START."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tidegauge.target import free_ports

TESTS = Path(__file__).parents[1]
WAIT_S = 60.0


class Locust:
    """`url` is its page; with `arguments` as Locust takes them."""

    def __init__(self, folder: Path, *arguments: str, cwd: Path | None = None, **environ: str) -> None:
        ports = free_ports(["web", "master"])
        self.url = f"http://127.0.0.1:{ports['web']}"
        self.log = folder / "locust.log"
        command = [sys.executable, "-m", "locust", "--web-port", str(ports["web"])]
        if "--processes" in arguments:
            command += ["--master-port", str(ports["master"]), "--master-bind-port", str(ports["master"])]
        paths = os.pathsep.join((str(TESTS.parent / "src"), str(TESTS)))
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, *arguments],
                cwd=cwd or folder,
                env={**os.environ, "PYTHONPATH": paths, **environ},
                stdout=log,
                stderr=log,
            )

    def wait_ready(self) -> None:
        ends_s = time.monotonic() + WAIT_S
        while time.monotonic() < ends_s and self.process.poll() is None:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(self.url, timeout=5).status_code < 400:  # with a login it sends one there
                    return
            time.sleep(0.1)
        pytest.fail(f"Locust did not start: {self.log.read_text()}")

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"{self.url}{path}", timeout=30).raise_for_status()

    def data(self, view: str = "") -> dict[str, Any]:
        told: dict[str, Any] = self.get(f"/tidegauge/data{view and f'?view={view}'}").json()
        return told

    def start(self, users: int, **form: str | list[str]) -> None:
        """As the form does it."""
        told = httpx.post(
            f"{self.url}/swarm", data={"user_count": str(users), "spawn_rate": "100", **form}, timeout=30
        ).json()
        assert told["success"], told

    def stop(self) -> None:
        httpx.post(f"{self.url}/stop", timeout=60).raise_for_status()

    @property
    def listens_on(self) -> set[str]:
        connections = psutil.Process(self.process.pid).net_connections(kind="inet")
        return {connection.laddr.ip for connection in connections if connection.status == psutil.CONN_LISTEN}

    def kill(self) -> None:
        for worker in psutil.Process(self.process.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                worker.kill()
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def web(folder: Path, *arguments: str, **more: Any) -> Iterator[Locust]:
    """Ready to be pressed, and gone afterwards."""
    process = Locust(folder, *arguments, **more)
    try:
        process.wait_ready()
        yield process
    finally:
        if process.process.poll() is None:
            process.kill()
