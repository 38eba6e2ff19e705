"""Rows beside the load: a real process, metrics over a real socket, and a leak told from a pool and from the load."""

import http.server
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import psutil
import pytest

from tidegauge.load.server.leaks import sockets_finding
from tidegauge.load.server.prometheus import read_metrics
from tidegauge.load.server.rows import Queue, ServerRow
from tidegauge.load.server.sampler import ServerSampler, pid_at
from tidegauge.verdicts import Verdict

METRICS = """\
# HELP bot_bound_length Items in a bounded thing.
# TYPE bot_bound_length gauge
bot_bound_length{name="outbox"} 95.0
bot_bound_length{name="a \\"b\\", {c}"} 1
bot_bound_capacity{name="outbox"} 100.0
work_queue_size 7
python_loop_lag_seconds 0.25
process_gc_pause_seconds_total{generation="2"} 1.5 1700000000
process_gc_pause_seconds_total{generation="1"} 0.5
odd_queue_size NaN
this is no metric
"""
WITHIN_S = 30.0


class Metered(http.server.BaseHTTPRequestHandler):
    """Answers with METRICS to whoever knows the token."""

    def do_GET(self) -> None:
        """One answer."""
        known = self.headers["Authorization"] == "Bearer T"
        self.send_response(200 if known else 401)
        self.end_headers()
        if known:
            self.wfile.write(METRICS.encode())

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    """A server of metrics in this process."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Metered)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/metrics"
    server.shutdown()
    thread.join()
    server.server_close()


def sampled(sampler: ServerSampler, enough: Callable[[ServerRow], bool]) -> list[ServerRow]:
    """The rows until one of them is what the test waits for."""
    deadline_s = time.monotonic() + WITHIN_S
    with sampler:
        while not any(enough(row) for row in list(sampler.rows)) and time.monotonic() < deadline_s:
            time.sleep(0.01)
    return list(sampler.rows)


def test_metrics_are_known_by_the_shape_of_their_names() -> None:
    """Lag, pauses and queues are found whatever the bot is called; what is no metric is passed over."""
    found = read_metrics(METRICS)
    assert found.loop_lag_ms == 250
    assert found.gc_pauses_s == 2
    assert found.queues == {"outbox": Queue(95, 100), "work_queue_size": Queue(7, 0)}


def test_a_process_and_its_metrics_become_rows_on_the_disk(tmp_path: Path, url: str) -> None:
    """Each row stands in the file as it was made, with what psutil and the metrics said."""
    path = tmp_path / "rows" / "server.jsonl"
    sampler = ServerSampler(
        os.getpid(),
        path,
        metrics_url=url,
        headers={"Authorization": "Bearer T"},
        client_pid=os.getpid(),
        every_s=0.01,
    )
    rows = sampled(sampler, lambda row: row.gc_pause_ms is not None)
    written = [msgspec.json.decode(line, type=ServerRow) for line in path.read_bytes().splitlines()]
    assert written == rows
    last = rows[-1]
    assert (last.loop_lag_ms, last.gc_pause_ms, last.queues["outbox"].fullness) == (250, 0, 0.95)
    assert last.rss_bytes
    assert last.threads
    assert last.threads >= 2
    assert last.client_sockets == last.sockets
    assert sampler.between(rows[0].t_s, rows[0].t_s) == (rows[0],)


def test_children_count_with_their_parent(tmp_path: Path) -> None:
    """A target that only waits for a busy child is as busy as the child."""
    spin = "import time\nend = time.monotonic() + 60\nwhile time.monotonic() < end: pass"
    parent = subprocess.Popen(
        [sys.executable, "-c", f"import subprocess, sys; subprocess.run([sys.executable, '-c', {spin!r}])"]
    )

    def both_seen(row: ServerRow) -> bool:
        return (row.threads or 0) >= 2 and (row.cpu_busiest_share or 0) > 0.05

    try:
        rows = sampled(ServerSampler(parent.pid, tmp_path / "rows.jsonl", every_s=0.1), both_seen)
    finally:
        for child in psutil.Process(parent.pid).children(recursive=True):
            child.kill()
        parent.kill()
        parent.wait()
    assert any(both_seen(row) for row in rows)


def test_what_cannot_be_seen_is_none(tmp_path: Path, url: str) -> None:
    """A target on another machine, a process that ended and metrics that refuse leave rows without a word of them."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    for pid in (None, ended.pid):
        rows = sampled(ServerSampler(pid, tmp_path / "rows.jsonl", metrics_url=url, every_s=0.01), lambda _row: True)
        assert (rows[-1].rss_bytes, rows[-1].cpu_share, rows[-1].loop_lag_ms, rows[-1].answer_ms) == (None,) * 4


