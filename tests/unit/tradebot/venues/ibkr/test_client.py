"""Orders by the short way, held against the client's own way: the same bytes out, the same books after."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import ib_async
import pytest

from simvenues import instruments
from simvenues.ibkr import messages
from simvenues.ibkr.frames import decode
from simvenues.orders import Order, OrderRequest, Status
from tradebot.domain.instruments import OptionContract, Right
from tradebot.domain.orders import OrderIntent, OrderType, Side, TimeInForce
from tradebot.venues.ibkr import mapping
from tradebot.venues.ibkr.client import OPEN_ORDER, Reader, Writer

EXPIRY = date(2026, 12, 18)
AT = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)


def intent(number: int, order_type: OrderType) -> OrderIntent:
    strike = Decimal(570 + 5 * number)
    return OrderIntent(
        client_id=f"w{number}.0",
        workflow_id=f"w{number}",
        strategy_id="s",
        leg=0,
        contract=OptionContract("SPY", EXPIRY, strike, Right.PUT if number % 2 else Right.CALL),
        side=Side.BUY if number % 3 else Side.SELL,
        quantity=1 + number,
        order_type=order_type,
        limit=Decimal("1.05") * number if order_type is OrderType.LIMIT else None,
        tif=TimeInForce.DAY if number % 2 else TimeInForce.GTC,
        at=AT,
    )


def prepared(number: int, order_type: OrderType = OrderType.LIMIT) -> tuple[ib_async.Contract, ib_async.Order]:
    what = intent(number, order_type)
    return mapping.contract_for(what.contract), mapping.order_for(what, "DU1")


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What clients write, in place of a socket."""
    texts: list[str] = []
    monkeypatch.setattr(ib_async.client.Client, "sendMsg", lambda _self, text: texts.append(text))
    return texts


@pytest.fixture
def ib(sent: list[str]) -> Iterator[Any]:
    """A client that believes itself connected."""
    del sent
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    client: Any = ib_async.IB()
    client.client.connState = client.client.CONNECTED
    client.client._serverVersion = client.client.decoder.serverVersion = messages.SERVER_VERSION
    client.client._apiReady = True
    client.client._reqIdSeq = 100
    client.wrapper.clientId = 7
    yield client
    client.client.connState = client.client.DISCONNECTED
    asyncio.set_event_loop(None)
    loop.close()


@pytest.mark.parametrize("order_type", list(OrderType))
def test_an_order_is_the_clients_own_bytes(ib: Any, sent: list[str], order_type: OrderType) -> None:
    """The first order of a type, which the client writes, and all that are made after it: each as the client would."""
    writer, write = Writer(ib), ib.client.placeOrder
    by_the_client: list[int] = []

    def count(order_id: int, *what: object) -> None:
        by_the_client.append(order_id)
        write(order_id, *what)

    ib.client.placeOrder = count
    for number in range(1, 8):
        writer.place(*prepared(number, order_type))
        write(99 + number, *prepared(number, order_type))
    ours, theirs = sent[::2], sent[1::2]
    assert ours == theirs
    assert len(set(theirs)) == 7
    assert by_the_client == [100]


@pytest.mark.parametrize(
    ("field", "value"), [("ocaGroup", "one of both"), ("goodTillDate", "20261231"), ("outsideRth", True), ("origin", 1)]
)
def test_an_order_with_a_field_of_its_own_keeps_it(ib: Any, sent: list[str], field: str, value: object) -> None:
    """Whatever else an order says, before or after plain ones, goes out as the client writes it."""
    writer = Writer(ib)
    for number in range(1, 7):
        for place in (writer.place, lambda *order, number=number: ib.client.placeOrder(99 + number, *order)):
            contract, order = prepared(number)
            if number in {2, 3, 5}:
                setattr(order, field, value)
            place(contract, order)
    assert sent[::2] == sent[1::2]


def opened(number: int, order_id: int, *, status: Status = Status.WORKING, client_id: int = 7) -> list[str]:
    """The venue's word on an order, as fields."""
    request = OrderRequest(
        account="DU1",
        client_id=client_id,
        client_order_id=order_id,
        con_id=1,
        side="BUY",
        quantity=Decimal(3),
        kind="LMT",
        limit_price=Decimal("2.25"),
        order_ref=f"w{number}.0",
    )
    option = instruments.option("SPY", EXPIRY, 580.0, "C")
    assert option is not None
    return decode(messages.open_order(Order("V1", 4_000 + number, request, option, status, AT)))


def known(trade: ib_async.Trade) -> dict[str, object]:
    names = ("orderId", "clientId", "permId", "totalQuantity", "lmtPrice", "auxPrice", "orderType", "orderRef")
    return {name: getattr(trade.order, name) for name in names}


def test_an_open_order_is_read_as_the_client_reads_it(ib: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the first message the short way leaves the same books, and tells it to whoever listens."""
    by_the_client: list[object] = []
    heard: list[object] = []
    decode_it = ib.client.decoder.handlers[OPEN_ORDER]

    def count(fields: list[str]) -> None:
        by_the_client.append(fields)
        decode_it(fields)

    monkeypatch.setitem(ib.client.decoder.handlers, OPEN_ORDER, count)
    writer, _reader = Writer(ib), Reader(ib)
    ib.openOrderEvent += heard.append
    trades = [writer.place(*prepared(number)) for number in (1, 2, 3)]
    for number, trade in enumerate(trades, 1):
        ib.client.decoder.interpret(opened(number, trade.order.orderId))
    assert len(by_the_client) == 1
    assert heard == trades
    first, *others = [known(trade) for trade in trades]
    for number, other in enumerate(others, 2):
        assert other == first | {"orderId": 99 + number, "permId": 4_000 + number, "orderRef": f"w{number}.0"}
    assert [ib.wrapper.permId2Trade[4_000 + number] for number in (1, 2, 3)] == trades


def test_what_the_short_way_does_not_know_is_the_clients_to_read(ib: Any) -> None:
    """A stranger's order and one that was cut off in the middle reach the client's decoder, as without us."""
    complaints: list[object] = []
    ib.client.decoder.logger.exception = lambda *_: complaints.append(1)
    writer, _reader = Writer(ib), Reader(ib)
    trade = writer.place(*prepared(1))
    ib.client.decoder.interpret(opened(1, trade.order.orderId))
    ib.client.decoder.interpret(opened(9, 55, client_id=8))
    assert ib.wrapper.trades[8, 55].order.totalQuantity == 3.0
    before = known(trade)
    ib.client.decoder.interpret(opened(2, trade.order.orderId)[:60])
    assert known(trade) == before
    assert len(complaints) == 1


def test_nobody_describes_an_order_for_a_log_that_is_off(ib: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither placing nor any status makes a text of all that an order is."""

    def fail(_self: object) -> str:
        raise AssertionError("described")

    monkeypatch.setattr(ib_async.Order, "__repr__", fail)
    writer, _reader = Writer(ib), Reader(ib)
    trade = writer.place(*prepared(1))
    ib.client.decoder.interpret(opened(1, trade.order.orderId))
    ib.wrapper.orderStatus(trade.order.orderId, "Filled", 3.0, 0.0, 2.25, 4_001, 0, 2.25, 7, "")
    assert trade.isDone()
