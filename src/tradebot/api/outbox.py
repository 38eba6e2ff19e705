"""One socket's bounded queue: what it has still to be sent, and how much of it was lost.

A message of the stream carries its number; an answer to this client alone carries none. A full outbox drops its
oldest, so the numbers then jump; just before the jump the client is told by how much.
"""

from __future__ import annotations

import asyncio
from collections import deque

from tradebot.api.messages import gap


class Outbox:
    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.dropped = 0
        self._items: deque[tuple[int, str]] = deque()  # how many numbers it stands for, and the text: none, if lost
        self._lost = 0  # from the front, not yet told
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        return len(self._items)

    def put(self, message: str) -> None:
        """A message with the stream's next number."""
        self._push(1, message)

    def answer(self, message: str) -> None:
        """A message without a number."""
        self._push(0, message)

    def skip(self, count: int) -> None:
        """Say at this place that the numbers jump by `count`: so many were lost before they came here."""
        self.dropped += count
        self._push(count, "")

    def _push(self, numbers: int, text: str) -> None:
        if len(self._items) >= self.capacity:
            lost, oldest = self._items.popleft()
            self._lost += lost
            self.dropped += bool(oldest)
        self._items.append((numbers, text))
        self._wake.set()

    async def next(self) -> str:
        """The next text to send; waits for one."""
        while not self._items:
            self._wake.clear()
            await self._wake.wait()
        if self._lost == 0:
            numbers, text = self._items.popleft()
            if text:
                return text
            self._lost = numbers
        lost, self._lost = self._lost, 0
        return gap(lost)
