"""The bot's API as `entries` asks it: as little of HTTP as uvicorn needs, because it shares the gateway's core.

`Api` keeps connections alive and dials one more when all are busy; a workflow is followed as the load lane's users do
it, often at first and then less.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from typing import Any

import msgspec

POLL_FIRST_S, POLL_FACTOR, POLL_LAST_S = 0.01, 1.5, 0.2
END_WITHIN_S = 20.0
IDLE_S_MAX = 3.0  # uvicorn hangs up after five


class Line:
    """One kept-alive connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.used_s = time.monotonic()

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        self.used_s = time.monotonic()
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        return int(head[9:12]), await self._reader.readexactly(length)

    def close(self) -> None:
        self._writer.close()


class Api:
    def __init__(self, port: int, token: str) -> None:
        self._port = port
        self._head = f"Host: bot\r\nAuthorization: Bearer {token}\r\n"
        self._free: deque[Line] = deque()
        self.lines = 0

    async def get(self, path: str) -> Any:
        return await self._ask(f"GET {path} HTTP/1.1\r\n{self._head}\r\n".encode())

    async def post(self, path: str, body: dict[str, Any]) -> Any:
        data = json.dumps(body)
        head = f"{self._head}Content-Type: application/json\r\nContent-Length: {len(data)}\r\n"
        return await self._ask(f"POST {path} HTTP/1.1\r\n{head}\r\n{data}".encode())

    async def workflow(self, verb: str, body: dict[str, Any]) -> dict[str, Any]:
        """As it ended."""
        found = await self.post(f"/api/workflows/{verb}", body)
        path, wait_s, deadline_s = found["location"], POLL_FIRST_S, time.monotonic() + END_WITHIN_S
        while found["state"] in {"accepted", "running"} and time.monotonic() < deadline_s:
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * POLL_FACTOR, POLL_LAST_S)
            found = await self.get(path)
        return dict(found)

    def close(self) -> None:
        while self._free:
            self._free.pop().close()

    async def _ask(self, request: bytes) -> Any:
        while self._free and self._free[-1].used_s < time.monotonic() - IDLE_S_MAX:
            self._free.pop().close()
        line = self._free.pop() if self._free else await self._dial()
        status, body = await line.ask(request)
        self._free.append(line)
        answer = msgspec.json.decode(body)
        if status not in {200, 202}:
            raise RuntimeError(f"status {status}: {answer}")
        return answer

    async def _dial(self) -> Line:
        self.lines += 1
        return Line(*await asyncio.open_connection("127.0.0.1", self._port))
