"""The target beside the load: twice a second its process and its metrics become a row, written as it is made.

    pid ─▶ psutil (it and its children) ─┐
    URL/metrics ─▶ prometheus ───────────┴─▶ ServerRow ─▶ .jsonl, and the last rows in memory

The sampler is a thread of the lane's own process, never of the generator's, whose loop it would disturb. It outlives
whatever it looks at: a process that ended, a metric that is not answered become None in the row. Where the target is on
another machine there is no pid, and nothing of its process is said.

Bounds: ROWS_MAX rows in memory; the file takes as many, and from then on half as often each time that it filled, so
that a run of weeks stays a file of megabytes. A scrape waits SCRAPE_S_MAX at most and reads SCRAPE_BYTES_MAX.
"""

import contextlib
import socket
import threading
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx
import msgspec
import psutil

from tidegauge.load.server.prometheus import Metrics, read_metrics
from tidegauge.load.server.rows import ServerRow

EVERY_S = 0.5
ROWS_MAX = 20_000
SCRAPE_S_MAX = 2.0
SCRAPE_BYTES_MAX = 4 * 1024 * 1024
STOP_S_MAX = 10.0


class ServerSampler:
    """Use as a context manager around the load; `rows` are there while it runs and after it."""

    def __init__(
        self,
        pid: int | None,
        path: Path,
        *,
        metrics_url: str = "",
        headers: Mapping[str, str] | None = None,
        client_pid: int | None = None,
        every_s: float = EVERY_S,
        rows_max: int = ROWS_MAX,
    ) -> None:
        self.rows: deque[ServerRow] = deque(maxlen=rows_max)
        self.path = path
        self._target = Processes(pid)
        self._clients = Processes(client_pid)
        self._url = metrics_url
        self._headers = dict(headers or {})
        self._every_s = every_s
        self._rows_max = rows_max
        self._written = 0
        self._gc_pauses_s: float | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="server-rows", daemon=True)

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._closing.set()
        self._thread.join(STOP_S_MAX)

    def between(self, begin_s: float, end_s: float) -> tuple[ServerRow, ...]:
        """The rows of a step, by the monotonic clock."""
        return tuple(row for row in list(self.rows) if begin_s <= row.t_s <= end_s)

    def _run(self) -> None:
        due_s = time.monotonic()
        with self.path.open("ab") as file, httpx.Client(trust_env=False, timeout=SCRAPE_S_MAX) as client:
            while True:
                row = self._look(client)
                self.rows.append(row)
                file.write(msgspec.json.encode(row) + b"\n")
                file.flush()
                self._written += 1
                every_s = self._every_s * 2 ** (self._written // self._rows_max)
                due_s = max(due_s + every_s, time.monotonic())  # a late look is not made up for
                if self._closing.wait(due_s - time.monotonic()):
                    return

    def _look(self, client: httpx.Client) -> ServerRow:
        t_s, wall_s = time.monotonic(), time.time()
        answer_ms, metrics = self._scrape(client)
        pauses_s, before_s = metrics.gc_pauses_s, self._gc_pauses_s
        self._gc_pauses_s = pauses_s
        machine, disk = _machine_shares()
        return ServerRow(
            t_s=t_s,
            wall_s=wall_s,
            machine_cpu_share=machine if self._target.known else None,
            disk_wait_share=disk if self._target.known else None,
            client_sockets=self._clients.look().get("sockets"),
            answer_ms=answer_ms,
            loop_lag_ms=metrics.loop_lag_ms,
            # A sum that fell is that of another process: it was restarted.
            gc_pause_ms=None if pauses_s is None or before_s is None else 1e3 * max(0.0, pauses_s - before_s),
            queues=metrics.queues,
            **self._target.look(),
        )

    def _scrape(self, client: httpx.Client) -> tuple[float | None, Metrics]:
        if not self._url:
            return None, Metrics()
        began_s = time.monotonic()
        content = b""
        try:
            with client.stream("GET", self._url, headers=self._headers) as answer:
                if not answer.is_success:
                    return None, Metrics()
                for chunk in answer.iter_bytes():
                    content += chunk
                    if len(content) > SCRAPE_BYTES_MAX:
                        return None, Metrics()
        except httpx.HTTPError:
            return None, Metrics()
        return 1e3 * (time.monotonic() - began_s), read_metrics(content.decode(errors="replace"))


class Processes:
    """A process and its children: the same handles from one look to the next, because CPU is a difference."""

    def __init__(self, pid: int | None) -> None:
        self.known = pid is not None
        self._pid = pid
        self._handles: dict[int, psutil.Process] = {}

    def look(self) -> dict[str, Any]:
        """The columns of a row that a process has; empty once it ended, and where there is none."""
        totals: dict[str, Any] = {}
        shares = []
        for process in self._family():
            with contextlib.suppress(psutil.Error), process.oneshot():
                seen = {
                    "rss_bytes": process.memory_info().rss,
                    "threads": process.num_threads(),
                    "fds": process.num_fds(),
                    "sockets": sum(each.status != psutil.CONN_LISTEN for each in process.net_connections("tcp")),
                }
                shares.append(process.cpu_percent() / 100)
                totals = {name: totals.get(name, 0) + value for name, value in seen.items()}
        if shares:
            totals |= {"cpu_share": sum(shares), "cpu_busiest_share": max(shares)}
        return totals

    def _family(self) -> list[psutil.Process]:
        if self._pid is None:
            return []
        try:
            root = self._handles.get(self._pid) or psutil.Process(self._pid)
            members = {each.pid: each for each in (root, *root.children(recursive=True))}
        except psutil.Error:
            return []
        self._handles = {pid: self._handles.get(pid, each) for pid, each in members.items()}
        return list(self._handles.values())


def pid_at(url: str) -> int | None:
    """Which process here listens where `url` points; None where it is another machine, or not ours to see."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        theirs = {each[4][0] for each in socket.getaddrinfo(parts.hostname, port)}
    except OSError:
        return None
    ours = {address.address for addresses in psutil.net_if_addrs().values() for address in addresses}
    if not theirs & ours:
        return None
    with contextlib.suppress(psutil.Error):
        for each in psutil.net_connections("tcp"):
            if each.status == psutil.CONN_LISTEN and each.laddr and each.laddr.port == port and each.pid:
                return int(each.pid)
    return None


def _machine_shares() -> tuple[float, float]:
    """Busy, and waiting for a disk, of all cores since the last look."""
    times = psutil.cpu_times_percent()
    waiting = getattr(times, "iowait", 0.0)
    return (100 - times.idle - waiting) / 100, waiting / 100
