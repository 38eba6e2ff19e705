"""The paper venue: fills, cancels, refusals and quotes, equal for equal seeds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from tradebot.domain.errors import OrderRejected, VenueDisconnected, VenueError
from tradebot.domain.instruments import OptionChain, OptionContract, Right, Stock
from tradebot.domain.market import Quote
from tradebot.domain.orders import Fill, OrderIntent, OrderState, OrderType, OrderUpdate, Position, Side, TimeInForce
from tradebot.kernel.bounds import Bounds
from tradebot.kernel.clock import Clock
from tradebot.kernel.virtual import run_virtual
from tradebot.venues.paper.exchange import PaperSettings
from tradebot.venues.paper.feed import OptionPrice, RandomWalkFeed
from tradebot.venues.paper.venue import PaperVenue

START = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
EXPIRY = date(2026, 4, 17)
PUT = OptionContract("SPY", EXPIRY, Decimal(550), Right.PUT)


class FlatFeed:
    """A market that stands still until a test moves it."""

    def __init__(self) -> None:
        self.bid, self.ask = 2.0, 2.1

    def spot(self, symbol: str, at: datetime) -> float:
        del symbol, at
        return 580.0

    def option(self, contract: OptionContract, at: datetime) -> OptionPrice:
        del contract, at
        return OptionPrice(bid=self.bid, ask=self.ask, iv=0.2)

    def chain(self, symbol: str, at: datetime) -> OptionChain:
        del at
        return OptionChain(symbol=symbol, multiplier=100, expiries=(EXPIRY,), strikes=(Decimal(540), Decimal(550)))


class Heard:
    """Remembers everything, in order."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def on_quote(self, quote: Quote) -> None:
        self.events.append(quote)

    def on_bad_message(self, reason: str) -> None:
        self.events.append(reason)

    def on_order(self, update: OrderUpdate) -> None:
        self.events.append(update)

    def on_fill(self, fill: Fill) -> None:
        self.events.append(fill)

    def on_connection(self, connected: bool, reason: str) -> None:
        self.events.append((connected, reason))

    def states(self) -> list[tuple[OrderState, int]]:
        return [(each.state, each.filled) for each in self.events if isinstance(each, OrderUpdate)]

    def fills(self) -> list[Fill]:
        return [each for each in self.events if isinstance(each, Fill)]


class Rig:
    def __init__(self, **settings: Any) -> None:
        self.clock = Clock(asyncio.get_running_loop(), START)
        self.bounds = Bounds()
        self.feed = FlatFeed()
        self.heard = Heard()
        self.venue = PaperVenue(PaperSettings(**settings), self.feed, self.clock, self.bounds, seed=1)

    def intent(self, client_id: str = "w1", **changes: Any) -> OrderIntent:
        fields: dict[str, Any] = {
            "client_id": client_id,
            "workflow_id": "w",
            "strategy_id": "s",
            "leg": 0,
            "contract": PUT,
            "side": Side.BUY,
            "quantity": 1,
            "order_type": OrderType.MARKET,
            "limit": None,
            "tif": TimeInForce.DAY,
            "at": self.clock.now(),
        }
        return OrderIntent(**(fields | changes))


def on_paper(test: Callable[[Rig], Awaitable[None]], **settings: Any) -> None:
    async def main() -> None:
        rig = Rig(**settings)
        await rig.venue.connect(rig.heard)
        await test(rig)
        await rig.venue.close()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert rig.bounds.snapshot() == ()

    run_virtual(main())


def test_market_orders_fill_at_the_other_side() -> None:
    """A buy pays the ask, a sell gets the bid, each with a commission, and cash follows."""

    async def test(rig: Rig) -> None:
        await rig.venue.place(rig.intent("buy", quantity=2))
        await rig.venue.place(rig.intent("sell", side=Side.SELL))
        await asyncio.sleep(0.1)
        assert [(fill.client_id, fill.price, fill.commission) for fill in rig.heard.fills()] == [
            ("buy", Decimal("2.10"), Decimal("1.30")),
            ("sell", Decimal("2.00"), Decimal("0.65")),
        ]
        assert rig.heard.states() == [
            (OrderState.WORKING, 0),
            (OrderState.FILLED, 2),
            (OrderState.WORKING, 0),
            (OrderState.FILLED, 1),
        ]
        account = await rig.venue.account()
        assert account.cash == Decimal(1_000_000) - 420 + 200 - Decimal("1.95")
        assert account.equity == account.cash + 205
        assert await rig.venue.positions() == (Position(PUT, 1, Decimal("2.10")),)

    on_paper(test)


def test_a_limit_order_rests_until_the_market_comes_to_it() -> None:
    """Not marketable it works; when the ask falls to the limit it fills at the better price."""

    async def test(rig: Rig) -> None:
        await rig.venue.place(rig.intent(order_type=OrderType.LIMIT, limit=Decimal("1.90")))
        await asyncio.sleep(5)
        assert rig.heard.states() == [(OrderState.WORKING, 0)]
        rig.feed.bid, rig.feed.ask = 1.7, 1.8
        await asyncio.sleep(1)
        assert rig.heard.states()[1:] == [(OrderState.FILLED, 1)]
        assert rig.heard.fills()[0].price == Decimal("1.80")

    on_paper(test)


