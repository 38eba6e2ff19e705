"""One socket's bounded queue: what it has still to be sent, and how much of it was lost.

Messages are numbered by their place in the stream, from 1, whether or not they reach the client. A full outbox
drops its oldest, so the numbers then jump; just before the jump the client is told by how much.
"""

from __future__ import annotations

import asyncio
from collections import deque

from tradebot.api.messages import gap, numbered


class Outbox:
    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.dropped = 0
        self._items: deque[str | int] = deque()  # an integer stands for that many messages that were lost before
        self._seq = 0
        self._lost = 0  # from the front, not yet told
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        return len(self._items)

    def put(self, message: str) -> None:
        self._push(message)

    def skip(self, count: int) -> None:
        """Say at this place that `count` messages were lost before they came here."""
        self.dropped += count
        self._push(count)

    def _push(self, item: str | int) -> None:
        if len(self._items) >= self.capacity:
            oldest = self._items.popleft()
            if isinstance(oldest, int):
                self._lost += oldest
            else:
                self._lost += 1
                self.dropped += 1
        self._items.append(item)
        self._wake.set()

    async def next(self) -> str:
        """The next text to send; waits for one."""
        while not self._items:
            self._wake.clear()
            await self._wake.wait()
        if self._lost == 0:
            item = self._items.popleft()
            if isinstance(item, str):
                self._seq += 1
                return numbered(self._seq, item)
            self._lost = item
        lost, self._lost = self._lost, 0
        self._seq += lost
        return gap(lost)
