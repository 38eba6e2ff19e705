"""Real Locust processes for tests, with our plugin and a locustfile; and the server that they load."""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from support import stalling
from tidegauge.load import lane
from tidegauge.load.judging import result
from tidegauge.records import Finding
from tidegauge.target import free_ports

OURS = """
from locust import FastHttpUser, task

class Trader(FastHttpUser):
    @task
    def look(self):
        self.client.get("/look")
"""
FOREIGN = """
from locust import HttpUser, between, task

class Theirs(HttpUser):
    wait_time = between(1, 2)

    @task
    def look(self):
        self.client.get("/look")
"""
TIMEOUT_S = 50.0


class Server:
    """A `stalling` server as a process of its own."""

    def __init__(self, port: int, log: Path, process: subprocess.Popen[bytes]) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._log = log
        self._process = process

    def stop(self) -> Account:
        """Its own account of what it answered."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(10)
        return Account(json.loads(self._log.read_text()))


class Account:
    """When each question came and when its answer went, by `time.monotonic`, in the order of the questions.

    What is due first asks first, so the k-th question is that of the k-th due time; answers need not keep the order.
    This is the truth of a run: the server's time to work off a queue belongs to it, the client's does not.
    """

    def __init__(self, answers_s: list[tuple[float, float]]) -> None:
        self._sent_s = [sent_s for _asked_s, sent_s in sorted(answers_s)]

    def __len__(self) -> int:
        return len(self._sent_s)

    def due_ms(self, share: float, *, started_s: float, rate: float) -> float:
        """A percentile of how long after it was due each answer was sent."""
        took_s = sorted(sent_s - started_s - number / rate for number, sent_s in enumerate(self._sent_s))
        return took_s[math.ceil(share * len(took_s)) - 1] * 1e3


@contextlib.contextmanager
def serving(folder: Path, *, stall_at_s: float = 1e6, stall_s: float = 0.0) -> Iterator[Server]:
    (port,) = free_ports(["server"]).values()
    log = folder / "sent.json"
    words = [sys.executable, stalling.__file__, str(port), str(stall_at_s), str(stall_s), str(log)]
    process = subprocess.Popen(words)
    try:
        deadline_s = time.monotonic() + 20
        while time.monotonic() < deadline_s:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.02)
        yield Server(port, log, process)
    finally:
        process.kill()
        process.wait()


def words(folder: Path, locustfile: str, host: str, **options: Any) -> list[str]:
    """The command of a headless Locust with our plugin; options of ours by their names, and a port for its workers."""
    (folder / "theirs.py").write_text(locustfile)
    chosen = {"profile": "constant", "warm_up": 0, "result": folder / "load.json"} | options
    command = [sys.executable, "-m", "locust", "-f", f"{lane.PLUGIN},{folder / 'theirs.py'}", "--host", host]
    port = str(free_ports(["master"])["master"])
    command += ["--headless", "--only-summary", "--master-bind-port", port, "--master-port", port]
    return command + [f"--tidegauge-{name.replace('_', '-')}={value}" for name, value in chosen.items()]


@contextlib.contextmanager
def locust(folder: Path, command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """Runs it; whatever happens, nothing of it is left."""
    process = subprocess.Popen(
        command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )
    try:
        yield process
    finally:
        with process, contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def read_until(process: subprocess.Popen[str], said: str) -> str:
    """What it has said up to there."""
    read = ""
    assert process.stdout
    while said not in read:
        line = process.stdout.readline()
        assert line, read
        read += line
    return read


class Outcome(msgspec.Struct, frozen=True):
    """What a Locust run ended with."""

    status: int
    output: str
    result: result.Result | None

    @property
    def snapshot(self) -> dict[str, Any]:
        assert self.result, self.output
        return self.result.snapshot

    def finding(self, name: str) -> Finding:
        assert self.result, self.output
        return next(finding for finding in self.result.findings if finding.name == name)


def run(folder: Path, locustfile: str, host: str, *more: str, **options: Any) -> Outcome:
    """One run to its end."""
    with locust(folder, [*words(folder, locustfile, host, **options), *more]) as process:
        output, _ = process.communicate(timeout=TIMEOUT_S)
    path = folder / "load.json"
    return Outcome(process.returncode, output, result.read(path) if path.exists() else None)
