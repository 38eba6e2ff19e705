"""What stops the loop: how late its timers come, and how long the garbage collector holds everything up.

    serve -> a timer every `EVERY_S` -> how much later than due it came -> the worst of the last second
    the interpreter's own word on each collection -> a sum that only grows

Both are read when somebody asks, and both by the bot's clock: under a virtual loop nothing is ever late.
"""

from __future__ import annotations

import asyncio
import gc
from collections import deque

from tradebot.kernel.bounds import Bounds
from tradebot.kernel.clock import Clock

EVERY_S = 0.05
REMEMBERED = 20  # a second's


class Pauses:
    def __init__(self, clock: Clock, bounds: Bounds) -> None:
        self._clock = clock
        self._bounds = bounds
        self._lags_s: deque[float] = deque(maxlen=REMEMBERED)
        self._due_s: float | None = None
        self._began_s = 0.0
        self.collecting_s = 0.0

    @property
    def loop_lag_s(self) -> float:
        """The worst of the last second; a timer that is overdue while we are asked counts too."""
        overdue_s = 0.0 if self._due_s is None else self._clock.monotonic_s() - self._due_s
        return max(overdue_s, 0.0, *self._lags_s)

    def start(self) -> None:
        self._bounds.register("kernel.loop_lags", self._lags_s.__len__, REMEMBERED)
        gc.callbacks.append(self._on_collection)

    def stop(self) -> None:
        """Harmless when never started or already stopped."""
        if self._on_collection in gc.callbacks:
            gc.callbacks.remove(self._on_collection)
            self._bounds.unregister("kernel.loop_lags")

    async def serve(self) -> None:
        try:
            while True:
                self._due_s = self._clock.monotonic_s() + EVERY_S
                await asyncio.sleep(EVERY_S)
                self._lags_s.append(max(0.0, self._clock.monotonic_s() - self._due_s))
        finally:
            self._due_s = None

    def _on_collection(self, phase: str, _info: dict[str, int]) -> None:
        """Collections do not overlap: whichever thread began one, all others wait for it."""
        if phase == "start":
            self._began_s = self._clock.monotonic_s()
        else:
            self.collecting_s += self._clock.monotonic_s() - self._began_s
