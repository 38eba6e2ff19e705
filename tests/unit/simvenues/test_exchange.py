"""The exchange: fills, refusals and books that always balance."""

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simvenues import instruments
from simvenues.exchange import Exchange
from simvenues.instruments import Instrument, Right
from simvenues.market import Market
from simvenues.orders import Event, Executed, OrderRequest, Refusal, RefusedError, Side, Status
from simvenues.truth import truth

Ask = Callable[..., OrderRequest]
Option = Callable[..., Instrument]
SPY = 1_001


def books_balance(exchange: Exchange, account: str, cash: Decimal) -> None:
    """Cash is what came in less what fills and commissions cost; positions are the sum of fills."""
    quantities: dict[int, Decimal] = {}
    for fill in exchange.records.executions():
        signed = fill.quantity if fill.side == "BUY" else -fill.quantity
        cash -= signed * fill.price * fill.instrument.multiplier + fill.commission
        quantities[fill.instrument.con_id] = quantities.get(fill.instrument.con_id, Decimal(0)) + signed
    assert exchange.ledgers[account].cash == cash
    held = {position.instrument.con_id: position.quantity for position in exchange.positions(account)}
    assert held == {con_id: quantity for con_id, quantity in quantities.items() if quantity}


def test_a_market_order_fills_at_once_at_the_other_side(exchange: Exchange, ask: Ask, spy_option: Option) -> None:
    """Buying pays the ask, selling gets the bid, and the order is done."""
    option = spy_option(560.0)
    bid, offer = exchange.market.two_sided(option)
    bought = exchange.place(ask(option.con_id, "BUY"))
    sold = exchange.place(ask(option.con_id, "SELL"))
    assert (bought.status, float(bought.average_price)) == (Status.FILLED, offer)
    assert (sold.status, float(sold.average_price)) == (Status.FILLED, bid)
    assert list(exchange.positions("DU1")) == []
    books_balance(exchange, "DU1", Decimal(1_000_000))


def test_a_limit_order_rests_until_the_market_comes(exchange: Exchange, ask: Ask) -> None:
    """Below the market a bid rests; when the price falls through it, the next step fills it at the ask."""
    order = exchange.place(ask(SPY, "BUY", "10", "LMT", limit_price=Decimal("550.00")))
    exchange.on_market_step()
    assert exchange.records.order(order.perm_id).status is Status.WORKING
    exchange.market.shock("SPY", price_factor=0.94)
    exchange.on_market_step()
    filled = exchange.records.order(order.perm_id)
    assert filled.status is Status.FILLED
    assert float(filled.average_price) == exchange.market.quote("SPY").ask <= 550.0


def test_partial_fills_come_in_seeded_pieces(market: Market, ask: Ask, start: datetime) -> None:
    """With partial fills on an order fills over several steps, in the same pieces for the same seed."""

    def pieces(seed: int, market: Market) -> list[Decimal]:
        exchange = Exchange(market, {"DU1": Decimal(1_000_000)}, seed=seed, partial_fills=True)
        order = exchange.place(ask(SPY, "BUY", "500"))
        for _ in range(100):
            exchange.on_market_step()
        assert exchange.records.order(order.perm_id).filled == 500
        return [fill.quantity for fill in exchange.records.executions()]

    first = pieces(1, market)
    assert len(first) > 1
    assert sum(first) == 500
    assert pieces(1, Market(7, start)) == first
    assert pieces(2, Market(7, start)) != first


def test_cancel_ends_a_resting_order_and_only_that(exchange: Exchange, ask: Ask) -> None:
    """A cancelled order is done; cancelling it again, or one nobody knows, is refused by name."""
    order = exchange.place(ask(SPY, "BUY", "1", "LMT", limit_price=Decimal("1.00")))
    assert exchange.cancel(order.perm_id).status is Status.CANCELLED
    with pytest.raises(RefusedError) as twice:
        exchange.cancel(order.perm_id)
    with pytest.raises(RefusedError) as unknown:
        exchange.cancel(1)
    assert (twice.value.refusal, unknown.value.refusal) == (Refusal.NOT_WORKING, Refusal.UNKNOWN_ORDER)


