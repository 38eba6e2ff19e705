"""Speed buys nothing: a target that answers fast and wrongly fails, and one that keeps its sockets is named."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import locusts, wronging
from tidegauge.load.server.leaks import sockets_finding
from tidegauge.load.server.sampler import ServerSampler
from tidegauge.target import free_ports
from tidegauge.verdicts import Verdict

ROWS = 45
CHECKING = """
from locust import FastHttpUser, task

class Checking(FastHttpUser):
    @task
    def enter(self):
        with self.client.get("/lie", catch_response=True) as answer:
            if answer.text != "filled: 1":
                answer.failure("a fill that is none")
"""


@pytest.fixture
def wrong() -> Iterator[tuple[str, int]]:
    """Its URL and its process."""
    (port,) = free_ports(["server"]).values()
    with subprocess.Popen([sys.executable, wronging.__file__, str(port)]) as process:
        deadline_s = time.monotonic() + 20
        while time.monotonic() < deadline_s:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.02)
        yield f"http://127.0.0.1:{port}", process.pid
        process.kill()


@pytest.mark.parametrize("path", ["/lie", "/right"])
def test_a_fast_wrong_answer_fails(tmp_path: Path, wrong: tuple[str, int], path: str) -> None:
    """Every answer came at once with status 200: what was wrong in it decides, unless the generator was not honest."""
    outcome = locusts.run(tmp_path, CHECKING.replace("/lie", path), wrong[0], rate=40, seconds=2)
    finding = outcome.finding("load/enter/error_share")
    assert finding.value == (path == "/lie")
    assert outcome.status == finding.verdict.exit_status
    assert finding.verdict in {Verdict.FAIL if path == "/lie" else Verdict.PASS, Verdict.NOT_MEASURED}


@pytest.mark.parametrize("path", ["/leak", "/right"])
def test_a_target_that_keeps_its_sockets_is_named(tmp_path: Path, wrong: tuple[str, int], path: str) -> None:
    """Sockets beyond those that the load holds open rise to the end of it; without a leak they do not."""
    url, pid = wrong
    command = locusts.words(tmp_path, locusts.OURS.replace("/look", path), url, rate=30, seconds=60)
    with locusts.locust(tmp_path, command) as process:
        locusts.read_until(process, "All users spawned")
        with ServerSampler(pid, tmp_path / "rows.jsonl", client_pid=process.pid, every_s=0.1) as sampler:
            while len(sampler.rows) < ROWS:  # however long a busy machine takes for them
                time.sleep(0.1)
    finding = sockets_finding(list(sampler.rows))
    assert finding.verdict is (Verdict.FAIL if path == "/leak" else Verdict.PASS), finding
    assert finding.unit == "sockets"
