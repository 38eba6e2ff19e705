"""One numbered stream of events, and the last of them, for a client that was away.

    event -> `tell` -> its number -> whoever listens
    the last number that a client heard -> `since` -> how many are lost for good, and those that are still here

A number belongs to the stream, not to a connection: a client that comes back says which it heard last. Numbers begin
with the microseconds of the bot's start, so that the numbers of one life are never those of the next, and a client
from before a restart is told of a gap. What is kept are the events themselves: they are encoded when somebody listens.
"""

from __future__ import annotations

from collections import deque
from datetime import datetime
from typing import NamedTuple

from tradebot.api.messages import Message


class Told(NamedTuple):
    seq: int
    event: Message
    at: datetime  # when it was told; many events do not know themselves


class Stream:
    def __init__(self, began: datetime, capacity: int) -> None:
        self.last = int(began.timestamp() * 1e6)  # the last number that was given; exact in a double, so in any JSON
        self._kept: deque[Told] = deque(maxlen=capacity)

    def __len__(self) -> int:
        return len(self._kept)

    def tell(self, event: Message, at: datetime) -> int:
        self.last += 1
        self._kept.append(Told(self.last, event, at))
        return self.last

    def skip(self, count: int) -> None:
        """So many events were lost before they came here, and with them the way back to those before."""
        self.last += count
        self._kept.clear()

    def since(self, seq: int) -> tuple[int, list[Told]]:
        """By how much the numbers jump after `seq`, and what follows the jump."""
        kept = [told for told in self._kept if told.seq > seq]
        return max(0, self.last - seq - len(kept)), kept
