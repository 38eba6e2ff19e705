"""The sampler as a process of its own: its rows arrive whole, and it ends with whoever started it."""

import os
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest

from tidegauge.load.server.beside import Beside
from tidegauge.load.server.rows import ServerRow

WITHIN_S = 40.0


class Answers(BaseHTTPRequestHandler):
    """Metrics for whoever brings the token."""

    def do_GET(self) -> None:
        """One answer."""
        self.send_response(200 if self.headers["Authorization"] == "Bearer T" else 401)
        self.end_headers()
        self.wfile.write(b"bot_loop_lag_seconds 0.25\n")

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def seen(beside: Beside, enough: int) -> list[ServerRow]:
    rows: list[ServerRow] = []
    deadline_s = time.monotonic() + WITHIN_S
    while len(rows) < enough and time.monotonic() < deadline_s:
        rows += beside.rows()
        time.sleep(0.05)
    return rows


def test_a_listener_is_found_and_looked_at_until_the_end(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process behind a URL and its metrics become rows, each handed over once; nothing runs on after the end."""
    monkeypatch.setenv("TIDEGAUGE_TOKEN", "T")
    began_s = time.monotonic()
    beside = Beside(url, metrics="/metrics", path=tmp_path / "server.jsonl")
    children = psutil.Process().children()
    rows = seen(beside, 2)
    beside.close()
    rows += beside.rows()
    assert [row.loop_lag_ms for row in rows] == [250.0] * len(rows)
    assert all(row.rss_bytes for row in rows)
    assert began_s < rows[0].t_s < rows[1].t_s
    assert not beside.rows()
    assert not [child for child in children if child.is_running()]


def test_a_process_that_does_not_listen_is_looked_at_by_its_number(url: str) -> None:
    """The target of a lane may stand behind another port; what was written for nobody else is gone at the end."""
    beside = Beside(url, pid=os.getpid())
    (row, *_) = seen(beside, 1)
    beside.close()
    assert row.threads
    assert row.loop_lag_ms is None
