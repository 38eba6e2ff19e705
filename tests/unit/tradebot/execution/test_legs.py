"""The one path by which an order reaches a venue."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import msgspec
import pytest

from support.execution_rig import Rig
from support.facts import NOON, fill, intent, update
from tradebot.domain.errors import StoreError
from tradebot.domain.instruments import Stock
from tradebot.domain.market import Quote
from tradebot.domain.orders import OrderIntent, OrderState, Side
from tradebot.execution.legs import marketable_limit
from tradebot.kernel.virtual import run_virtual

NEVER = "it never reached the venue"


def condor() -> list[OrderIntent]:
    return [intent(f"w.{leg}", leg=leg) for leg in range(4)]


def state(rig: Rig, client_id: str = "w.0") -> tuple[OrderState, int, str]:
    order = rig.tracker.get(client_id)
    assert order is not None
    return order.state, order.filled, order.reason


def test_every_intent_is_durable_before_any_is_sent_and_buys_go_before_sells() -> None:
    """Journal first, buys at its head, so that what survives a crash never lacks its protection; then the wire."""

    async def main() -> None:
        rig = Rig()
        await rig.legs.commit(condor())
        assert rig.happened == [("durable", name) for name in ("w.0", "w.3", "w.1", "w.2")]
        assert await rig.legs.run(condor())
        assert rig.sent() == ["w.0", "w.3", "w.1", "w.2"]
        assert rig.legs.placed == 4
        assert [leg for leg, _ in rig.legs.fills(condor())] == [0, 1, 2, 3]

    run_virtual(main())


def test_a_journal_that_fails_lets_nothing_out() -> None:
    """An intent that may not be durable is neither tracked nor sent."""

    async def main() -> None:
        rig = Rig()
        rig.journal.failing = True
        with pytest.raises(StoreError):
            await rig.legs.commit(condor())
        assert rig.tracker.all() == ()
        with pytest.raises(KeyError, match=r"w\.0 was never committed"):
            await rig.legs.run(condor())
        assert rig.sent() == []

    run_virtual(main())


def test_sells_are_held_back_until_every_buy_has_filled() -> None:
    """Without protection no risk is sold, and what was held back is no order in flight any more."""

    async def main() -> None:
        rig = Rig()
        rig.venue.stories["w.3"] = [update(OrderState.REJECTED, client_id="w.3", reason="no")]
        await rig.legs.commit(condor())
        assert not await rig.legs.run(condor())
        assert rig.sent() == ["w.0", "w.3"]
        assert state(rig, "w.1") == state(rig, "w.2") == (OrderState.CANCELLED, 0, NEVER)
        assert rig.tracker.open_orders() == ()

    run_virtual(main())


def test_running_again_sends_only_what_no_venue_has_heard_of() -> None:
    """A working order and a filled one are waited for, not sent again."""

    async def main() -> None:
        rig = Rig()
        await rig.legs.commit(condor())
        rig.inbox.on_order(update(OrderState.WORKING, client_id="w.0"))
        rig.inbox.on_order(update(OrderState.FILLED, 1, client_id="w.3"))
        rig.inbox.on_fill(fill("e3", client_id="w.3", leg=3))
        asyncio.get_running_loop().call_later(1.0, rig.inbox.on_fill, fill("e0"))
        asyncio.get_running_loop().call_later(1.0, rig.inbox.on_order, update(OrderState.FILLED, 1))
        assert await rig.legs.run(condor())
        assert rig.sent() == ["w.1", "w.2"]

    run_virtual(main())


def test_a_leg_that_rests_too_long_is_cancelled_and_its_part_counted() -> None:
    """After the time-out a cancel goes out, and the venue's word on it ends the leg."""

    async def main() -> None:
        rig = Rig(fill_timeout_s=10.0, cancel_timeout_s=3.0)
        one = intent(quantity=3)
        rig.venue.stories["w.0"] = [update(OrderState.WORKING), fill("e1")]
        rig.venue.cancelled["w.0"] = [update(OrderState.CANCELLED, 1)]
        await rig.legs.commit([one])
        assert not await rig.legs.run([one])
        assert asyncio.get_running_loop().time() == pytest.approx(10.0)
        assert state(rig) == (OrderState.CANCELLED, 1, "")
        assert rig.venue.asked_since == []

    run_virtual(main())


