"""What a venue tells us, and what becomes of it."""

from __future__ import annotations

import math
from typing import Any

import pytest

from support.execution_rig import Rig
from support.facts import NOON, contract, fill, intent, update
from tradebot.domain.errors import QueueFull, StoreError
from tradebot.domain.events import ConnectionChanged, Filled, OrderChanged, QuoteChanged
from tradebot.domain.instruments import Stock
from tradebot.domain.market import Quote
from tradebot.domain.orders import OrderState
from tradebot.kernel.virtual import run_virtual
from tradebot.store.records import FillRecorded, OrderChangedRecord


def test_a_fill_reaches_position_journal_and_bus_exactly_once() -> None:
    """However often it is told; and so does a change of an order's state."""

    async def main() -> None:
        rig = Rig()
        rig.tracker.register(intent())
        for _ in range(2):
            rig.inbox.on_order(update(OrderState.WORKING))
            rig.inbox.on_fill(fill())
        assert rig.inbox.positions.of(contract()).quantity == 1
        assert rig.journal.records == [OrderChangedRecord(update(OrderState.WORKING)), FillRecorded(fill(), "s-w")]
        assert [type(each) for each in rig.heard.drain()] == [OrderChanged, Filled]
        assert rig.raised == []

    run_virtual(main())


@pytest.mark.parametrize(("client_id", "name"), [("", "no reference"), ("other", "other")])
def test_a_strangers_fill_is_a_persons_business(client_id: str, name: str) -> None:
    """An execution that belongs to no order of ours changes nothing and raises one alert that names it."""

    async def main() -> None:
        rig = Rig()
        for _ in range(2):
            rig.inbox.on_fill(fill(client_id=client_id))
        assert rig.alerts_raised() == [("warning", "external_fill")]
        assert name in rig.raised[0].message
        assert rig.inbox.positions.all() == ()
        assert rig.journal.records == []

    run_virtual(main())


def test_a_fill_of_an_order_that_was_given_up_is_critical() -> None:
    """The position counts it, and a person is told which contract to close."""

    async def main() -> None:
        rig = Rig()
        rig.tracker.register(intent())
        rig.inbox.on_order(update(OrderState.CANCELLED))
        rig.inbox.on_fill(fill())
        rig.inbox.on_fill(fill())
        assert rig.alerts_raised() == [("critical", "late_fill")]
        assert contract().key in rig.raised[0].message
        assert rig.inbox.positions.of(contract()).quantity == 1

    run_virtual(main())


def test_a_rejection_is_an_alert_with_the_venues_reason() -> None:
    """Once, however often the venue repeats it."""

    async def main() -> None:
        rig = Rig()
        rig.tracker.register(intent())
        for _ in range(2):
            rig.inbox.on_order(update(OrderState.REJECTED, reason="no margin"))
        assert rig.alerts_raised() == [("warning", "order_rejected")]
        assert rig.raised[0].message == "no margin"

    run_virtual(main())


def test_bad_messages_are_counted_by_their_reason_and_bad_quotes_go_no_further() -> None:
    """Nothing is raised for what the wire brings; only a believed quote is published."""

    async def main() -> None:
        rig = Rig()
        for reason in ("price", "price", "date"):
            rig.inbox.on_bad_message(reason)
        assert rig.inbox.bad_messages == {"price": 2, "date": 1}
        rig.inbox.on_quote(Quote(instrument=Stock(symbol="SPY"), at=NOON, bid=math.nan, ask=1.0))
        assert rig.heard.drain() == []
        rig.inbox.on_quote(Quote(instrument=Stock(symbol="SPY"), at=NOON, bid=0.9, ask=1.0))
        assert [type(each) for each in rig.heard.drain()] == [QuoteChanged]

    run_virtual(main())


def test_a_loss_of_the_venue_is_an_alert_and_its_return_a_request_to_reconcile() -> None:
    """Both are published."""

    async def main() -> None:
        rig = Rig()
        rig.inbox.on_quote(Quote(instrument=Stock(symbol="SPY"), at=NOON, bid=0.9, ask=1.0))
        rig.heard.drain()
        rig.inbox.on_connection(False, "reset")
        assert rig.board.latest(Stock(symbol="SPY")) is None  # a price from before the loss is none
        assert rig.alerts_raised() == [("warning", "venue_disconnected")]
        rig.inbox.on_connection(True, "")
        assert (rig.inbox.reconnects, rig.reconnects_seen) == (1, 1)
        events: Any = rig.heard.drain()
        assert [(type(each), each.connected) for each in events] == [
            (ConnectionChanged, False),
            (ConnectionChanged, True),
        ]

    run_virtual(main())


@pytest.mark.parametrize("error", [QueueFull("full"), StoreError("not running")])
def test_a_journal_that_refuses_a_note_does_not_stop_the_inbox(error: Exception) -> None:
    """The fill still counts and is published: the venue remembers what the journal could not."""

    async def main() -> None:
        rig = Rig()

        def refuse(_record: object) -> None:
            raise error

        rig.journal.note = refuse
        rig.tracker.register(intent())
        rig.inbox.on_fill(fill())
        assert rig.inbox.positions.of(contract()).quantity == 1
        assert [type(each) for each in rig.heard.drain()] == [Filled]

    run_virtual(main())
