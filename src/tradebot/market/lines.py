"""Market lines: a venue streams only so many instruments at once, so somebody decides which.

ensure() -> subscribe what is not streamed, and at the limit end the line that was used least recently. Legs of open
strategies are pinned: those lines never end by themselves, and when there are more of them than lines it is a limit
with a name, not a silent gap in the prices.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

from tradebot.domain.errors import LimitExceeded
from tradebot.domain.instruments import Instrument
from tradebot.kernel.bounds import Bounds
from tradebot.market.board import QuoteBoard
from tradebot.venues.port import Venue

LIMIT_NAME = "market_lines"
REMEDY = "Close a strategy, or raise the venue's number of market lines"


class MarketLines:
    """`on_crowded(crowded, lines)` is called when the number of lines passes `alert_above`, either way."""

    def __init__(
        self,
        venue: Venue,
        board: QuoteBoard,
        bounds: Bounds,
        *,
        limit: int = 100,
        alert_above: int = 90,
        on_crowded: Callable[[bool, int], None] | None = None,
    ) -> None:
        self._venue = venue
        self._board = board
        self._bounds = bounds
        self._limit = limit
        self._alert_above = alert_above
        self._on_crowded = on_crowded
        self._lines: dict[Instrument, None] = {}  # least recently used first
        self._pins: Counter[Instrument] = Counter()  # two strategies may share a leg
        self._turn = asyncio.Lock()
        self._blocks = 0  # of `held`, under way
        self._block_ended = asyncio.Event()
        self.crowded = False
        self.evicted = 0
        bounds.register("market.lines", self._lines.__len__, limit)

    def close(self) -> None:
        self._bounds.unregister("market.lines")

    @property
    def streamed(self) -> tuple[Instrument, ...]:
        return tuple(self._lines)

    async def ensure(self, instruments: Iterable[Instrument]) -> None:
        """Stream all of these; raises LimitExceeded, with nothing changed, when pinned lines leave no room."""
        wanted = dict.fromkeys(instruments)
        async with self._turn:
            for instrument in wanted:
                if instrument in self._lines:  # used just now: to the end of the queue for eviction
                    del self._lines[instrument]
                    self._lines[instrument] = None
            new = [each for each in wanted if each not in self._lines]
            victims = self._victims(wanted, len(self._lines) + len(new) - self._limit)
            if victims:
                await self._end(victims)
                self.evicted += len(victims)
            if new:
                await self._venue.subscribe(new)
                self._lines.update(dict.fromkeys(new))
            self._watch_crowd()

    def pin(self, instruments: Iterable[Instrument]) -> None:
        """Keep these lines once they stream, until they are unpinned as often as they were pinned."""
        pins = self._pins + Counter(dict.fromkeys(instruments, 1))
        if len(pins) > self._limit:
            raise LimitExceeded(LIMIT_NAME, value=len(pins), bound=self._limit, remedy=REMEDY)
        self._pins = pins

    def unpin(self, instruments: Iterable[Instrument]) -> None:
        self._pins -= Counter(dict.fromkeys(instruments, 1))

    @asynccontextmanager
    async def held(self, instruments: Iterable[Instrument]) -> AsyncIterator[None]:
        """Stream these while the block lasts, and nobody ends them; waits while other blocks leave no room."""
        wanted = tuple(dict.fromkeys(instruments))
        while self._blocks and len({*self._pins, *wanted}) > self._limit:
            self._block_ended.clear()
            await self._block_ended.wait()
        self.pin(wanted)
        self._blocks += 1
        try:
            await self.ensure(wanted)
            yield
        finally:
            self._blocks -= 1
            self.unpin(wanted)
            self._block_ended.set()

    async def release(self, instruments: Iterable[Instrument]) -> None:
        """End lines that nobody pinned."""
        async with self._turn:
            await self._end(
                [each for each in dict.fromkeys(instruments) if each in self._lines and not self._pins[each]]
            )
            self._watch_crowd()

    async def restore(self) -> None:
        """After a reconnect the venue streams nothing: subscribe again whatever was streamed."""
        async with self._turn:
            if self._lines:
                await self._venue.subscribe(tuple(self._lines))

    def _victims(self, wanted: dict[Instrument, None], overflow: int) -> list[Instrument]:
        if overflow <= 0:
            return []
        free = [each for each in self._lines if each not in wanted and not self._pins[each]]
        if len(free) < overflow:
            needed = self._limit + overflow - len(free)
            raise LimitExceeded(LIMIT_NAME, value=needed, bound=self._limit, remedy=REMEDY)
        return free[:overflow]

    async def _end(self, instruments: list[Instrument]) -> None:
        await self._venue.unsubscribe(instruments)
        for instrument in instruments:
            del self._lines[instrument]
            self._board.forget(instrument)

    def _watch_crowd(self) -> None:
        crowded = len(self._lines) > self._alert_above
        if crowded != self.crowded:
            self.crowded = crowded
            if self._on_crowded is not None:
                self._on_crowded(crowded, len(self._lines))
