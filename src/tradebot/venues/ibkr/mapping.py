"""The border: the vendor's contracts, orders, states, executions and error codes, in our words and back.

Pure functions. What comes from the wire is not to be trusted: whatever has no meaning raises `BadMessage`, whose
`reason` is a short stable name to count by, and nothing half-understood passes.
"""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation

import ib_async

from tradebot.domain.errors import NoQuote, OrderRejected, UnknownContract, VenueDisconnected, VenueError
from tradebot.domain.instruments import Instrument, OptionChain, OptionContract, Right
from tradebot.domain.market import Quote
from tradebot.domain.orders import (
    AccountSummary,
    Fill,
    OrderIntent,
    OrderState,
    OrderType,
    OrderUpdate,
    Position,
    Side,
)

EXCHANGE = "SMART"
CURRENCY = "USD"
# An index has no stock of its name: where it is quoted must be said.
INDEX_EXCHANGES = {"VIX": "CBOE", "SPX": "CBOE", "NDX": "NASDAQ"}
# The venue's price for "there is none".
NO_PRICE = -1.0

_ORDER_TYPES = {OrderType.MARKET: "MKT", OrderType.LIMIT: "LMT"}
_RIGHTS = {"C": Right.CALL, "CALL": Right.CALL, "P": Right.PUT, "PUT": Right.PUT}
_SIDES = {"BOT": Side.BUY, "BUY": Side.BUY, "SLD": Side.SELL, "SELL": Side.SELL}
_STATES = {
    "ApiPending": OrderState.PENDING,
    "PendingSubmit": OrderState.PENDING,
    "PreSubmitted": OrderState.WORKING,
    "Submitted": OrderState.WORKING,
    "ApiUpdate": OrderState.WORKING,
    "ValidationError": OrderState.WORKING,  # a warning: the order lives
    "PendingCancel": OrderState.WORKING,
    "Filled": OrderState.FILLED,
    "Cancelled": OrderState.CANCELLED,
    "ApiCancelled": OrderState.CANCELLED,
    "Inactive": OrderState.REJECTED,
}

_CANCELLED = 202
# Of these, and without a connection, an order dies only if the venue never acknowledged it; else they refuse a change
# or a cancel of it.
_REFUSALS = frozenset({103, 104, 105, 110, 135, 136, 161, 321, 329, 434, 10147, 10148})
# Remarks about an order that goes on living: held until the open, shares to be located, delayed data.
_REMARKS = frozenset({165, 399, 404, 492, 2109, 10167})
_NO_DATA = frozenset({354, 10089, 10090, 10168, 10186, 10197})
_NO_CONNECTION = frozenset({502, 504, 1100, 1300})


class BadMessage(VenueError):
    def __init__(self, reason: str, value: object) -> None:
        super().__init__(f"the venue sent {value!r}, which has no meaning ({reason})")
        self.reason = reason


def contract_for(instrument: Instrument) -> ib_async.Contract:
    """Enough for the venue to know it, so that no order waits for a look-up first."""
    if isinstance(instrument, OptionContract):
        return ib_async.Contract(
            secType="OPT",
            symbol=instrument.symbol,
            lastTradeDateOrContractMonth=f"{instrument.expiry:%Y%m%d}",
            strike=float(instrument.strike),
            right=instrument.right.value,
            multiplier=str(instrument.multiplier),
            exchange=EXCHANGE,
            currency=CURRENCY,
        )
    index_exchange = INDEX_EXCHANGES.get(instrument.symbol)
    if index_exchange is not None:
        return ib_async.Contract(secType="IND", symbol=instrument.symbol, exchange=index_exchange, currency=CURRENCY)
    return ib_async.Contract(secType="STK", symbol=instrument.symbol, exchange=EXCHANGE, currency=CURRENCY)