def test_an_immediate_or_cancel_order_does_not_rest(exchange: Exchange, ask: Ask) -> None:
    """What an IOC order cannot fill at once is cancelled."""
    order = exchange.place(ask(SPY, "BUY", "1", "LMT", limit_price=Decimal("1.00"), tif="IOC"))
    assert order.status is Status.CANCELLED


def test_modify_keeps_the_order_and_may_fill_it(exchange: Exchange, ask: Ask) -> None:
    """A new limit on a resting order leaves its ids and fills it when it crosses."""
    order = exchange.place(ask(SPY, "BUY", "2", "LMT", limit_price=Decimal("1.00")))
    changed = exchange.modify(order.perm_id, quantity=Decimal(3), limit_price=Decimal("600.00"))
    assert (changed.perm_id, changed.status, changed.filled) == (order.perm_id, Status.FILLED, Decimal(3))


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"account": "NOBODY"}, Refusal.UNKNOWN_ACCOUNT),
        ({"con_id": 42}, Refusal.UNKNOWN_CONTRACT),
        ({"con_id": 1_008}, Refusal.UNKNOWN_CONTRACT),  # an index does not trade
        ({"quantity": "0"}, Refusal.BAD_QUANTITY),
        ({"quantity": "-3"}, Refusal.BAD_QUANTITY),
        ({"quantity": "1.5"}, Refusal.BAD_QUANTITY),
        ({"quantity": "NaN"}, Refusal.BAD_QUANTITY),
        ({"kind": "LMT"}, Refusal.BAD_PRICE),
        ({"kind": "LMT", "limit_price": Decimal("1.005")}, Refusal.BAD_PRICE),
        ({"kind": "LMT", "limit_price": Decimal("NaN")}, Refusal.BAD_PRICE),
        ({"kind": "PEG"}, Refusal.UNKNOWN_ORDER_TYPE),
        ({"quantity": "100000"}, Refusal.INSUFFICIENT_FUNDS),
        ({"side": "SELL", "quantity": "100000"}, Refusal.INSUFFICIENT_FUNDS),
    ],
)
def test_each_refusal_has_a_name(exchange: Exchange, ask: Ask, change: dict[str, object], refusal: Refusal) -> None:
    """An order that cannot be taken is refused with its own reason, leaves no trace in the books, and is remembered."""
    with pytest.raises(RefusedError) as refused:
        exchange.place(ask(**{"con_id": SPY, "order_ref": "bad", **change}))
    assert refused.value.refusal is refusal
    assert list(exchange.records.working()) == list(exchange.records.finished()) == []
    assert [(entry["order_ref"], entry["refusal"]) for entry in exchange.records.refusals()] == [("bad", refusal.value)]


def test_an_expired_option_is_refused_and_its_orders_end(exchange: Exchange, ask: Ask) -> None:
    """After the close of its last day a contract takes no order, and a resting one is cancelled."""
    option = instruments.option("SPY", instruments.expiries(exchange.market.today)[0], 560.0, "P")
    assert option is not None
    resting = exchange.place(ask(option.con_id, "BUY", "1", "LMT", limit_price=Decimal("0.01"), tif="GTC"))
    exchange.market.advance(timedelta(days=1).total_seconds())
    exchange.on_market_step()
    assert exchange.records.order(resting.perm_id).reason == "The contract has expired"
    with pytest.raises(RefusedError) as refused:
        exchange.place(ask(option.con_id))
    assert refused.value.refusal is Refusal.EXPIRED_CONTRACT


