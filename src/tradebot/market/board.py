"""The board: the latest quote of each instrument that deserves belief, and how old it is.

venue -> on_quote() -> refused and counted by reason, or latest good quote -> listeners, waiters, readers. A bad quote
never touches the good one before it: an old price with a known age is useful, a wrong one is not.
"""

from __future__ import annotations

import asyncio
import enum
import math
from collections.abc import Callable, Iterable

from tradebot.domain.errors import NoQuote, QueueFull
from tradebot.domain.instruments import Instrument
from tradebot.domain.market import Quote
from tradebot.kernel.bounds import Bounds
from tradebot.kernel.clock import Clock

QuoteListener = Callable[[Quote], None]

REASONS = ("not_finite", "negative", "zero_ask", "crossed", "older")


class Freshness(enum.StrEnum):
    FRESH = "fresh"
    WARNING = "warning"
    STALE = "stale"


class _Waiter:
    """One caller of `wait_for`: woken whenever a quote it still lacks has come."""

    def __init__(self, missing: frozenset[Instrument]) -> None:
        self.missing = missing
        self.wake = asyncio.Event()


class QuoteBoard:
    """At its capacity the board forgets the instrument that has been silent for longest."""

    def __init__(
        self,
        clock: Clock,
        bounds: Bounds,
        *,
        capacity: int = 1_000,
        fresh_s: float = 30.0,
        warning_s: float = 60.0,
        waiters_max: int = 256,
    ) -> None:
        self._clock = clock
        self._bounds = bounds
        self._capacity = capacity
        self._fresh_s = fresh_s
        self._warning_s = warning_s
        self._waiters_max = waiters_max
        self._latest: dict[Instrument, Quote] = {}
        self._waiters: list[_Waiter] = []
        self._listeners: list[QuoteListener] = []
        self.refused = dict.fromkeys(REASONS, 0)
        bounds.register("market.board", self._latest.__len__, capacity)
        bounds.register("market.board_waiters", self._waiters.__len__, waiters_max)

    def close(self) -> None:
        self._bounds.unregister("market.board")
        self._bounds.unregister("market.board_waiters")

    def on_quote(self, quote: Quote) -> bool:
        """Whether the quote was believed."""
        instrument = quote.instrument
        before = self._latest.get(instrument)
        reason = _fault(quote) or ("older" if before is not None and quote.at < before.at else "")
        if reason:
            self.refused[reason] += 1
            return False
        self._latest.pop(instrument, None)  # so that the dictionary's order is the order of the last word
        if len(self._latest) >= self._capacity:
            del self._latest[next(iter(self._latest))]
        self._latest[instrument] = quote
        for waiter in self._waiters:
            if instrument in waiter.missing:
                waiter.wake.set()
        for listener in tuple(self._listeners):
            listener(quote)
        return True

    def forget(self, instrument: Instrument) -> None:
        """Its line ended: what it said last will only grow older."""
        self._latest.pop(instrument, None)

    def forget_all(self) -> None:
        """The connection is lost, and every line with it."""
        self._latest.clear()

    def latest(self, instrument: Instrument) -> Quote | None:
        return self._latest.get(instrument)

    def age_s(self, instrument: Instrument) -> float:
        """Infinite where there is no quote at all."""
        quote = self._latest.get(instrument)
        return math.inf if quote is None else max(0.0, (self._clock.now() - quote.at).total_seconds())

    def freshness(self, instrument: Instrument) -> Freshness:
        age_s = self.age_s(instrument)
        if age_s < self._fresh_s:
            return Freshness.FRESH
        return Freshness.WARNING if age_s < self._warning_s else Freshness.STALE

    async def wait_for(
        self, instruments: Iterable[Instrument], timeout_s: float, *, max_age_s: float = math.inf
    ) -> dict[Instrument, Quote]:
        """A quote of each instrument, in the order asked for; NoQuote names those that never came.

        A line that streams says only what changed, so an old quote on it is still the present one, and `forget` takes
        what no longer streams. Ask for `max_age_s` where silence itself is a sign, as it is of a busy underlying.
        """
        wanted = tuple(dict.fromkeys(instruments))
        missing = self._lacking(wanted, max_age_s)
        if missing:
            if len(self._waiters) >= self._waiters_max:
                raise QueueFull(f"{self._waiters_max} callers already wait for quotes", remedy="Try again shortly")
            waiter = _Waiter(frozenset(missing))
            self._waiters.append(waiter)
            try:
                async with asyncio.timeout(timeout_s):
                    while missing := self._lacking(wanted, max_age_s):
                        waiter.missing = frozenset(missing)
                        waiter.wake.clear()
                        await waiter.wake.wait()
            except TimeoutError:
                names = ", ".join(instrument.key for instrument in missing)
                raise NoQuote(f"no quote of {names} within {timeout_s:g} s") from None
            finally:
                self._waiters.remove(waiter)
        return {instrument: self._latest[instrument] for instrument in wanted}

    def listen(self, listener: QuoteListener) -> Callable[[], None]:
        """Call `listener` with each good quote; the returned function ends it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def _lacking(self, instruments: tuple[Instrument, ...], max_age_s: float) -> list[Instrument]:
        return [each for each in instruments if each not in self._latest or self.age_s(each) > max_age_s]


def _fault(quote: Quote) -> str:
    if not (math.isfinite(quote.bid) and math.isfinite(quote.ask)):
        return "not_finite"
    if quote.bid < 0.0 or quote.ask < 0.0:
        return "negative"
    if quote.ask == 0.0:
        return "zero_ask"
    return "crossed" if quote.bid > quote.ask else ""
