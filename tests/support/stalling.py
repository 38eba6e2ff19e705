"""A server that answers at once but for one stall, and says afterwards when each question came and its answer went.

`python stalling.py PORT STALL_AT_S STALL_S LOG`; the stall begins so long after the first question. It ends with
SIGTERM, or by itself. Its clock is `time.monotonic`, which every process of the machine shares. `/wrong` answers 503.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from pathlib import Path

LIFE_S_MAX = 120.0


class Stall:
    """What all connections share."""

    def __init__(self, at_s: float, seconds: float) -> None:
        self.at_s = at_s
        self.seconds = seconds
        self.until_s = 0.0
        self.answers_s: list[tuple[float, float]] = []

    def asked(self, loop: asyncio.AbstractEventLoop) -> float:
        """When the answer may go; the first question sets the alarm."""
        if not self.until_s:
            self.until_s = loop.time()
            loop.call_later(self.at_s, self._begin, loop)
        return self.until_s

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        self.until_s = loop.time() + self.seconds


class Connection(asyncio.Protocol):
    def __init__(self, stall: Stall) -> None:
        self._stall = stall
        self._unread = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._unread += data
        loop = asyncio.get_running_loop()
        while b"\r\n\r\n" in self._unread:
            head, _, self._unread = self._unread.partition(b"\r\n\r\n")
            status = b"503 No" if b" /wrong" in head else b"200 OK"
            until_s, asked_s = self._stall.asked(loop), loop.time()
            if until_s > asked_s:
                loop.call_at(until_s, self._answer, status, asked_s)
            else:
                self._answer(status, asked_s)

    def _answer(self, status: bytes, asked_s: float) -> None:
        self._transport.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 2\r\n\r\nok")
        self._stall.answers_s.append((asked_s, asyncio.get_running_loop().time()))


async def serve(port: int, stall: Stall) -> None:
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, over.set)
    async with await loop.create_server(lambda: Connection(stall), "127.0.0.1", port, backlog=4096):
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(over.wait(), LIFE_S_MAX)


def main(port: int, stall: Stall, log: Path) -> None:
    asyncio.run(serve(port, stall))
    log.write_text(json.dumps(stall.answers_s))


if __name__ == "__main__":
    main(int(sys.argv[1]), Stall(float(sys.argv[2]), float(sys.argv[3])), Path(sys.argv[4]))
