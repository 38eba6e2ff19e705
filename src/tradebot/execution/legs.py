"""Getting legs filled: the one path by which any order reaches a venue.

intents -> journal (durable) -> tracker -> venue -> fills, buys before sells so that protection is held before risk
is sold. Running the same intents again after a crash sends only those that no venue has heard of: that is what
makes a workflow resumable. A leg that does not fill in time is cancelled; one that the venue never heard of, or that
was held back because the other side did not fill, ends as cancelled too. An order whose fate is unknown is asked for
until the venue tells it: whoever concluded without it would hold, or close, what nobody counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

import msgspec
import structlog

from tradebot.domain.errors import VenueError
from tradebot.domain.events import OrderPlaced
from tradebot.domain.market import Quote
from tradebot.domain.orders import Fill, OrderIntent, OrderState, Side
from tradebot.domain.ranges import Seconds, Share
from tradebot.domain.units import Money
from tradebot.execution.inbox import Inbox
from tradebot.execution.orders import Order, never_arrived
from tradebot.execution.outbox import Outbox
from tradebot.kernel.clock import Clock
from tradebot.store.journal import Journal
from tradebot.store.records import IntentRecorded
from tradebot.venues.port import CLOCK_SKEW, Venue

log = structlog.get_logger(__name__)

TICK = Decimal("0.01")


class LegSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    fill_timeout_s: Seconds = 10.0
    cancel_timeout_s: Seconds = 3.0
    slippage: Share = 0.05  # share of the touch we are ready to give to be filled at once


def marketable_limit(quote: Quote, side: Side, *, slippage: float) -> Money:
    """A limit that fills at the touch and survives a small move, rounded in our favour's opposite to a tick."""
    if side is Side.BUY:
        return _exact(quote.ask * (1.0 + slippage)).quantize(TICK, ROUND_CEILING)
    return max(TICK, _exact(quote.bid * (1.0 - slippage)).quantize(TICK, ROUND_FLOOR))


def _exact(price: float) -> Decimal:
    """A price as it is written: the float 0.57 lies below 0.57, and its floor would be a whole tick lower."""
    return Decimal(f"{price:.6f}")


class LegRunner:
    def __init__(
        self,
        *,
        venue: Venue,
        inbox: Inbox,
        catch_up: Callable[[datetime], Awaitable[frozenset[str]]],
        journal: Journal,
        outbox: Outbox,
        clock: Clock,
        settings: LegSettings,
    ) -> None:
        self._venue = venue
        self._inbox = inbox
        self._tracker = inbox.orders
        self._catch_up = catch_up
        self._journal = journal
        self._outbox = outbox
        self._clock = clock
        self.settings = settings
        self.placed = 0  # orders handed to the venue since the start

    async def commit(self, intents: Sequence[OrderIntent]) -> None:
        """Make intents durable, buys first; only then does the tracker know them, and only what it knows is sent."""
        intents = sorted(intents, key=lambda intent: intent.side is Side.SELL)
        await asyncio.gather(*(self._journal.append(IntentRecorded(intent=intent)) for intent in intents))
        for intent in intents:
            self._tracker.register(intent)

    async def run(self, intents: Sequence[OrderIntent]) -> bool:
        """Whether every leg filled completely. Stops at the first side that did not."""
        for side in (Side.BUY, Side.SELL):
            if not await self._run_side([intent for intent in intents if intent.side is side]):
                self.withdraw(intents)
                return False
        return True

    def withdraw(self, intents: Sequence[OrderIntent]) -> None:
        """What was never sent shall not be: it ends here, or it would count as an order in flight for ever."""
        for intent in intents:
            order = self._order(intent)
            if order.state is OrderState.PENDING:
                self._inbox.on_order(never_arrived(order, at=self._clock.now()))

    def fills(self, intents: Sequence[OrderIntent]) -> list[tuple[int, Fill]]:
        """(leg, fill) of everything these intents filled."""
        return [(intent.leg, fill) for intent in intents for fill in self._order(intent).fills.values()]

    async def _run_side(self, intents: Sequence[OrderIntent]) -> bool:
        for intent in intents:
            if self._order(intent).state is OrderState.PENDING:
                try:
                    await self._venue.place(intent)
                    self.placed += 1
                    self._outbox.publish(OrderPlaced(intent=intent))
                except VenueError as error:
                    # It may or may not have reached the wire: the venue's own word, asked for below, decides.
                    log.warning("place_failed", client_id=intent.client_id, error=str(error))
        await asyncio.gather(*(self._wait(intent) for intent in intents))
        return all(self._order(intent).filled >= intent.quantity for intent in intents)

    async def _wait(self, intent: OrderIntent) -> None:
        """Return when the order is settled: filled, or cancelled after its time, or never heard of."""
        client_id = intent.client_id
        settled = await self._tracker.wait_settled(client_id, timeout_s=self.settings.fill_timeout_s)
        while not settled:
            try:
                await self._venue.cancel(client_id)
            except VenueError as error:
                log.warning("cancel_failed", client_id=client_id, error=str(error))
            settled = await self._tracker.wait_settled(client_id, timeout_s=self.settings.cancel_timeout_s)
            settled = settled or await self._ask_the_venue(self._order(intent))

    async def _ask_the_venue(self, order: Order) -> bool:
        """Whether the order is settled by what the venue remembers of it."""
        client_id = order.intent.client_id
        try:
            known = await self._catch_up(order.intent.at - CLOCK_SKEW)
        except VenueError as error:
            log.error("order_unknown", client_id=client_id, error=str(error))
            return order.settled
        if client_id not in known and not order.settled:
            self._inbox.on_order(never_arrived(order, at=self._clock.now()))
        return order.settled

    def _order(self, intent: OrderIntent) -> Order:
        order = self._tracker.get(intent.client_id)
        if order is None:
            raise KeyError(f"{intent.client_id} was never committed")
        return order
