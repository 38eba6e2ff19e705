"""The market place on paper: takes orders, refuses some, fills the rest at the feed's prices, and remembers.

arrive(), cancel(), match_resting() -> ledger -> updates and fills, told to whoever listens. Synchronous, and without
latency: that belongs to the way here. One rule for money: a buy needs its cost in cash.
"""

from __future__ import annotations

import random
from collections import deque
from datetime import datetime
from decimal import Decimal

import msgspec

from tradebot.domain.errors import UnknownContract
from tradebot.domain.instruments import Instrument, OptionContract
from tradebot.domain.market import Quote
from tradebot.domain.orders import FINAL_ORDER_STATES, Fill, OrderIntent, OrderState, OrderType, OrderUpdate, Side
from tradebot.domain.ranges import Count, Seconds, SecondsOrOff
from tradebot.domain.units import Money
from tradebot.kernel.clock import Clock
from tradebot.venues.paper.feed import PriceFeed
from tradebot.venues.paper.ledger import Ledger
from tradebot.venues.port import VenueListener

CENT = Decimal("0.01")
STOCK_HALF_SPREAD = 0.01


class PaperSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    account: str = "PAPER"
    cash: Money = Decimal(1_000_000)
    commission: Money = Decimal("0.65")  # a contract
    latency_min_s: SecondsOrOff = 0.001
    latency_max_s: SecondsOrOff = 0.010
    quote_interval_s: Seconds = 1.0
    partial_fills: bool = False
    market_lines_max: Count = 100
    wire_max: Count = 10_000  # requests under way
    orders_working_max: Count = 1_000
    orders_finished_max: Count = 10_000
    executions_max: Count = 10_000


class _Order:
    __slots__ = ("filled", "intent", "number", "reason", "state")

    def __init__(self, number: int, intent: OrderIntent) -> None:
        self.number = number
        self.intent = intent
        self.state = OrderState.PENDING
        self.filled = 0
        self.reason = ""

    @property
    def remaining(self) -> int:
        return self.intent.quantity - self.filled


class Exchange:
    """Outlives every connection to it; while nobody is connected it does nothing."""

    def __init__(self, settings: PaperSettings, feed: PriceFeed, clock: Clock, rng: random.Random) -> None:
        self._settings = settings
        self._feed = feed
        self._clock = clock
        self._rng = rng
        self.ledger = Ledger(settings.cash)
        self.working: dict[str, _Order] = {}
        self.finished: dict[str, _Order] = {}
        self.executions: deque[Fill] = deque(maxlen=settings.executions_max)
        self._placed = 0
        self._executed = 0

    def knows(self, client_id: str) -> bool:
        return client_id in self.working or client_id in self.finished

    def register(self, intent: OrderIntent) -> None:
        """It is on its way: known from now on, though nothing was decided about it."""
        self._placed += 1
        self.working[intent.client_id] = _Order(self._placed, intent)

    def lose_pending(self) -> None:
        """The way here broke: what was still on it never arrives."""
        for client_id in [key for key, order in self.working.items() if order.state is OrderState.PENDING]:
            del self.working[client_id]

    def orders(self) -> tuple[OrderUpdate, ...]:
        return tuple(self._update(order) for order in (*self.finished.values(), *self.working.values()))

    def equity(self) -> Money:
        now = self._clock.now()
        return self.ledger.equity(lambda contract: _cents(self.price(contract, now).mid))

    def price(self, instrument: Instrument, at: datetime) -> Quote:
        if isinstance(instrument, OptionContract):
            price = self._feed.option(instrument, at)
            return Quote(instrument=instrument, at=at, bid=price.bid, ask=price.ask, iv=price.iv)
        spot = self._feed.spot(instrument.symbol, at)
        return Quote(
            instrument=instrument, at=at, bid=spot - STOCK_HALF_SPREAD, ask=spot + STOCK_HALF_SPREAD, last=spot
        )

    def arrive(self, client_id: str, listener: VenueListener) -> None:
        order = self.working[client_id]
        order.reason = self._refusal(order.intent)
        order.state = OrderState.REJECTED if order.reason else OrderState.WORKING
        self._report(order, listener)
        if not order.reason:
            self._match(order, listener)

    def cancel(self, client_id: str, listener: VenueListener) -> None:
        order = self.working.get(client_id)
        if order is not None:  # else it was over before the cancel arrived
            order.state = OrderState.CANCELLED
            self._report(order, listener)

    def match_resting(self, listener: VenueListener) -> None:
        for order in tuple(self.working.values()):
            if order.state is not OrderState.PENDING:
                self._match(order, listener)

    def _refusal(self, intent: OrderIntent) -> str:
        if intent.quantity <= 0:
            return f"a quantity of {intent.quantity} cannot be traded"
        if (intent.limit is None) == (intent.order_type is OrderType.LIMIT):
            return "a LIMIT order, and only that, needs a limit price"
        now, contract = self._clock.now(), intent.contract
        try:
            chain = self._feed.chain(contract.symbol, now)
        except UnknownContract as error:
            return str(error)
        if contract.expiry not in chain.expiries or contract.strike not in chain.strikes:
            return f"{contract.key} is not listed"
        if intent.side is Side.BUY:
            price = intent.limit if intent.limit is not None else _cents(self.price(contract, now).ask)
            cost = intent.quantity * (price * contract.multiplier + self._settings.commission)
            if cost > self.ledger.cash:
                return f"insufficient funds: it costs {cost} and there is {self.ledger.cash}"
        return ""

    def _match(self, order: _Order, listener: VenueListener) -> None:
        intent, now = order.intent, self._clock.now()
        quote = self.price(intent.contract, now)
        price = _cents(quote.ask if intent.side is Side.BUY else quote.bid)
        if intent.limit is not None and intent.side.sign * (intent.limit - price) < 0:
            return
        quantity = order.remaining
        if self._settings.partial_fills and quantity > 1:
            quantity = self._rng.randint(1, quantity)
        self._executed += 1
        fill = Fill(
            execution_id=f"paper-{self._executed}",
            client_id=intent.client_id,
            contract=intent.contract,
            side=intent.side,
            quantity=quantity,
            price=price,
            commission=quantity * self._settings.commission,
            at=now,
        )
        order.filled += quantity
        order.state = OrderState.PARTIAL if order.remaining else OrderState.FILLED
        self.executions.append(fill)
        self.ledger.book(fill)
        self._report(order, listener)
        listener.on_fill(fill)

    def _report(self, order: _Order, listener: VenueListener) -> None:
        if order.state in FINAL_ORDER_STATES:
            client_id = order.intent.client_id
            self.finished[client_id] = self.working.pop(client_id)
            if len(self.finished) > self._settings.orders_finished_max:
                del self.finished[next(iter(self.finished))]
        listener.on_order(self._update(order))

    def _update(self, order: _Order) -> OrderUpdate:
        return OrderUpdate(
            client_id=order.intent.client_id,
            venue_order_id=f"paper-{order.number}",
            state=order.state,
            filled=order.filled,
            remaining=order.remaining,
            at=self._clock.now(),
            reason=order.reason,
        )


def _cents(price: float) -> Money:
    return Decimal(price).quantize(CENT)