def test_a_cancel_ends_a_resting_order_and_nothing_else() -> None:
    """A working order is cancelled; a cancel that arrives after the fill changes nothing; a stranger is an error."""

    async def test(rig: Rig) -> None:
        await rig.venue.place(rig.intent("rest", order_type=OrderType.LIMIT, limit=Decimal("1.00")))
        await rig.venue.cancel("rest")
        await rig.venue.place(rig.intent("fill"))
        await rig.venue.cancel("fill")
        await asyncio.sleep(0.1)
        assert [(u.client_id, u.state) for u in await rig.venue.orders()] == [
            ("rest", OrderState.CANCELLED),
            ("fill", OrderState.FILLED),
        ]
        with pytest.raises(VenueError):
            await rig.venue.cancel("nobody")

    on_paper(test)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"quantity": 0}, "quantity of 0"),
        ({"order_type": OrderType.LIMIT}, "needs a limit price"),
        ({"contract": OptionContract("SPY", date(2026, 2, 20), Decimal(550), Right.PUT)}, "not listed"),
        ({"contract": OptionContract("SPY", EXPIRY, Decimal(551), Right.PUT)}, "not listed"),
        ({"quantity": 10_000}, "insufficient funds"),
    ],
)
def test_refuses_with_a_reason(changes: dict[str, Any], reason: str) -> None:
    """What cannot be traded is rejected by an update that says why, and nothing fills."""

    async def test(rig: Rig) -> None:
        await rig.venue.place(rig.intent(**changes))
        await asyncio.sleep(0.1)
        (update,) = rig.heard.events
        assert update.state is OrderState.REJECTED
        assert reason in update.reason

    on_paper(test)


def test_an_order_sent_twice_is_one_order() -> None:
    """The client id makes sending again harmless, before and after the fill."""

    async def test(rig: Rig) -> None:
        for _ in range(2):
            await rig.venue.place(rig.intent())
            await rig.venue.place(rig.intent())
            await asyncio.sleep(0.1)
        assert len(rig.heard.fills()) == 1

    on_paper(test)


def test_partial_fills_add_up() -> None:
    """With partial fills an order passes through PARTIAL and ends with exactly its quantity."""

    async def test(rig: Rig) -> None:
        await rig.venue.place(rig.intent(quantity=50))
        await asyncio.sleep(60)
        states = rig.heard.states()
        assert states[1][0] is OrderState.PARTIAL
        assert states[-1] == (OrderState.FILLED, 50)
        assert sum(fill.quantity for fill in rig.heard.fills()) == 50

    on_paper(test, partial_fills=True)


def test_streams_what_is_subscribed_at_its_interval() -> None:
    """A line is quoted at once and then each second, until it ends; an unknown symbol is counted and dropped."""

    async def main() -> None:
        rig = Rig()
        feed = RandomWalkFeed(seed=1, start=START)
        venue = PaperVenue(PaperSettings(), feed, rig.clock, rig.bounds, seed=1)
        await venue.connect(rig.heard)
        await venue.subscribe([Stock("SPY"), Stock("NOPE"), PUT])
        await asyncio.sleep(3.5)
        keys = [event if isinstance(event, str) else event.instrument.key for event in rig.heard.events]
        assert keys == ["SPY", "line_unknown_contract", PUT.key] + ["SPY", PUT.key] * 3
        await venue.unsubscribe([Stock("SPY"), PUT])
        await asyncio.sleep(2)
        assert len(rig.heard.events) == len(keys)
        await venue.close()

    run_virtual(main())


def test_bounds_its_memory_and_its_load() -> None:
    """Finished orders and executions are forgotten at their capacity; too many working orders are refused."""

    async def test(rig: Rig) -> None:
        for number in range(10):
            await rig.venue.place(rig.intent(f"w{number}"))
            await asyncio.sleep(0.1)
        assert [each.client_id for each in await rig.venue.orders()] == ["w7", "w8", "w9"]
        assert [each.client_id for each in await rig.venue.executions_since(START)] == ["w8", "w9"]
        for number in range(4):
            await rig.venue.place(rig.intent(f"x{number}"))
        with pytest.raises(OrderRejected):
            await rig.venue.place(rig.intent("x4"))

    on_paper(test, orders_finished_max=3, executions_max=2, orders_working_max=4)


def test_closed_it_refuses_and_forgets_what_was_on_its_way() -> None:
    """Without a connection every request fails at once; positions are there again after the next one."""

    async def test(rig: Rig) -> None:
        await rig.venue.place(rig.intent("done"))
        await asyncio.sleep(0.1)
        await rig.venue.place(rig.intent("lost"))
        await rig.venue.close()
        await rig.venue.close()
        assert not rig.venue.connected
        with pytest.raises(VenueDisconnected):
            await rig.venue.place(rig.intent("late"))
        await rig.venue.connect(rig.heard)
        await asyncio.sleep(5)
        assert [each.client_id for each in await rig.venue.orders()] == ["done"]
        assert len(await rig.venue.positions()) == 1

    on_paper(test)


def _a_busy_time(seed: int) -> bytes:
    """Everything the listener of twenty minutes hears, as JSON."""
    heard = Heard()

    async def main() -> None:
        rig = Rig()
        feed = RandomWalkFeed(seed=seed, start=START)
        venue = PaperVenue(PaperSettings(partial_fills=True), feed, rig.clock, rig.bounds, seed=seed)
        await venue.connect(heard)
        await venue.subscribe([Stock("SPY"), PUT])
        for number in range(60):
            side = Side.BUY if number % 2 else Side.SELL
            limit = {"order_type": OrderType.LIMIT, "limit": Decimal("6.00")} if number % 3 else {}
            await venue.place(rig.intent(f"w{number}", side=side, quantity=5, **limit))
            await asyncio.sleep(20)
        await venue.close()

    run_virtual(main())
    return msgspec.json.encode(heard.events)


def test_equal_seeds_give_equal_times() -> None:
    """Two runs with one seed hear the same bytes in the same order, and another seed hears others."""
    assert _a_busy_time(1) == _a_busy_time(1)
    assert _a_busy_time(1) != _a_busy_time(2)
