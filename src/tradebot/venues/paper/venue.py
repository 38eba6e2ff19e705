"""The paper venue: the `Venue` port in process, over a feed of prices.

place(), cancel(), subscribe() -> the wire, which delivers in order, each after a small seeded latency -> the exchange
-> updates, fills and quotes for the listener. A second task streams quotes at a fixed interval and lets resting
orders fill when the market has come to them.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal

import structlog

from tradebot.domain.errors import OrderRejected, UnknownContract, VenueDisconnected, VenueError
from tradebot.domain.instruments import Instrument, OptionChain
from tradebot.domain.orders import AccountSummary, Fill, OrderIntent, OrderType, OrderUpdate, Position
from tradebot.kernel.bounds import Bounds
from tradebot.kernel.clock import Clock
from tradebot.venues.paper.exchange import Exchange, PaperSettings
from tradebot.venues.paper.feed import PriceFeed
from tradebot.venues.port import Capabilities, VenueListener

log = structlog.get_logger(__name__)


class PaperVenue:
    """Orders and positions outlive `close()`, as they would at a real venue; subscriptions do not."""

    def __init__(self, settings: PaperSettings, feed: PriceFeed, clock: Clock, bounds: Bounds, *, seed: int) -> None:
        self._settings = settings
        self._feed = feed
        self._clock = clock
        self._bounds = bounds
        self._rng = random.Random(seed)
        self._exchange = Exchange(settings, feed, clock, self._rng)
        self._lines: dict[Instrument, None] = {}
        self._wire: deque[tuple[float, Callable[[], None]]] = deque()
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._listener: VenueListener | None = None

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            name="paper",
            order_types=frozenset({OrderType.MARKET, OrderType.LIMIT}),
            market_lines_max=self._settings.market_lines_max,
        )

    @property
    def connected(self) -> bool:
        return self._listener is not None

    async def connect(self, listener: VenueListener) -> None:
        if self._listener is not None:
            raise VenueError("already connected", remedy="Close the venue before connecting it again")
        self._listener = listener
        settings = self._settings
        for name, length, capacity in (
            ("paper.wire", self._wire.__len__, settings.wire_max),
            ("paper.orders_working", self._exchange.working.__len__, settings.orders_working_max),
            ("paper.orders_finished", self._exchange.finished.__len__, settings.orders_finished_max),
            ("paper.executions", self._exchange.executions.__len__, settings.executions_max),
            ("paper.lines", self._lines.__len__, settings.market_lines_max),
        ):
            self._bounds.register(name, length, capacity)
        for name, main in (("paper.wire", self._deliver()), ("paper.stream", self._stream())):
            task = asyncio.create_task(main, name=name)
            task.add_done_callback(_say_why)
            self._tasks.append(task)

    async def close(self) -> None:
        if self._listener is None:
            return
        self._listener = None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        self._lines.clear()
        self._wire.clear()
        self._exchange.lose_pending()
        for what in ("wire", "orders_working", "orders_finished", "executions", "lines"):
            self._bounds.unregister(f"paper.{what}")

    async def account(self) -> AccountSummary:
        self._listening()
        cash = self._exchange.ledger.cash
        return AccountSummary(
            account=self._settings.account,
            equity=self._exchange.equity(),
            cash=cash,
            buying_power=max(cash, Decimal(0)),
            at=self._clock.now(),
        )

    async def positions(self) -> tuple[Position, ...]:
        self._listening()
        return self._exchange.ledger.positions()

    async def chain(self, symbol: str) -> OptionChain:
        self._listening()
        return self._feed.chain(symbol, self._clock.now())

    async def subscribe(self, instruments: Sequence[Instrument]) -> None:
        self._listening()
        new = [each for each in dict.fromkeys(instruments) if each not in self._lines]
        if len(self._lines) + len(new) > self._settings.market_lines_max:
            raise VenueError(f"no more than {self._settings.market_lines_max} market lines", remedy="End some first")
        self._lines.update(dict.fromkeys(new))
        self._send(lambda: self._quote(new))

    async def unsubscribe(self, instruments: Sequence[Instrument]) -> None:
        for instrument in instruments:
            self._lines.pop(instrument, None)

    async def place(self, intent: OrderIntent) -> None:
        self._listening()
        if self._exchange.knows(intent.client_id):
            return  # sent again: it is the same order
        working = len(self._exchange.working)
        if working >= self._settings.orders_working_max:
            raise OrderRejected(f"{working} orders are already working", remedy="Cancel some first")
        self._send(lambda: self._exchange.arrive(intent.client_id, self._listening()))
        self._exchange.register(intent)

    async def cancel(self, client_id: str) -> None:
        self._listening()
        if not self._exchange.knows(client_id):
            raise VenueError(f"there is no order {client_id}", remedy="Ask the venue for its orders")
        self._send(lambda: self._exchange.cancel(client_id, self._listening()))

    async def orders(self) -> tuple[OrderUpdate, ...]:
        self._listening()
        return self._exchange.orders()

    async def executions_since(self, since: datetime) -> tuple[Fill, ...]:
        self._listening()
        return tuple(fill for fill in self._exchange.executions if fill.at >= since)

    # The wire: one task, so that nothing overtakes anything.

    def _send(self, action: Callable[[], None]) -> None:
        if len(self._wire) >= self._settings.wire_max:
            raise VenueError(f"{self._settings.wire_max} requests are already under way", remedy="Send fewer")
        latency_s = self._rng.uniform(self._settings.latency_min_s, self._settings.latency_max_s)
        self._wire.append((self._clock.monotonic_s() + latency_s, action))
        self._wake.set()

    async def _deliver(self) -> None:
        while True:
            while not self._wire:
                self._wake.clear()
                await self._wake.wait()
            due_s, action = self._wire.popleft()
            await asyncio.sleep(max(due_s - self._clock.monotonic_s(), 0.0))
            action()

    async def _stream(self) -> None:
        while True:
            await asyncio.sleep(self._settings.quote_interval_s)
            self._quote(tuple(self._lines))
            self._exchange.match_resting(self._listening())

    def _quote(self, instruments: Sequence[Instrument]) -> None:
        listener, now = self._listening(), self._clock.now()
        for instrument in instruments:
            try:
                listener.on_quote(self._exchange.price(instrument, now))
            except UnknownContract:
                self._lines.pop(instrument, None)
                listener.on_bad_message("line_unknown_contract")

    def _listening(self) -> VenueListener:
        if self._listener is None:
            raise VenueDisconnected("the paper venue is not connected", remedy="Connect it first")
        return self._listener


def _say_why(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        log.error("paper_venue_died", task=task.get_name(), error=repr(task.exception()))
