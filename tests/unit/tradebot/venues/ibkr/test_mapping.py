"""The border to Interactive Brokers: every word has one meaning, and garbage has none."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import ib_async
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ib_async.util import UNSET_DOUBLE

from tradebot.domain.errors import NoQuote, OrderRejected, UnknownContract, VenueDisconnected, VenueError
from tradebot.domain.instruments import OptionContract, Right, Stock
from tradebot.domain.orders import OrderIntent, OrderState, OrderType, Side, TimeInForce
from tradebot.venues.ibkr import mapping
from tradebot.venues.ibkr.recall import orders_from

AT = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
CALL = OptionContract("SPY", date(2026, 4, 17), Decimal("602.5"), Right.CALL)


def intent(**changes: Any) -> OrderIntent:
    fields: dict[str, Any] = {
        "client_id": "w1-0",
        "workflow_id": "w1",
        "strategy_id": "s1",
        "leg": 0,
        "contract": CALL,
        "side": Side.SELL,
        "quantity": 2,
        "order_type": OrderType.LIMIT,
        "limit": Decimal("1.25"),
        "tif": TimeInForce.DAY,
        "at": AT,
    }
    return OrderIntent(**(fields | changes))


def trade(**changes: Any) -> ib_async.Trade:
    """An order of two contracts as the client keeps it."""
    status = ib_async.OrderStatus(status=changes.pop("status", "Submitted"), filled=changes.pop("filled", 0.0))
    fields: dict[str, Any] = {"orderRef": "w1-0", "totalQuantity": 2.0, "permId": 77}
    return ib_async.Trade(order=ib_async.Order(**(fields | changes)), orderStatus=status)


def execution(**changes: Any) -> ib_async.Fill:
    fields: dict[str, Any] = {
        "execId": "e1",
        "orderRef": "w1-0",
        "permId": 77,
        "side": "SLD",
        "shares": 2.0,
        "price": 1.25,
        "time": AT,
    }
    return ib_async.Fill(
        mapping.contract_for(CALL), ib_async.Execution(**(fields | changes)), ib_async.CommissionReport(), AT
    )


def ticker(**prices: float) -> ib_async.Ticker:
    """Prices come after its birth: what the constructor is given it resets."""
    born = ib_async.Ticker()
    for name, value in prices.items():
        setattr(born, name, value)
    return born


strikes = st.integers(1, 20_000).map(lambda halves: Decimal(halves) / 2).map(lambda value: mapping.price(float(value)))
options = st.builds(
    OptionContract,
    symbol=st.sampled_from(["SPY", "AAPL"]),
    expiry=st.dates(date(2000, 1, 1), date(2099, 12, 31)),
    strike=strikes,
    right=st.sampled_from(Right),
    multiplier=st.sampled_from([10, 100]),
)


@given(contract=options)
def test_contracts_survive_the_way_there_and_back(contract: OptionContract) -> None:
    """An option mapped to the vendor's contract and back is the same option, to the text of its strike."""
    back = mapping.option_from(mapping.contract_for(contract))
    assert back == contract
    assert str(back.strike) == str(contract.strike)


def test_stocks_and_indices_go_where_they_are_quoted() -> None:
    """A stock is smart-routed, an index is asked for at its exchange."""
    stock, index = mapping.contract_for(Stock("SPY")), mapping.contract_for(Stock("VIX"))
    assert (stock.secType, stock.exchange, stock.currency) == ("STK", "SMART", "USD")
    assert (index.secType, index.exchange) == ("IND", "CBOE")


def test_orders_carry_our_identity_and_nothing_surprising() -> None:
    """The client id travels as orderRef; the order is a DAY order for regular hours at our limit."""
    order = mapping.order_for(intent(), "DU1")
    assert (order.orderRef, order.action, order.totalQuantity) == ("w1-0", "SELL", 2.0)
    assert (order.orderType, order.lmtPrice, order.tif) == ("LMT", 1.25, "DAY")
    assert (order.account, order.outsideRth, order.transmit) == ("DU1", False, True)


@pytest.mark.parametrize(
    "changes",
    [{"quantity": 0}, {"quantity": -1}, {"limit": None}, {"order_type": OrderType.MARKET}],
    ids=["zero", "negative", "limit order without limit", "market order with limit"],
)
def test_impossible_orders_never_reach_the_wire(changes: dict[str, Any]) -> None:
    """An order that makes no sense is refused here, by type."""
    with pytest.raises(OrderRejected):
        mapping.order_for(intent(**changes), "DU1")