def test_rows_are_bounded(tmp_path: Path) -> None:
    """In memory the oldest go; in the file rows become rarer each time that the bound is reached."""
    sampler = ServerSampler(None, tmp_path / "rows.jsonl", every_s=0.001, rows_max=3)
    seen: set[float] = set()

    def enough(row: ServerRow) -> bool:
        seen.add(row.t_s)
        return len(seen) > 8

    assert len(sampled(sampler, enough)) == 3


def test_the_process_behind_a_url_is_found_on_this_machine_only(url: str) -> None:
    """A listener here has a pid; an address of nobody here has none."""
    assert pid_at(url) == os.getpid()
    assert pid_at(url.replace("127.0.0.1", "192.0.2.1")) is None


def rows_of(sockets: list[int], clients: list[int | None], files: list[int] | None = None) -> list[ServerRow]:
    """Two rows a second; descriptors are sockets and forty files unless they are given."""
    files = files or [40] * len(sockets)
    return [
        ServerRow(t_s=0.5 * index, wall_s=0.0, sockets=held, fds=held + more, client_sockets=theirs)
        for index, (held, theirs, more) in enumerate(zip(sockets, clients, files, strict=True))
    ]


@pytest.mark.parametrize("seed", range(5))
def test_a_leak_of_sockets_is_named(seed: int) -> None:
    """One socket kept in a second, below a load whose own connections come and go."""
    rng = random.Random(seed)
    clients = [rng.randrange(20, 60) for _ in range(240)]
    finding = sockets_finding(rows_of([theirs + index // 2 for index, theirs in enumerate(clients)], list(clients)))
    assert finding.verdict is Verdict.FAIL
    assert finding.unit == "sockets"
    per_minute = float(finding.reason.split(", ")[1].split()[0])
    assert per_minute == pytest.approx(60, rel=0.05)


def test_a_leak_is_judged_by_time_and_not_by_rows() -> None:
    """Looks that were rarer for a while, as on a busy machine, do not make a steady leak one that slows down."""
    times_s = [*(number / 4 for number in range(40)), *range(10, 110), *(110 + number / 4 for number in range(200))]
    rows = [ServerRow(t_s=t_s, wall_s=0.0, sockets=int(t_s), fds=int(t_s), client_sockets=0) for t_s in times_s]
    assert sockets_finding(rows).verdict is Verdict.FAIL


def test_a_leak_of_files_is_named() -> None:
    """Descriptors that are no sockets leak under their own name."""
    finding = sockets_finding(rows_of([30] * 240, [30] * 240, [40 + index // 4 for index in range(240)]))
    assert (finding.verdict, finding.unit) == (Verdict.FAIL, "descriptors")


@pytest.mark.parametrize(
    ("held", "clients", "verdict"),
    [
        ([5 + index for index in range(240)], list(range(240)), Verdict.PASS),  # the load grows itself
        ([min(50, 5 + 3 * index) for index in range(240)], [0] * 240, Verdict.PASS),  # a pool that is full early
        ([round(60 * (1 - 0.97**index)) for index in range(240)], [0] * 240, Verdict.UNDECIDED),  # one that still fills
        ([5 + index // 2 for index in range(240)], [None] * 240, Verdict.UNDECIDED),  # whose they are nobody saw
        ([5] * 20, [0] * 20, Verdict.NOT_MEASURED),
    ],
)
def test_what_is_no_leak_is_not_called_one(held: list[int], clients: list[int | None], verdict: Verdict) -> None:
    """The generator's own connections, a pool that fills and a short run are no leak."""
    assert sockets_finding(rows_of(held, clients)).verdict is verdict


def test_a_target_on_another_machine_is_not_measured() -> None:
    """Rows without a process say nothing about its sockets, and never pass."""
    finding = sockets_finding([ServerRow(t_s=index, wall_s=0.0) for index in range(100)])
    assert finding.verdict is Verdict.NOT_MEASURED
    assert "another machine" in finding.reason
