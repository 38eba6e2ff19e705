"""The bot's only source of time.

The event loop owns time; a clock adds the instant at which the loop's zero lies. Under the virtual loop the same
seed therefore gives the same instants, and no room ever asks the machine what time it is. A loop whose own reading is
coarse (uvloop cuts it to milliseconds) is read through `monotonic_s`, the same clock at its full resolution.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


class Clock:
    """`epoch` is the wall-clock instant of this clock's creation: an argument, read once at the process's edge."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, epoch: datetime, *, monotonic_s: Callable[[], float] | None = None
    ) -> None:
        if epoch.tzinfo is None:
            raise ValueError("a clock's epoch needs a time zone")
        self._read_s = monotonic_s or loop.time
        self._zero_s = self._read_s()
        self._epoch = epoch.astimezone(UTC)

    def monotonic_s(self) -> float:
        return self._read_s()

    def now(self) -> datetime:
        return self._epoch + timedelta(seconds=self._read_s() - self._zero_s)