def option_from(contract: ib_async.Contract) -> OptionContract:
    right = _RIGHTS.get(contract.right)
    if contract.secType != "OPT" or not contract.symbol:
        raise BadMessage("contract", (contract.secType, contract.symbol))
    if right is None:
        raise BadMessage("right", contract.right)
    return OptionContract(
        symbol=contract.symbol,
        expiry=day(contract.lastTradeDateOrContractMonth),
        strike=price(contract.strike, least=Decimal(0)),
        right=right,
        multiplier=multiplier(contract.multiplier),
    )


def order_for(intent: OrderIntent, account: str) -> ib_async.Order:
    if intent.quantity <= 0:
        raise OrderRejected(
            f"order {intent.client_id} is for {intent.quantity} contracts", remedy="Ask for at least one"
        )
    if (intent.limit is None) == (intent.order_type is OrderType.LIMIT):
        raise OrderRejected(
            f"order {intent.client_id} is {intent.order_type.value} with limit {intent.limit}",
            remedy="Give a LIMIT order, and only that, a limit price",
        )
    order = ib_async.Order(
        action=intent.side.value,
        totalQuantity=float(intent.quantity),
        orderType=_ORDER_TYPES[intent.order_type],
        tif=intent.tif.value,
        orderRef=intent.client_id,
        account=account,
        outsideRth=False,
    )
    if intent.limit is not None:
        order.lmtPrice = float(intent.limit)
    return order


def update_from(
    trade: ib_async.Trade, *, state: OrderState, filled: int, at: datetime, reason: str = ""
) -> OrderUpdate:
    total = quantity(trade.order.totalQuantity)
    perm_id = trade.order.permId or trade.orderStatus.permId
    if state is OrderState.WORKING and filled:
        state = OrderState.PARTIAL
    elif state is OrderState.REJECTED and filled:
        state = OrderState.CANCELLED  # what was done stays done: only the rest is gone
    return OrderUpdate(
        client_id=trade.order.orderRef,
        venue_order_id=str(perm_id) if perm_id else "",
        state=state,
        filled=filled,
        remaining=max(total - filled, 0),
        at=at,
        reason=reason,
    )


def order_state(status: str) -> OrderState:
    state = _STATES.get(status)
    if state is None:
        raise BadMessage("order_status", status)
    return state


def state_after_error(code: int, *, acknowledged: bool) -> OrderState | None:
    """What an error with an order's id makes of that order; None: nothing, it lives or is over already."""
    if code == _CANCELLED:
        return OrderState.CANCELLED
    if code in _REMARKS or 2100 <= code < 2200 or (acknowledged and code in _REFUSALS | _NO_CONNECTION):
        return None
    return OrderState.REJECTED


def request_error(request: str, code: int, message: str) -> VenueError:
    text = f"{request} failed with the venue's error {code}: {message}"
    if code == 200:
        return UnknownContract(text, remedy="Check symbol, expiry, strike and right against the option chain")
    if code in _NO_DATA:
        return NoQuote(text, remedy="Subscribe to the data at the venue, or set market_data_type to delayed")
    if code in _NO_CONNECTION:
        return VenueDisconnected(text)
    if code in {201, _CANCELLED} or code in _REFUSALS:
        return OrderRejected(text)
    return VenueError(text)


def fill_from(fill: ib_async.Fill, commission: Decimal) -> Fill:
    execution = fill.execution
    side = _SIDES.get(execution.side)
    if side is None:
        raise BadMessage("side", execution.side)
    if not execution.execId or not execution.orderRef:
        raise BadMessage("execution_without_identity", (execution.execId, execution.orderRef))
    amount = quantity(execution.shares)
    if amount == 0:
        raise BadMessage("quantity", execution.shares)
    return Fill(
        execution_id=execution.execId,
        client_id=execution.orderRef,
        contract=option_from(fill.contract),
        side=side,
        quantity=amount,
        price=price(execution.price, least=Decimal(0)),
        commission=commission,
        at=execution.time.astimezone(UTC),
    )


