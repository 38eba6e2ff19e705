"""What the gateway remembers of our orders, put together from the three places in which it keeps them.

open orders + completed orders + executions -> one update an order. An order that filled while nobody listened is
among the completed ones with a filled quantity, or only among the executions. Two orders of the venue with the same
client id stay two: who sent one twice must be able to see it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

import ib_async
from ib_async.util import UNSET_DOUBLE

from tradebot.domain.orders import OrderState, OrderUpdate
from tradebot.venues.ibkr import mapping


def orders_from(
    working: Iterable[ib_async.Trade],
    completed: Iterable[ib_async.Trade],
    fills: Iterable[ib_async.Fill],
    *,
    at: datetime,
    on_bad_message: Callable[[str], None],
) -> tuple[OrderUpdate, ...]:
    executed: dict[tuple[int, str], int] = {}
    for fill in fills:
        if fill.execution.orderRef:
            try:
                amount = mapping.quantity(fill.execution.shares)
            except mapping.BadMessage as bad:
                on_bad_message(bad.reason)
                continue
            key = (fill.execution.permId, fill.execution.orderRef)
            executed[key] = executed.get(key, 0) + amount

    found: dict[tuple[int, str], OrderUpdate] = {}
    # An order that finished between the two questions is in both answers: the later one counts.
    for trade in (*working, *completed):
        key = (trade.order.permId or trade.orderStatus.permId, trade.order.orderRef)
        if key[1]:
            try:
                found[key] = _update(trade, executed.get(key, 0), at)
            except mapping.BadMessage as bad:
                on_bad_message(bad.reason)
    for key, filled in executed.items():
        if key not in found:  # no longer working and not listed as completed: what it did is all there is
            found[key] = OrderUpdate(
                client_id=key[1],
                venue_order_id=str(key[0]),
                state=OrderState.FILLED,
                filled=filled,
                remaining=0,
                at=at,
                reason="known by its executions alone",
            )
    return tuple(found.values())


def _update(trade: ib_async.Trade, executed: int, at: datetime) -> OrderUpdate:
    said = trade.order.filledQuantity  # only completed orders carry it
    listed = 0 if said == UNSET_DOUBLE else mapping.quantity(said)
    return mapping.update_from(
        trade,
        state=mapping.order_state(trade.orderStatus.status),
        filled=max(executed, listed, mapping.quantity(trade.orderStatus.filled)),
        at=at,
    )