def test_an_order_nobody_speaks_of_is_asked_for_and_its_fills_are_found() -> None:
    """A cancel without an answer is followed by the question what the venue remembers, with room for its clock."""

    async def main() -> None:
        rig = Rig(fill_timeout_s=10.0, cancel_timeout_s=3.0)
        one = intent()
        rig.venue.stories["w.0"] = []
        rig.venue.remembered = [update(OrderState.FILLED, 1)]
        rig.venue.executed = [msgspec.structs.replace(fill(), at=NOON - timedelta(seconds=2))]
        await rig.legs.commit([one])
        assert await rig.legs.run([one])
        assert asyncio.get_running_loop().time() == pytest.approx(13.0)
        assert state(rig) == (OrderState.FILLED, 1, "")

    run_virtual(main())


def test_an_order_the_venue_never_heard_of_ends_as_cancelled() -> None:
    """place() failed before the wire: the venue knows nothing of it, so nothing of it will come."""

    async def main() -> None:
        rig = Rig()
        rig.venue.place_fails = frozenset({"w.0"})
        rig.venue.stories["w.0"] = []
        await rig.legs.commit([intent()])
        assert not await rig.legs.run([intent()])
        assert state(rig) == (OrderState.CANCELLED, 0, NEVER)
        assert rig.legs.placed == 0

    run_virtual(main())


def test_place_that_fails_after_it_was_sent_is_believed_by_the_venues_word() -> None:
    """The error says nothing: the fill that arrives counts, and nothing is sent again."""

    async def main() -> None:
        rig = Rig()
        rig.venue.place_fails = frozenset({"w.0"})
        await rig.legs.commit([intent()])
        assert await rig.legs.run([intent()])
        assert rig.sent() == ["w.0"]
        assert state(rig) == (OrderState.FILLED, 1, "")

    run_virtual(main())


def test_while_the_venue_cannot_be_asked_nothing_is_concluded() -> None:
    """An order of unknown fate is asked for again and again, and its fill found once the venue is back."""

    async def main() -> None:
        rig = Rig(fill_timeout_s=10.0, cancel_timeout_s=3.0)
        rig.venue.stories["w.0"] = [update(OrderState.WORKING)]
        rig.venue.unreachable = True
        await rig.legs.commit([intent()])
        running = asyncio.create_task(rig.legs.run([intent()]))
        await asyncio.sleep(100.0)
        assert not running.done()
        rig.venue.unreachable = False
        rig.venue.remembered = [update(OrderState.FILLED, 1)]
        rig.venue.executed = [fill()]
        assert await running
        assert rig.happened.count(("cancel", "w.0")) > 20

    run_virtual(main())


@pytest.mark.parametrize(
    ("side", "bid", "ask", "limit"),
    [
        (Side.BUY, 1.00, 1.01, "1.07"),
        (Side.SELL, 1.00, 1.01, "0.95"),
        (Side.BUY, 1.98, 2.00, "2.10"),
        (Side.SELL, 0.01, 0.02, "0.01"),
        (Side.SELL, 0.0, 0.02, "0.01"),
        (Side.BUY, 0.0, 0.01, "0.02"),
    ],
)
def test_a_marketable_limit_is_a_tick_that_fills_at_the_touch(side: Side, bid: float, ask: float, limit: str) -> None:
    """Slippage is added against us, rounded away from us to a whole tick, and no sale is for nothing."""
    quote = Quote(instrument=Stock(symbol="SPY"), at=NOON, bid=bid, ask=ask)
    assert str(marketable_limit(quote, side, slippage=0.05)) == limit
