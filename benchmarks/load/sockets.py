"""What one core of a generator can hear: CPU time a message and a socket, against a server in a process of its own.

    server (uvloop, one text to all sockets at a time) -> loopback -> streams in this process, HdrHistograms included

    python benchmarks/load/sockets.py --sockets 2000 --per-socket 10 --seconds 10
    python benchmarks/load/sockets.py --client websocket-client        # the usual way: a greenlet a socket

CPU time is this process's alone, so that it holds on a busy machine; latencies are shown for what they are there. The
cost of a message is that of the slice in which all sockets listen; connecting is reported apart.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import gc
import hashlib
import json
import os
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "load"))

SETTLE_S = 1.0
SERVER_LIVES_S = 300.0
DIALLING_AT_ONCE = 50
SALT = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CLIENTS = ("ours", "websocket-client")


class Fan(asyncio.Protocol):
    """The server's side of a socket: the upgrade, and then it only listens for the end."""

    listening: set[asyncio.Transport]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's own is no subclass of it

    def data_received(self, data: bytes) -> None:
        for line in data.split(b"\r\n"):
            name, _, value = line.partition(b": ")
            if name.lower() == b"sec-websocket-key":
                accept = base64.b64encode(hashlib.sha1(value + SALT).digest())  # noqa: S324 - RFC 6455 says so
                self.transport.write(
                    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
                )

    def connection_lost(self, _error: Exception | None) -> None:
        self.listening.discard(self.transport)


def text(seq: int) -> bytes:
    at = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    quote = {"instrument": {"symbol": "SPY"}, "at": at, "bid": 580.12, "ask": 580.14, "last": 580.13, "iv": 0.162}
    body = json.dumps({"seq": seq, "type": "QUOTE", "at": at, "data": quote}, separators=(",", ":")).encode()
    return bytes((0x81, 126)) + len(body).to_bytes(2, "big") + body


async def serve(per_socket: float, seconds: float) -> None:
    """Prints its port; begins to talk when told on stdin, to all who are there then."""
    loop = asyncio.get_running_loop()
    Fan.listening = set()
    everybody: list[Fan] = []

    def arrive() -> Fan:
        everybody.append(Fan())
        return everybody[-1]

    server = await loop.create_server(arrive, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.readline)
    Fan.listening.update(each.transport for each in everybody)
    began_s = loop.time()
    sent, talked_s, seq = 0, time.process_time(), 0
    while (due_s := began_s + seq / per_socket) < began_s + seconds:
        await asyncio.sleep(max(0.0, due_s - loop.time()))
        seq += 1
        frame = text(seq)
        for transport in tuple(Fan.listening):
            transport.write(frame)
            sent += 1
    facts = {"sent": sent, "cpu_s": time.process_time() - talked_s, "wall_s": loop.time() - began_s}
    print(json.dumps(facts), flush=True)
    await loop.run_in_executor(None, sys.stdin.readline)


def account() -> Any:
    """A session as a worker keeps it: one histogram a subject and clock."""
    from hdrh.histogram import HdrHistogram

    class Histograms:
        def __init__(self) -> None:
            self.counters: Counter[str] = Counter()
            self.clocks: dict[tuple[str, str], Any] = {}

        def record(self, subject: str, clock: str, us: int) -> None:
            histogram = self.clocks.get((subject, clock))
            if histogram is None:
                histogram = self.clocks[subject, clock] = HdrHistogram(1, 3_600_000_000, 3)
            histogram.record_value(us or 1)

        def count(self, name: str, n: int = 1) -> None:
            self.counters[name] += n

        def ms(self, clock: str, percentile: float) -> float:
            found = self.clocks.get(("ws", clock))
            return found.get_value_at_percentile(percentile) / 1e3 if found else float("nan")

    return Histograms()


def ours(url: str, sockets: int, session: Any) -> list[Any]:
    from gevent.pool import Pool

    from tidegauge.load.sockets.heard import Tally
    from tidegauge.load.sockets.streams import listen
    from users.stream import BOT

    def open_one(_: int) -> Any:
        return listen(url, Tally(session, "ws", BOT), headers={})

    return list(Pool(DIALLING_AT_ONCE).imap_unordered(open_one, range(sockets)))


