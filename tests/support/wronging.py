"""A server that answers at once, and wrongly: `/lie` says that nothing was filled, `/leak` never closes a socket.

`python wronging.py PORT`; it ends with SIGTERM, or by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys

LIFE_S_MAX = 120.0
KEPT_MAX = 900


async def serve(port: int) -> None:
    kept: list[socket.socket] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                body = b"filled: 0" if b" /lie" in head else b"filled: 1"
                if b" /leak" in head and len(kept) < KEPT_MAX:
                    kept.append(socket.create_connection(("127.0.0.1", port)))
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", port, backlog=1024):
        await asyncio.sleep(LIFE_S_MAX)


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