@pytest.mark.parametrize(("right", "in_money"), [("P", True), ("C", False)])
def test_expired_options_settle_in_cash(exchange: Exchange, ask: Ask, right: Right, in_money: bool) -> None:
    """At the close of its last day a held option becomes its intrinsic value, without commission, in the books."""
    option = instruments.option("SPY", instruments.expiries(exchange.market.today)[0], 600.0, right)
    assert option is not None
    exchange.place(ask(option.con_id, "BUY", "2"))
    before = exchange.ledgers["DU1"].cash
    exchange.market.advance(timedelta(hours=6).total_seconds())
    exchange.on_market_step()
    assert list(exchange.positions("DU1")) == []
    paid = exchange.ledgers["DU1"].cash - before
    value = 600 - exchange.market.spot("SPY") if in_money else 0
    assert float(paid) == pytest.approx(200 * value, abs=1.0)
    assert [fill.order_ref for fill in exchange.records.executions()][-1] == "EXPIRY"
    books_balance(exchange, "DU1", Decimal(1_000_000))


def test_a_closed_market_refuses_and_ends_day_orders(start: datetime, ask: Ask) -> None:
    """After the close nothing is taken, DAY orders end and others stay."""
    exchange = Exchange(Market(7, start, sessions="regular"), {"DU1": Decimal(1_000_000)})
    low = {"kind": "LMT", "limit_price": Decimal("1.00")}
    day = exchange.place(ask(SPY, **low))
    lasting = exchange.place(ask(SPY, tif="GTC", **low))
    exchange.market.advance(timedelta(hours=6).total_seconds())
    exchange.on_market_step()
    assert exchange.records.order(day.perm_id).status is Status.CANCELLED
    assert exchange.records.order(lasting.perm_id).status is Status.WORKING
    with pytest.raises(RefusedError) as refused:
        exchange.place(ask(SPY))
    assert refused.value.refusal is Refusal.MARKET_CLOSED


def test_a_short_option_ties_up_margin_and_can_always_be_closed(
    exchange: Exchange, ask: Ask, spy_option: Option
) -> None:
    """Shorts are refused when margin runs out; getting out of them is not, even when the funds are gone."""
    put = spy_option(560.0)
    exchange.place(ask(put.con_id, "SELL", "60"))
    with pytest.raises(RefusedError) as refused:
        exchange.place(ask(put.con_id, "SELL", "60"))
    assert refused.value.refusal is Refusal.INSUFFICIENT_FUNDS
    exchange.market.shock("SPY", price_factor=0.5)
    assert exchange.place(ask(put.con_id, "BUY", "60")).status is Status.FILLED


def test_funds_are_checked_again_when_an_order_fills(exchange: Exchange, ask: Ask) -> None:
    """Resting orders reserve nothing: the one that money no longer covers is cancelled, not filled on credit."""
    below = {"kind": "LMT", "limit_price": Decimal("570.00")}
    first = exchange.place(ask(SPY, "BUY", "1000", **below))
    second = exchange.place(ask(SPY, "BUY", "1000", **below))
    exchange.market.shock("SPY", price_factor=0.95)
    exchange.on_market_step()
    assert exchange.records.order(first.perm_id).status is Status.FILLED
    assert exchange.records.order(second.perm_id).status is Status.CANCELLED
    assert exchange.ledgers["DU1"].cash > 0


def test_a_reference_used_twice_is_two_orders_in_the_truth(exchange: Exchange, ask: Ask) -> None:
    """The exchange does not deduplicate: both orders stand in the truth, so a test can count them."""
    for _ in range(2):
        exchange.place(ask(SPY, order_ref="same"))
    found = truth(exchange)
    assert [order["order_ref"] for order in found["orders"]] == ["same", "same"]
    assert len({execution["exec_id"] for execution in found["executions"]}) == 2
    assert found["accounts"]["DU1"]["positions"][0]["quantity"] == "2"


def test_histories_are_bounded_and_count_what_they_drop(market: Market, ask: Ask) -> None:
    """Past the capacity the oldest finished orders and executions go, counted, and their ids are free again."""
    exchange = Exchange(market, {"DU1": Decimal(1_000_000)}, history_capacity=3)
    for _ in range(5):
        exchange.place(ask(SPY))
    assert len(list(exchange.records.finished())) == len(list(exchange.records.executions())) == 3
    assert (exchange.records.dropped_orders, exchange.records.dropped_executions) == (2, 2)
    assert exchange.records.by_client(1, 1) is None
    assert exchange.records.by_client(1, 5) is not None


