"""Every order we meant, and what the venue says became of it.

An intent is tracked from the moment it is durable. The venue's word arrives as updates and fills, perhaps twice and
in any order: a fill may come before its acknowledgement, a working status after the fill. Fills count once by
execution id; a word that would move an order backwards is stale and only counted. An order is *settled* when its
state is final and the fills we hold add up to what the venue says was filled.
"""

from __future__ import annotations

import asyncio
from datetime import datetime

import msgspec

from tradebot.domain.errors import QueueFull
from tradebot.domain.orders import FINAL_ORDER_STATES, Fill, OrderIntent, OrderState, OrderUpdate, Purpose
from tradebot.kernel.bounds import Bounds
from tradebot.kernel.history import History
from tradebot.kernel.machine import Table

ORDER_MOVES: Table[OrderState] = Table(
    "order",
    {
        OrderState.PENDING: (
            OrderState.WORKING,
            OrderState.PARTIAL,
            OrderState.FILLED,
            OrderState.CANCELLED,
            OrderState.REJECTED,
        ),
        OrderState.WORKING: (
            OrderState.PARTIAL,
            OrderState.FILLED,
            OrderState.CANCELLED,
            OrderState.REJECTED,  # some venues reject after they accepted
        ),
        OrderState.PARTIAL: (OrderState.FILLED, OrderState.CANCELLED, OrderState.REJECTED),
        OrderState.FILLED: (),
        OrderState.CANCELLED: (),
        OrderState.REJECTED: (),
    },
)

OPEN_ORDERS_MAX = 2_000
SETTLED_ORDERS_MAX = 5_000
LEGS_MAX = 8


def client_id_of(workflow_id: str, leg: int, purpose: Purpose) -> str:
    """What an order is known by, here and at the venue: the same leg of the same workflow is the same order."""
    return f"{workflow_id}.{leg}{'u' if purpose is Purpose.UNWIND else ''}"


class Order(msgspec.Struct, gc=False):
    """One order's present state; the tracker alone changes it."""

    intent: OrderIntent
    state: OrderState = OrderState.PENDING
    venue_order_id: str = ""
    reported_filled: int = 0
    reason: str = ""
    fills: dict[str, Fill] = msgspec.field(default_factory=dict)  # bounded by the order's quantity

    @property
    def filled(self) -> int:
        return sum(fill.quantity for fill in self.fills.values())

    @property
    def settled(self) -> bool:
        return self.state in FINAL_ORDER_STATES and self.filled >= self.reported_filled


class OrderTracker:
    def __init__(self, bounds: Bounds) -> None:
        self._open: dict[str, Order] = {}
        self._settled: History[str, Order] = History(bounds, "orders.settled", SETTLED_ORDERS_MAX)
        self._waiters: dict[str, asyncio.Future[None]] = {}
        self.stale_updates = 0
        bounds.register("orders.open", self._open.__len__, OPEN_ORDERS_MAX)

    def register(self, intent: OrderIntent) -> None:
        """Track an intent; one that is known already stays as it is."""
        if self.get(intent.client_id) is not None:
            return
        if len(self._open) >= OPEN_ORDERS_MAX:
            raise QueueFull(f"{OPEN_ORDERS_MAX} orders are open", remedy="Wait until some have settled")
        self._open[intent.client_id] = Order(intent=intent)

    def get(self, client_id: str) -> Order | None:
        return self._open.get(client_id) or self._settled.get(client_id)

    def open_orders(self) -> tuple[Order, ...]:
        return tuple(self._open.values())

    def all(self) -> tuple[Order, ...]:
        """Those we remember, settled ones first."""
        return (*self._settled.values(), *self._open.values())

    def of_workflow(self, workflow_id: str) -> tuple[Order, ...]:
        """By its legs' names: a look-up each, however many orders we remember."""
        names = (client_id_of(workflow_id, leg, purpose) for leg in range(LEGS_MAX) for purpose in Purpose)
        return tuple(order for name in dict.fromkeys(names) if (order := self.get(name)) is not None)

    def on_update(self, update: OrderUpdate) -> Order | None:
        """The order that changed; None where the word was stale, a repetition, or about a stranger's order."""
        order = self._open.get(update.client_id)
        if order is None:
            self.stale_updates += update.client_id in self._settled
            return None
        order.venue_order_id = update.venue_order_id or order.venue_order_id
        if update.state is order.state:
            # A repetition, or one more part of a partial fill, which may never take back what was said.
            grew = update.filled > order.reported_filled
            order.reported_filled = max(order.reported_filled, update.filled)
            self._settle(order)
            return order if grew else None
        if not ORDER_MOVES.allows(order.state, update.state):
            self.stale_updates += 1
            return None
        order.state = ORDER_MOVES.move(order.state, update.state)
        order.reported_filled = max(order.reported_filled, update.filled)
        order.reason = update.reason
        self._settle(order)
        return order

    def on_fill(self, fill: Fill) -> Order | None:
        """The order it belongs to; None where it was counted already or is not ours."""
        order = self.get(fill.client_id)
        if order is None or fill.execution_id in order.fills:
            return None
        order.fills[fill.execution_id] = fill
        order.reported_filled = max(order.reported_filled, order.filled)
        if fill.client_id in self._open:
            self._settle(order)
        return order

    async def wait_settled(self, client_id: str, *, timeout_s: float) -> bool:
        """Whether the order settled in time."""
        if client_id not in self._open:
            return True
        waiter = self._waiters.get(client_id)
        if waiter is None:
            waiter = self._waiters[client_id] = asyncio.get_running_loop().create_future()
        done, _ = await asyncio.wait({waiter}, timeout=timeout_s)
        return bool(done)

    def _settle(self, order: Order) -> None:
        if not order.settled:
            return
        client_id = order.intent.client_id
        del self._open[client_id]
        self._settled.put(client_id, order)
        waiter = self._waiters.pop(client_id, None)
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


def never_arrived(order: Order, *, at: datetime) -> OrderUpdate:
    return OrderUpdate(
        client_id=order.intent.client_id,
        venue_order_id="",
        state=OrderState.CANCELLED,
        filled=order.filled,
        remaining=0,
        at=at,
        reason="it never reached the venue",
    )
