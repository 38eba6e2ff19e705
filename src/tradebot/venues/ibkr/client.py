"""The vendor's client, spared what costs most of an order and serves nobody.

    place   -> the bytes and the books of the client's own `placeOrder`, made from what does not change between orders
    Reader  -> an open order's first fields, where it is one of ours -> the client's own `openOrder`

By itself the client describes each order at each step for a log line that is off, gives it seven events to which
nobody listens, and writes and reads some hundred fields of which an order here uses fifteen. Whatever is not exactly
as the client itself wrote or read it before is left to the client.
"""

from __future__ import annotations

from datetime import datetime
from types import SimpleNamespace
from typing import Any

import ib_async

OPEN_ORDER = 5  # the wire's number of the message
PLACE_ORDER = 3
# What `_head` writes, and what nobody sends.
_OWN = frozenset(
    {*("action", "totalQuantity", "orderType", "lmtPrice", "tif", "account", "orderRef"), *("orderId", "clientId")}
)
_LENGTHS_MAX = 16  # kinds of orders by the number of their fields; a venue sends one or two


class _Silence:
    """An event without listeners."""

    def emit(self, *_: object) -> None: ...

    def __call__(self, *_: object) -> None: ...

    def set_done(self) -> None: ...


class Trade(ib_async.Trade):
    """One of ours, in the client's books; what happens to it is heard from the client, for all orders at once."""

    statusEvent = modifyEvent = fillEvent = commissionReportEvent = _Silence()  # noqa: N815 - the client's names
    filledEvent = cancelEvent = cancelledEvent = _Silence()  # noqa: N815

    def __post_init__(self) -> None: ...

    def __repr__(self) -> str:
        return f"Trade({self.order.orderRef})"


class Writer:
    """Sends orders. What comes behind an order's own fields is mostly the same for all of its type: written once."""

    def __init__(self, ib: ib_async.IB) -> None:
        self._client: Any = ib.client  # its methods carry no types
        self._wrapper = ib.wrapper
        self._tails: dict[str, tuple[dict[str, object], str]] = {}  # by order type: all other fields, as text

    def place(self, contract: ib_async.Contract, order: ib_async.Order) -> Trade:
        order_id = self._client.getReqId()
        order.orderId, order.clientId = order_id, self._wrapper.clientId
        head = _head(order_id, contract, order)
        others = {name: value for name, value in vars(order).items() if name not in _OWN}
        known, tail = self._tails.get(order.orderType, ({}, ""))
        if others == known:
            self._client.sendMsg(head + tail)
        else:
            written = self._by_the_client(order_id, contract, order)
            if written.startswith(head):
                self._tails[order.orderType] = others, written[len(head) :]
        status = ib_async.OrderStatus(orderId=order_id, status=ib_async.OrderStatus.PendingSubmit)
        now = datetime.now(self._wrapper.defaultTimezone)  # only a line of the client's own log of the order
        trade = Trade(contract, order, status, [], [ib_async.TradeLogEntry(now, status.status)])
        self._wrapper.trades[self._wrapper.orderKey(order.clientId, order_id, 0)] = trade
        return trade

    def _by_the_client(self, order_id: int, contract: ib_async.Contract, order: ib_async.Order) -> str:
        """Sent as the client does it; gives what it wrote."""
        client, written = self._client, ""

        def send(message: str) -> None:
            nonlocal written
            written = message
            type(client).sendMsg(client, message)

        client.sendMsg = send
        try:
            client.placeOrder(order_id, contract, order)
        finally:
            del client.sendMsg
        return written


class Reader:
    """Stands before the client's decoder for open orders alone."""

    def __init__(self, ib: ib_async.IB) -> None:
        self._decoder = ib.client.decoder
        self._wrapper = ib.wrapper
        self._by_the_client = self._decoder.handlers[OPEN_ORDER]
        self._lengths: set[int] = set()  # of messages about our orders that the client has read to their end
        self._decoder.handlers[OPEN_ORDER] = self._read

    def _read(self, fields: list[str]) -> None:
        order_id, client_id, perm_id = (int(fields[place] or 0) for place in (1, 24, 25))
        trade = self._wrapper.trades.get((client_id, order_id))
        count = len(fields)
        if not isinstance(trade, Trade) or count not in self._lengths:
            self._by_the_client(fields)
            if isinstance(trade, Trade) and len(self._lengths) < _LENGTHS_MAX:
                self._lengths.add(count)
            return
        order: Any = SimpleNamespace(
            whatIf=False,
            orderId=order_id,
            clientId=client_id,
            permId=perm_id,
            totalQuantity=float(fields[14] or 0),
            orderType=fields[15],
            lmtPrice=_price(fields[16]),
            auxPrice=_price(fields[17]),
            orderRef=fields[23],
        )
        nothing: Any = None  # contract and state count for orders that the client sees for the first time
        self._wrapper.openOrder(order_id, nothing, order, nothing)


def _price(text: str) -> float:
    return float(text) if text else ib_async.util.UNSET_DOUBLE


def _head(order_id: int, contract: ib_async.Contract, order: ib_async.Order) -> str:
    """Everything of an order that is its own, as the client writes it; what we never set is empty."""
    limit = "" if order.lmtPrice == ib_async.util.UNSET_DOUBLE else order.lmtPrice
    fields = (
        *(PLACE_ORDER, order_id, contract.conId, contract.symbol, contract.secType),
        *(contract.lastTradeDateOrContractMonth, contract.strike, contract.right, contract.multiplier),
        *(contract.exchange, contract.primaryExchange, contract.currency, contract.localSymbol, contract.tradingClass),
        *("", "", order.action, order.totalQuantity, order.orderType, limit, "", order.tif, "", order.account),
        *(order.openClose, order.origin, order.orderRef, ""),
    )
    return "\0".join(map(str, fields))