def usual(url: str, sockets: int, session: Any) -> list[Any]:
    """websocket-client in a greenlet for each socket, with the same account of what it hears."""
    import gevent
    import websocket
    from gevent.pool import Pool

    from tidegauge.load.sockets.heard import Tally
    from users.stream import BOT

    def hear(connection: Any, tally: Tally) -> None:
        while True:
            payload = connection.recv()
            tally.hear(payload.encode(), time.time_ns() // 1000)

    def open_one(_: int) -> Any:
        connection = websocket.create_connection(url.replace("http", "ws") + "/ws", skip_utf8_validation=True)
        connection.settimeout(None)
        return gevent.spawn(hear, connection, Tally(session, "ws", BOT))

    return list(Pool(DIALLING_AT_ONCE).imap_unordered(open_one, range(sockets)))


def measure(options: argparse.Namespace) -> dict[str, Any]:
    import gevent
    import psutil
    from gevent import subprocess

    session = account()
    arguments = ["--serve", "--per-socket", str(options.per_socket), "--seconds", str(options.seconds + 2 * SETTLE_S)]
    with subprocess.Popen(
        [sys.executable, __file__, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            url = f"http://127.0.0.1:{int(server.stdout.readline())}"
            began_cpu_s, began_rss = time.process_time(), psutil.Process().memory_info().rss
            streams = (ours if options.client == "ours" else usual)(url, options.sockets, session)
            connecting_cpu_s = time.process_time() - began_cpu_s
            rss = psutil.Process().memory_info().rss - began_rss
            gc.freeze()
            server.stdin.write(b"go\n")
            server.stdin.flush()
            gevent.sleep(SETTLE_S)
            before, cpu_s, wall_s = heard(session), time.process_time(), time.monotonic()
            gevent.sleep(options.seconds)
            after, cpu_s, wall_s = heard(session), time.process_time() - cpu_s, time.monotonic() - wall_s
            said = json.loads(server.stdout.readline())
            gevent.sleep(SETTLE_S)
            for stream in streams:
                (stream.abort if options.client == "ours" else stream.kill)()
        finally:
            server.kill()
    messages = after - before
    return {
        "client": options.client,
        "sockets": len(streams),
        "messages_per_s": messages / wall_s,
        "cpu_us_a_message": cpu_s / messages * 1e6,
        "cpu_share": cpu_s / wall_s,
        "messages_per_s_a_core": messages / cpu_s,
        "connect_cpu_us_a_socket": connecting_cpu_s / len(streams) * 1e6,
        "rss_kib_a_socket": rss / len(streams) / 1024,
        "delivery_p50_ms": session.ms("service", 50),
        "delivery_p99_ms": session.ms("service", 99),
        "our_lag_p99_ms": session.ms("reading", 99),
        "sent": said["sent"],
        "heard": heard(session),
        "server_cpu_share": said["cpu_s"] / said["wall_s"],
        "faults": {name: n for name, n in session.counters.items() if n and name.split(".")[1] in FAULTS},
        "load_average": os.getloadavg()[0],
    }


FAULTS = {"missed", "duplicates", "reordered", "unreadable", "cut", "broken", "refused", "early", "dropped"}


def heard(session: Any) -> int:
    return session.clocks["ws", "service"].get_total_count() if session.clocks else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sockets", type=int, default=2_000)
    parser.add_argument("--per-socket", type=float, default=10.0, help="messages a second that each socket hears")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--client", choices=CLIENTS, default="ours")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        import uvloop

        uvloop.run(asyncio.wait_for(serve(options.per_socket, options.seconds), SERVER_LIVES_S))
        return 0
    if options.client != "ours":
        from gevent import monkey

        monkey.patch_all()
    facts = measure(options)
    for name, value in facts.items():
        print(f"{name:<24} {value:,.3f}" if isinstance(value, float) else f"{name:<24} {value}")
    return 0 if facts["sent"] == facts["heard"] and not facts["faults"] else 1


if __name__ == "__main__":
    sys.exit(main())
