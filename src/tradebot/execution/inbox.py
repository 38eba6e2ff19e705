"""What a venue tells us, applied in the order in which it told it.

venue adapter -> inbox -> quote board, order tracker, positions -> journal (noted), bus (published). Everything here
is synchronous and never raises for what the wire brought: a word without meaning is counted by its reason, a fill
for an order that is not ours is a person's business and raises an alert.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from tradebot.domain.alerts import Severity
from tradebot.domain.events import ConnectionChanged, Filled, OrderChanged, QuoteChanged
from tradebot.domain.market import Quote
from tradebot.domain.orders import Fill, OrderState, OrderUpdate
from tradebot.execution.orders import OrderTracker
from tradebot.execution.outbox import Outbox
from tradebot.execution.positions import Positions
from tradebot.kernel.alerts import Alerts
from tradebot.kernel.clock import Clock
from tradebot.market.board import QuoteBoard
from tradebot.store.records import FillRecorded, OrderChangedRecord


class Inbox:
    """The bot's `VenueListener`."""

    def __init__(
        self,
        *,
        venue_name: str,
        clock: Clock,
        board: QuoteBoard,
        orders: OrderTracker,
        positions: Positions,
        outbox: Outbox,
        alerts: Alerts,
        on_reconnect: Callable[[], None],
    ) -> None:
        self._venue_name = venue_name
        self._clock = clock
        self._board = board
        self.orders = orders
        self.positions = positions
        self._outbox = outbox
        self._alerts = alerts
        self._on_reconnect = on_reconnect
        self.bad_messages: Counter[str] = Counter()
        self.reconnects = 0

    def on_quote(self, quote: Quote) -> None:
        if self._board.on_quote(quote):
            self._outbox.publish(QuoteChanged(quote=quote))

    def on_bad_message(self, reason: str) -> None:
        self.bad_messages[reason] += 1

    def on_order(self, update: OrderUpdate) -> None:
        order = self.orders.on_update(update)
        if order is None:
            return
        self._outbox.note(OrderChangedRecord(update=update))
        self._outbox.publish(OrderChanged(update=update))
        if update.state is OrderState.REJECTED:
            self._alerts.raise_(
                Severity.WARNING,
                "order_rejected",
                update.reason or "no reason given",
                symbol=order.intent.contract.symbol,
            )

    def on_fill(self, fill: Fill) -> None:
        already_settled = (known := self.orders.get(fill.client_id)) is not None and known.settled
        order = self.orders.on_fill(fill)
        if order is None:
            if known is None:
                self._alerts.raise_(
                    Severity.WARNING,
                    "external_fill",
                    f"execution {fill.execution_id} belongs to no order of ours ({fill.client_id or 'no reference'})",
                    symbol=fill.contract.symbol,
                )
            return
        self.positions.on_fill(fill)
        self._outbox.note(FillRecorded(fill=fill, strategy_id=order.intent.strategy_id))
        self._outbox.publish(Filled(fill=fill, strategy_id=order.intent.strategy_id))
        if already_settled:
            self._alerts.raise_(
                Severity.CRITICAL,
                "late_fill",
                f"order {fill.client_id} filled after it had been given up: close {fill.contract.key} by hand",
                symbol=fill.contract.symbol,
            )

    def on_connection(self, connected: bool, reason: str) -> None:
        self._outbox.publish(
            ConnectionChanged(venue=self._venue_name, connected=connected, at=self._clock.now(), reason=reason)
        )
        if connected:
            self.reconnects += 1
            self._on_reconnect()
        else:
            self._board.forget_all()  # no price is better than one from before the loss
            self._alerts.raise_(Severity.WARNING, "venue_disconnected", reason)