def position_from(position: ib_async.Position) -> Position:
    contract = option_from(position.contract)
    sign = -1 if position.position < 0 else 1
    average = price(position.avgCost) / contract.multiplier  # the venue's cost is of a whole contract
    return Position(contract=contract, quantity=sign * quantity(abs(position.position)), average_price=average)


def account_from(values: dict[str, str], account: str, at: datetime) -> AccountSummary:
    try:
        equity, cash, power = (Decimal(values[tag]) for tag in ("NetLiquidation", "TotalCashValue", "BuyingPower"))
    except (KeyError, InvalidOperation):
        raise BadMessage("account_summary", values) from None
    if not (equity.is_finite() and cash.is_finite() and power.is_finite()):
        raise BadMessage("account_summary", values)
    return AccountSummary(account=account, equity=equity, cash=cash, buying_power=power, at=at)


def chain_from(symbol: str, chains: list[ib_async.OptionChain]) -> OptionChain:
    """The smart-routed chain of the class named like its underlying, else the one with most expiries."""
    if not chains:
        raise UnknownContract(f"the venue lists no options on {symbol}", remedy="Choose an underlying with options")
    best = max(chains, key=lambda c: (c.exchange == EXCHANGE, c.tradingClass == symbol, len(c.expirations), c.exchange))
    return OptionChain(
        symbol=symbol,
        multiplier=multiplier(best.multiplier),
        expiries=tuple(sorted({day(text) for text in best.expirations})),
        strikes=tuple(sorted({price(strike, least=Decimal(0)) for strike in best.strikes})),
    )


def quote_from(instrument: Instrument, ticker: ib_async.Ticker, at: datetime) -> Quote | None:
    """None while the venue has said nothing of both sides yet."""
    last = _tick(ticker.last)
    if not isinstance(instrument, OptionContract) and instrument.symbol in INDEX_EXCHANGES:
        bid = ask = last  # nobody bids for an index: its level is all there is
    else:
        bid, ask = _tick(ticker.bid), _tick(ticker.ask)
    # An option far out of the money has an ask and no bid: it can be sold for nothing. "Not heard yet" stays NaN.
    if isinstance(instrument, OptionContract) and ticker.bid == NO_PRICE:
        bid = 0.0
    if math.isnan(bid) or math.isnan(ask):
        return None
    model = ticker.modelGreeks
    iv = math.nan if model is None or model.impliedVol is None else model.impliedVol
    return Quote(instrument=instrument, at=at, bid=bid, ask=ask, last=last, iv=iv if 0.0 < iv < math.inf else math.nan)


def filter_time(instant: datetime) -> str:
    """An instant as a request for executions wants it: with the hyphen that means UTC."""
    return f"{instant.astimezone(UTC):%Y%m%d-%H:%M:%S}"


def quantity(value: float | Decimal) -> int:
    """A whole number of contracts, not negative."""
    number = float(value)
    if not math.isfinite(number) or number < 0 or number != int(number):
        raise BadMessage("quantity", value)
    return int(number)


def price(value: float, *, least: Decimal | None = None) -> Decimal:
    """The wire's decimal number, without the trailing zeros that a float's text brings."""
    if not math.isfinite(value) or abs(value) >= 1e12:
        raise BadMessage("price", value)
    text = f"{value:.10f}".rstrip("0").rstrip(".")
    number = Decimal(text) if text != "-0" else Decimal(0)
    if least is not None and number < least:
        raise BadMessage("price", value)
    return number


def day(text: str) -> date:
    """`20261218`, or that with a time behind it."""
    digits = text[:8]
    try:
        if len(digits) == 8 and digits.isascii() and digits.isdigit():
            return date.fromisoformat(digits)
    except ValueError:
        pass
    raise BadMessage("date", text)


def multiplier(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 6 and int(text) > 0):
        raise BadMessage("multiplier", text)
    return int(text)


def _tick(value: float) -> float:
    """NaN where there is no price; an impossible one is the wire's fault."""
    if math.isnan(value) or value == NO_PRICE:
        return math.nan
    if value < 0 or math.isinf(value):
        raise BadMessage("price", value)
    return value