@pytest.mark.parametrize(
    ("status", "filled", "state"),
    [
        ("PendingSubmit", 0, OrderState.PENDING),
        ("ApiPending", 0, OrderState.PENDING),
        ("PreSubmitted", 0, OrderState.WORKING),
        ("Submitted", 0, OrderState.WORKING),
        ("Submitted", 1, OrderState.PARTIAL),
        ("PendingCancel", 1, OrderState.PARTIAL),
        ("Filled", 2, OrderState.FILLED),
        ("Cancelled", 1, OrderState.CANCELLED),
        ("ApiCancelled", 0, OrderState.CANCELLED),
        ("Inactive", 0, OrderState.REJECTED),
        ("Inactive", 1, OrderState.CANCELLED),
    ],
)
def test_every_status_has_one_state(status: str, filled: int, state: OrderState) -> None:
    """The vendor's status and the filled quantity together give our state and what remains."""
    update = mapping.update_from(trade(), state=mapping.order_state(status), filled=filled, at=AT)
    assert (update.state, update.filled, update.remaining) == (state, filled, 2 - filled)
    assert (update.client_id, update.venue_order_id) == ("w1-0", "77")


@pytest.mark.parametrize(
    ("code", "acknowledged", "state"),
    [
        (202, True, OrderState.CANCELLED),
        (201, True, OrderState.REJECTED),
        (200, False, OrderState.REJECTED),
        (103, False, OrderState.REJECTED),
        (110, False, OrderState.REJECTED),
        (110, True, None),
        (321, False, OrderState.REJECTED),
        (321, True, None),
        (135, False, OrderState.REJECTED),
        (135, True, None),
        (10148, True, None),
        (504, False, OrderState.REJECTED),
        (504, True, None),
        (399, False, None),
        (2109, False, None),
    ],
)
def test_an_error_ends_an_order_only_if_it_means_it(code: int, acknowledged: bool, state: OrderState | None) -> None:
    """A refused change or cancel leaves a living order alone; the same code kills one that was never accepted."""
    assert mapping.state_after_error(code, acknowledged=acknowledged) is state


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (200, UnknownContract),
        (354, NoQuote),
        (10197, NoQuote),
        (504, VenueDisconnected),
        (201, OrderRejected),
        (103, OrderRejected),
        (110, OrderRejected),
        (135, OrderRejected),
        (321, OrderRejected),
        (9999, VenueError),
    ],
)
def test_error_codes_become_types(code: int, kind: type[VenueError]) -> None:
    """A failed request raises the type that its code means and says what was asked."""
    error = mapping.request_error("the option chain", code, "words")
    assert type(error) is kind
    assert f"the option chain failed with the venue's error {code}: words" in str(error)


def test_executions_become_fills() -> None:
    """A fill has the venue's id, our id, exact money and the venue's time."""
    fill = mapping.fill_from(execution(), Decimal("1.30"))
    assert (fill.execution_id, fill.client_id, fill.contract) == ("e1", "w1-0", CALL)
    assert (fill.side, fill.quantity, fill.price, fill.commission) == (Side.SELL, 2, Decimal("1.25"), Decimal("1.30"))
    assert fill.at == AT


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"side": "HOLD"}, "side"),
        ({"execId": ""}, "execution_without_identity"),
        ({"shares": 0.0}, "quantity"),
        ({"shares": 1.5}, "quantity"),
        ({"shares": math.nan}, "quantity"),
        ({"price": math.inf}, "price"),
        ({"price": -1.0}, "price"),
    ],
)
def test_malformed_executions_are_named(changes: dict[str, Any], reason: str) -> None:
    """An execution that makes no sense raises BadMessage with the name it is counted under."""
    with pytest.raises(mapping.BadMessage) as error:
        mapping.fill_from(execution(**changes), Decimal(0))
    assert error.value.reason == reason


@given(
    contract=st.builds(
        ib_async.Contract,
        secType=st.sampled_from(["OPT", "OPT", "STK", "?"]),
        symbol=st.text(max_size=4),
        lastTradeDateOrContractMonth=st.one_of(st.text(max_size=10), st.just("20261218")),
        strike=st.floats(),
        right=st.one_of(st.text(max_size=2), st.sampled_from(["C", "PUT"])),
        multiplier=st.one_of(st.text(max_size=8), st.just("100")),
    )
)
def test_garbage_contracts_raise_one_type(contract: ib_async.Contract) -> None:
    """Whatever the wire holds, it is an option with a positive multiplier and no negative strike, or a BadMessage."""
    try:
        option = mapping.option_from(contract)
    except mapping.BadMessage:
        return
    assert option.multiplier > 0
    assert option.strike >= 0


@given(bid=st.floats(), ask=st.floats(), last=st.floats(), iv=st.one_of(st.none(), st.floats()), option=st.booleans())
def test_garbage_ticks_raise_one_type(bid: float, ask: float, last: float, iv: float | None, option: bool) -> None:
    """Whatever a ticker holds: no quote yet, a BadMessage, or a quote of finite prices that are not negative."""
    heard = ticker(bid=bid, ask=ask, last=last)
    heard.modelGreeks = ib_async.OptionComputation(0, iv, None, None, None, None, None, None, None)
    try:
        quote = mapping.quote_from(CALL if option else Stock("SPY"), heard, AT)
    except mapping.BadMessage:
        return
    if quote is not None:
        assert 0 <= quote.bid < math.inf
        assert 0 <= quote.ask < math.inf
        assert math.isnan(quote.iv) or quote.iv > 0


