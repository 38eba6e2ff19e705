"""What the gateway says: one function a message, from the exchange's structs to the wire at server version 176.

Field order is the client's decoder's. The long messages are mostly empty (an empty field is "the default"), so their
constant stretches are made once: an order costs one join.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal

from simvenues.ibkr.frames import encode
from simvenues.instruments import Instrument
from simvenues.market import OptionQuote
from simvenues.orders import Execution, Order, Status

SERVER_VERSION = 176

BID, ASK, LAST, CLOSE = 1, 2, 4, 9
MODEL_OPTION = 13

_STATUS = {Status.WORKING: "Submitted", Status.FILLED: "Filled", Status.CANCELLED: "Cancelled"}
_SIDE = {"BUY": "BOT", "SELL": "SLD"}


def _blank(count: int) -> str:
    return "\0" * (count - 1)


# openOrder, from the hedging flags to the order state: adviser and model fields, delta neutral, combination legs …
_OPEN_BEFORE_STATE = "\0".join(
    (
        _blank(9),  # outsideRth … faProfile
        _blank(29),  # modelCode … deltaNeutralAuxPrice
        _blank(7),  # continuousUpdate … comboLegsDescrip
        *("0", "0", "0"),  # combination legs, their prices, routing parameters
        _blank(3),  # scale
        "",  # hedge
        *(_blank(4), "0"),  # optOutSmartRouting … notHeld, delta-neutral contract
        "",  # algorithm
        "",  # solicited
    )
)
_OPEN_AFTER_STATE = "\0".join(
    (
        _blank(2),  # randomizeSize, randomizePrice
        "0",  # conditions
        _blank(16),  # adjustedOrderType … usePriceMgmtAlgo
        _blank(3),  # duration, postToAts, autoCancelParent
        _blank(5),  # minTradeQty … midOffsetAtHalf
    )
)
_COMPLETED_BEFORE_STATE = "\0".join(
    (
        _blank(8),  # outsideRth … faProfile
        _blank(23),  # modelCode … deltaNeutralAuxPrice
        _blank(5),  # continuousUpdate … comboLegsDescrip
        *("0", "0", "0"),
        _blank(3),
        "",  # hedge
        *(_blank(3), "0"),  # clearingAccount … notHeld, delta-neutral contract
        "",  # algorithm
        "",  # solicited
    )
)


def wire_time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y%m%d %H:%M:%S UTC")


def hello(now: datetime) -> bytes:
    return encode(SERVER_VERSION, wire_time(now))


def next_valid_id(order_id: int) -> bytes:
    return encode(9, 1, order_id)


def managed_accounts(accounts: Iterable[str]) -> bytes:
    return encode(15, 1, ",".join(accounts))


def error(request_id: int, code: int, text: str) -> bytes:
    return encode(4, 2, request_id, code, text, "")


def current_time(now: datetime) -> bytes:
    return encode(49, 1, int(now.timestamp()))


def end(message_id: int, *fields: object) -> bytes:
    """The "that was all" of a request; its version is 1 wherever there is one."""
    return encode(message_id, 1, *fields)


def contract_fields(instrument: Instrument, exchange: str) -> tuple[object, ...]:
    """The eleven fields with which most messages describe a contract."""
    option = instrument.expiry is not None
    return (
        instrument.con_id,
        instrument.symbol,
        instrument.kind,
        f"{instrument.expiry:%Y%m%d}" if option else "",
        instrument.strike if option else 0,
        instrument.right or "",
        instrument.multiplier if option else "",
        exchange,
        "USD",
        instrument.local_symbol,
        instrument.symbol,
    )


def open_order(order: Order, *, what_if_margin: Decimal | None = None) -> bytes:
    request = order.request
    # A refused margin question must not look answered: only a what-if carries margins.
    margin = "" if what_if_margin is None else f"{what_if_margin:.2f}"
    return encode(
        5,
        request.client_order_id,
        *contract_fields(order.instrument, "SMART"),
        request.side,
        request.quantity,
        request.kind,
        "" if request.limit_price is None else request.limit_price,
        "",  # auxPrice
        request.tif,
        request.oca_group,
        request.account,
        "",  # openClose
        0,  # origin: a customer
        request.order_ref,
        request.client_id,
        order.perm_id,
        _OPEN_BEFORE_STATE,
        int(what_if_margin is not None),
        _STATUS[order.status],
        *("", "", ""),  # margins before
        *(margin, margin, ""),  # their change: initial, maintenance, equity
        *("", "", ""),  # margins after
        *("", "", ""),  # commission, its minimum and maximum
        "USD",
        "",  # warning
        _OPEN_AFTER_STATE,
    )


def order_status(order: Order) -> bytes:
    return encode(
        3,
        order.request.client_order_id,
        _STATUS[order.status],
        order.filled,
        order.remaining,
        _price(order.average_price),
        order.perm_id,
        0,  # parent
        order.last_price,
        order.request.client_id,
        "",  # why held
        0,  # market cap price
    )


def completed_order(order: Order) -> bytes:
    request = order.request
    reason = f"Filled Size: {order.filled}" if order.status is Status.FILLED else order.reason
    return encode(
        101,
        *contract_fields(order.instrument, "SMART"),
        request.side,
        request.quantity,
        request.kind,
        "" if request.limit_price is None else request.limit_price,
        "",
        request.tif,
        request.oca_group,
        request.account,
        "",
        0,
        request.order_ref,
        order.perm_id,
        _COMPLETED_BEFORE_STATE,
        _STATUS[order.status],
        *("", ""),  # randomizeSize, randomizePrice
        0,  # conditions
        *[""] * 6,  # trailStopPrice … autoCancelDate
        order.filled,
        *[""] * 6,  # refFuturesConId … parentPermId
        "" if order.done_at is None else wire_time(order.done_at),
        reason,
        *[""] * 5,  # minTradeQty … midOffsetAtHalf
    )


def exec_details(request_id: int, execution: Execution) -> bytes:
    return encode(
        11,
        request_id,
        execution.client_order_id,
        *contract_fields(execution.instrument, "SMART"),
        execution.exec_id,
        wire_time(execution.at),
        execution.account,
        "SMART",
        _SIDE[execution.side],
        execution.quantity,
        execution.price,
        execution.perm_id,
        execution.client_id,
        0,  # liquidation
        execution.cumulative,
        _price(execution.average_price),
        execution.order_ref,
        *("", "", ""),  # economic value rule and multiplier, model code
        2,  # liquidity removed
    )


def commission_report(execution: Execution) -> bytes:
    return encode(59, 1, execution.exec_id, execution.commission, "USD", execution.realized_pnl, "", "")


def tick_price(request_id: int, tick: int, price: float, size: int) -> bytes:
    return encode(1, 6, request_id, tick, price, size, 0)


def model_ticks(request_id: int, quote: OptionQuote) -> bytes:
    values = (quote.volatility, quote.delta, quote.price, 0.0, quote.gamma, quote.vega, quote.theta)
    return encode(
        21, request_id, MODEL_OPTION, 0, *(f"{value:.8g}" for value in values), f"{quote.underlying_price:.8g}"
    )


def _price(price: Decimal) -> str:
    # An average has as many digits as division gave it; the real gateway sends eight.
    return f"{price:.8f}"
