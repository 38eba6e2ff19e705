"""The event log: every fact of the bus as one JSON line, in order.

With one seed under the virtual loop two runs write the same bytes: that is how determinism is proved, and how a
divergence is found (`diff`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from tradebot.kernel.bus import Bus, WhenFull

E = TypeVar("E")

CAPACITY = 10_000
BATCH = 256


class EventLog(Generic[E]):
    def __init__(self, path: Path, bus: Bus[E]) -> None:
        self._path = path
        self._bus = bus
        self._subscription = bus.subscribe("event_log", capacity=CAPACITY, when_full=WhenFull.REFUSE)
        self._encoder = msgspec.json.Encoder(order="deterministic")
        self._file = path.open("wb")

    async def serve(self) -> None:
        while events := await self._subscription.batch(BATCH):
            self._write(events)

    def close(self) -> None:
        """Write what is left; nothing is lost between the last batch and the end."""
        self._bus.unsubscribe(self._subscription)
        self._write(self._subscription.drain())
        self._file.close()

    def _write(self, events: list[E]) -> None:
        self._file.write(self._encoder.encode_lines(events))
