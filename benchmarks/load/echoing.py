"""A server for generators to be measured against: one small answer at once, and a count of them by path.

`python echoing.py` prints its port and lives until its standard input ends; `/count/PATH` says how often PATH was
asked. It does nothing else, so that the generator is what a measurement meets.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from typing import ClassVar, cast

import uvloop

LIFE_S_MAX = 7_200.0


class Echo(asyncio.Protocol):
    asked: ClassVar[Counter[bytes]] = Counter()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's own is no subclass of it

    def data_received(self, data: bytes) -> None:
        """One whole question at a time, which is what generators without a body send."""
        path = data[data.find(b"/") : data.find(b" ", 5)]
        body = b"ok"
        if path.startswith(b"/count"):
            body = b"%d" % self.asked[path.removeprefix(b"/count")]
        else:
            self.asked[path] += 1
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


async def serve() -> None:
    loop = asyncio.get_running_loop()
    async with await loop.create_server(Echo, "127.0.0.1", 0, backlog=4096) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.wait_for(loop.run_in_executor(None, sys.stdin.read), LIFE_S_MAX)


if __name__ == "__main__":
    uvloop.run(serve())
