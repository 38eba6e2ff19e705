"""Requests: fields by place, and a named refusal for what is missing or of the wrong kind."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ib_async import Client, Contract, LimitOrder, MarketOrder, Order, TagValue

from simvenues.ibkr import requests
from simvenues.ibkr.requests import BadRequestError, Fields


def wire(order: Order, contract: Contract) -> list[str]:
    """The fields that the real client sends for an order at server version 176."""
    make: Any = Client
    client = make(object())
    client.connState = Client.CONNECTED
    client._serverVersion = 176
    sent: list[str] = []
    client.sendMsg = sent.append
    client.placeOrder(7, contract, order)
    return sent[0].split("\0")[:-1]


SPY = Contract(conId=1001, symbol="SPY", secType="STK", exchange="SMART", currency="USD")


def test_a_client_s_order_is_read_whole() -> None:
    """Every field that matters comes out of the real client's own encoding."""
    order = LimitOrder("BUY", 3, 1.25, orderRef="my-ref", account="DU1", tif="GTC", ocaGroup="group")
    found = requests.place_order(Fields(wire(order, SPY)))
    assert (found.order_id, found.contract.con_id, found.side) == (7, 1001, "BUY")
    assert (found.quantity, found.kind, found.limit_price) == (Decimal(3), "LMT", Decimal("1.25"))
    assert (found.tif, found.oca_group, found.account, found.order_ref) == ("GTC", "group", "DU1", "my-ref")
    assert not found.what_if


@pytest.mark.parametrize(
    "extra",
    [
        {},
        {"deltaNeutralOrderType": "MKT"},
        {"scalePriceIncrement": 0.5},
        {"hedgeType": "D", "hedgeParam": "1"},
        {"algoStrategy": "Adaptive", "algoParams": [TagValue("adaptivePriority", "Normal")]},
    ],
)
def test_a_what_if_question_is_never_taken_for_an_order(extra: dict[str, object]) -> None:
    """The what-if flag is found behind every optional part of an order."""
    asked = requests.place_order(Fields(wire(MarketOrder("SELL", 1, whatIf=True, **extra), SPY)))
    placed = requests.place_order(Fields(wire(MarketOrder("SELL", 1, **extra), SPY)))
    assert (asked.what_if, placed.what_if) == (True, False)


def test_a_short_order_names_its_id() -> None:
    """An order that ends early is refused with its own id, so that the client can end it."""
    with pytest.raises(BadRequestError) as refused:
        requests.place_order(Fields(wire(MarketOrder("BUY", 1), SPY)[:30]))
    assert refused.value.request_id == 7


@pytest.mark.parametrize("text", ["x", "1e400", "inf", "nan", "9" * 5_000])
def test_what_is_no_number_is_refused(text: str) -> None:
    """Words, infinities and endless digits are neither integers nor numbers."""
    for read in (Fields.integer, Fields.number, Fields.decimal):
        with pytest.raises(BadRequestError):
            read(Fields(["code", text]))


@settings(deadline=None)
@given(fields=st.lists(st.sampled_from(["", "0", "1", "-5", "x", "1e9", "1e999999", "SPY", "OPT"]), max_size=110))
def test_any_fields_are_read_or_refused(fields: list[str]) -> None:
    """No sequence of fields gets another exception out of a parser than its own refusal."""
    for parse in (requests.place_order, requests.market_data, requests.execution_filter, requests.contract_query):
        try:
            parse(Fields(["3", *fields]))
        except BadRequestError as error:
            assert str(error)  # noqa: PT017  # refusing is as good as reading; only a third outcome fails