def test_working_orders_are_bounded(market: Market, ask: Ask) -> None:
    """At the capacity a further order is refused by name; one cancelled makes room."""
    exchange = Exchange(market, {"DU1": Decimal(1_000_000)}, history_capacity=2)
    low = {"kind": "LMT", "limit_price": Decimal("1.00")}
    first, _ = exchange.place(ask(SPY, **low)), exchange.place(ask(SPY, **low))
    with pytest.raises(RefusedError) as refused:
        exchange.place(ask(SPY, **low))
    assert refused.value.refusal is Refusal.TOO_MANY_ORDERS
    exchange.cancel(first.perm_id)
    assert exchange.place(ask(SPY, **low)).status is Status.WORKING


def test_events_tell_the_order_as_it_stands(exchange: Exchange, ask: Ask) -> None:
    """A listener hears of the acceptance first, then of each execution with the order after it."""
    heard: list[Event] = []
    exchange.listeners.append(heard.append)
    exchange.place(ask(SPY, "BUY", "4"))
    assert [type(event).__name__ for event in heard] == ["OrderChanged", "Executed"]
    assert [event.order.status for event in heard] == [Status.WORKING, Status.FILLED]
    assert isinstance(heard[1], Executed)
    assert heard[1].execution.cumulative == 4


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 999),
    partial=st.booleans(),
    stream=st.lists(
        st.tuples(
            st.sampled_from(["place", "place", "place", "cancel", "step", "shock"]),
            st.sampled_from([(None, "C"), (540.0, "P"), (580.0, "P"), (620.0, "C")]),
            st.sampled_from(["BUY", "SELL"]),
            st.integers(1, 400),
            st.sampled_from([None, "0.50", "3.00", "10.00", "580.00"]),
            st.floats(0.9, 1.1),
        ),
        max_size=40,
    ),
)
def test_books_balance_after_any_stream_of_orders(
    seed: int, partial: bool, stream: list[tuple[str, tuple[float | None, Right], Side, int, str | None, float]]
) -> None:
    """Whatever is asked, cash and positions are exactly the sum of fills, and no order fills beyond its size."""
    market = Market(seed, datetime.fromisoformat("2026-03-06T15:30:00+00:00"))
    exchange = Exchange(market, {"DU1": Decimal(200_000)}, seed=seed, partial_fills=partial)
    expiry = instruments.expiries(market.today)[4]
    refused: set[Refusal] = set()
    for count, (action, (strike, right), side, quantity, limit, factor) in enumerate(stream):
        if action == "place":
            contract = (
                instruments.by_con_id(SPY) if strike is None else instruments.option("SPY", expiry, strike, right)
            )
            assert contract is not None
            price = None if limit is None else Decimal(limit)
            kind = "MKT" if limit is None else "LMT"
            request = OrderRequest("DU1", 1, count, contract.con_id, side, Decimal(quantity), kind, price)
            try:
                exchange.place(request)
            except RefusedError as error:
                refused.add(error.refusal)
        elif action == "cancel":
            for order in exchange.records.working():
                exchange.cancel(order.perm_id)
                break
        elif action == "step":
            market.advance(market.step + 60.0)
            exchange.on_market_step()
        else:
            market.shock("SPY", price_factor=factor)
            exchange.on_market_step()
        books_balance(exchange, "DU1", Decimal(200_000))
    assert refused <= {Refusal.INSUFFICIENT_FUNDS}
    for order in (*exchange.records.working(), *exchange.records.finished()):
        assert 0 <= order.filled <= order.request.quantity
        assert (order.filled == order.request.quantity) == (order.status is Status.FILLED)
        fills = [fill.quantity for fill in exchange.records.executions() if fill.perm_id == order.perm_id]
        assert sum(fills) == order.filled