def test_a_ticker_without_prices_is_no_quote_yet() -> None:
    """NaN means not heard yet and -1 means nobody asks: neither is a quote, and neither is an error."""
    assert mapping.quote_from(Stock("SPY"), ticker(), AT) is None
    assert mapping.quote_from(Stock("SPY"), ticker(bid=-1.0, ask=5.0), AT) is None
    assert mapping.quote_from(CALL, ticker(bid=1.0, ask=-1.0), AT) is None


def test_an_option_that_nobody_bids_for_has_a_bid_of_zero() -> None:
    """Without a bid an option can still be bought, and sold for nothing."""
    quote = mapping.quote_from(CALL, ticker(bid=-1.0, ask=0.05), AT)
    assert quote is not None
    assert (quote.bid, quote.ask) == (0.0, 0.05)


def test_an_index_is_quoted_at_its_level() -> None:
    """Nobody bids for an index: bid and ask are its last price."""
    quote = mapping.quote_from(Stock("VIX"), ticker(last=16.5), AT)
    assert quote is not None
    assert (quote.bid, quote.ask, quote.last) == (16.5, 16.5, 16.5)


def test_the_smart_chain_is_chosen_and_sorted() -> None:
    """Of several chains the smart-routed one of the underlying's own class is taken, ascending and without doubles."""
    chains = [
        ib_async.OptionChain("CBOE", 1, "SPY", "100", ["20260417"], [1.0]),
        ib_async.OptionChain("SMART", 1, "2SPY", "100", ["20260417"] * 9, [2.0]),
        ib_async.OptionChain("SMART", 1, "SPY", "100", ["20260515", "20260417"], [610.0, 600.0, 600.0]),
    ]
    chain = mapping.chain_from("SPY", chains)
    assert chain.expiries == (date(2026, 4, 17), date(2026, 5, 15))
    assert chain.strikes == (Decimal(600), Decimal(610))
    with pytest.raises(UnknownContract):
        mapping.chain_from("SPY", [])


def test_a_position_has_the_price_of_one_unit() -> None:
    """The vendor's average cost is of a whole contract, and a short position is negative."""
    position = mapping.position_from(ib_async.Position("DU1", mapping.contract_for(CALL), -3.0, 125.5))
    assert (position.contract, position.quantity, position.average_price) == (CALL, -3, Decimal("1.255"))


def test_an_account_without_its_money_is_a_bad_message() -> None:
    """A summary that lacks a figure, or holds none, is never taken for a balance."""
    values = {"NetLiquidation": "10.5", "TotalCashValue": "9", "BuyingPower": "8"}
    assert mapping.account_from(values, "DU1", AT).equity == Decimal("10.5")
    for broken in ({}, values | {"NetLiquidation": "x"}, values | {"BuyingPower": "NaN"}):
        with pytest.raises(mapping.BadMessage):
            mapping.account_from(broken, "DU1", AT)


def test_recall_puts_working_completed_and_executed_orders_together() -> None:
    """Each order comes once, with the most that any source says it filled; strangers' orders do not come."""
    bad: list[str] = []
    found = orders_from(
        [trade(permId=1, orderRef="a"), trade(permId=2, orderRef="b"), trade(permId=9, orderRef="")],
        [
            trade(permId=2, orderRef="b", status="Filled", totalQuantity=0.0, filledQuantity=2.0),
            trade(permId=3, orderRef="c", status="Cancelled", filledQuantity=UNSET_DOUBLE),
            trade(permId=8, orderRef="h", status="Nonsense"),
        ],
        [execution(permId=1, orderRef="a", shares=1.0), execution(permId=4, orderRef="d"), execution(orderRef="")],
        at=AT,
        on_bad_message=bad.append,
    )
    assert [(each.client_id, each.state, each.filled, each.remaining) for each in found] == [
        ("a", OrderState.PARTIAL, 1, 1),
        ("b", OrderState.FILLED, 2, 0),
        ("c", OrderState.CANCELLED, 0, 2),
        ("d", OrderState.FILLED, 2, 0),
    ]
    assert bad == ["order_status"]


def test_recall_shows_an_order_that_was_sent_twice() -> None:
    """Two orders of the venue with one client id stay two, so that the double can be seen."""
    found = orders_from([trade(permId=1), trade(permId=2)], [], [], at=AT, on_bad_message=lambda _reason: None)
    assert [(each.client_id, each.venue_order_id) for each in found] == [("w1-0", "1"), ("w1-0", "2")]
