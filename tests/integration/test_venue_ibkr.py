"""The Interactive Brokers adapter: the real client, a real socket, a simulated gateway that can be made to fail."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import ib_async
import msgspec
import pytest
import uvloop

from simvenues.exchange import Exchange
from simvenues.faults import Batch
from simvenues.ibkr import IbkrGateway, messages
from simvenues.market import Market
from tradebot.domain.errors import OrderRejected, UnknownContract, VenueDisconnected, VenueError, VenueTimeout
from tradebot.domain.instruments import Instrument, OptionContract, Right, Stock
from tradebot.domain.market import Quote
from tradebot.domain.orders import (
    AccountSummary,
    Fill,
    OrderIntent,
    OrderState,
    OrderType,
    OrderUpdate,
    Side,
    TimeInForce,
)
from tradebot.kernel.bounds import Bounds
from tradebot.kernel.clock import Clock
from tradebot.kernel.retry import Backoff
from tradebot.market.board import QuoteBoard
from tradebot.market.lines import MarketLines
from tradebot.venues.ibkr.adapter import IbkrVenue
from tradebot.venues.ibkr.settings import IbkrSettings

START = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
EXPIRY = date(2026, 4, 17)
SPY = Stock("SPY")
CONDOR = tuple(
    (OptionContract("SPY", EXPIRY, Decimal(strike), right), side)
    for strike, right, side in (
        (550, Right.PUT, Side.BUY),
        (560, Right.PUT, Side.SELL),
        (600, Right.CALL, Side.SELL),
        (610, Right.CALL, Side.BUY),
    )
)
PUT = CONDOR[0][0]
CENTS = Decimal("0.05")  # a limit that no put above reaches while the market is calm


class Heard:
    def __init__(self) -> None:
        self.quotes: list[Quote] = []
        self.orders: list[OrderUpdate] = []
        self.fills: list[Fill] = []
        self.bad: Counter[str] = Counter()
        self.connections: list[bool] = []

    def on_quote(self, quote: Quote) -> None:
        self.quotes.append(quote)

    def on_bad_message(self, reason: str) -> None:
        self.bad[reason] += 1

    def on_order(self, update: OrderUpdate) -> None:
        self.orders.append(update)

    def on_fill(self, fill: Fill) -> None:
        self.fills.append(fill)

    def on_connection(self, connected: bool, reason: str) -> None:
        assert reason
        self.connections.append(connected)

    def state(self, client_id: str) -> OrderState | None:
        return next((each.state for each in reversed(self.orders) if each.client_id == client_id), None)


class DropKind:
    """The gateway loses every outgoing message of one kind."""

    def __init__(self, kind: int) -> None:
        self._head = f"{kind}\0".encode()

    def apply(self, batch: Batch, now_s: float) -> Batch:
        del now_s
        kept = tuple(each for each in batch.messages if not each.startswith(self._head))
        return msgspec.structs.replace(batch, messages=kept) if batch.outgoing else batch


class Rig:
    def __init__(self, gateway: IbkrGateway) -> None:
        self.gateway = gateway
        self.faults = gateway.faults
        self.bounds = Bounds()
        self.clock = Clock(asyncio.get_running_loop(), START)
        self.venues: list[IbkrVenue] = []

    async def connect(self, **changes: Any) -> tuple[IbkrVenue, Heard]:
        venue, heard = self.venue(**changes), Heard()
        await venue.connect(heard)
        return venue, heard

    def venue(self, **changes: Any) -> IbkrVenue:
        settings: dict[str, Any] = {
            "port": self.gateway.port,
            "requests_per_s_max": 0,
            "request_timeout_s": 5.0,
            "reconnect": Backoff(initial_s=0.02, max_s=0.1),
        }
        bounds = self.bounds if not self.venues else Bounds()
        venue = IbkrVenue(IbkrSettings(**(settings | changes)), self.clock, bounds, seed=1)
        self.venues.append(venue)
        return venue

    def lose(self, kind: int) -> None:
        self.faults._on["kind"] = DropKind(kind)


@asynccontextmanager
async def simulated_gateway(step_s: float) -> AsyncIterator[Rig]:
    market = Market(1, START, step_s=step_s)
    async with IbkrGateway(market, Exchange(market, {"DU1": Decimal(10_000_000)})) as gateway:
        rig = Rig(gateway)
        try:
            yield rig
        finally:
            for venue in rig.venues:
                await venue.close()


def on_gateway(test: Callable[[Rig], Coroutine[Any, Any, None]], *, step_s: float = 0.05) -> None:
    async def main() -> None:
        async with simulated_gateway(step_s) as rig:
            await test(rig)

    asyncio.run(main())


async def until(condition: Callable[[], object], what: str) -> None:
    try:
        async with asyncio.timeout(15):
            while not condition():  # noqa: ASYNC110 - what is waited for has no event to tell it
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"never happened: {what}") from None


def intent(client_id: str, **changes: Any) -> OrderIntent:
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
        "at": START,
    }
    return OrderIntent(**(fields | changes))


def resting(client_id: str) -> OrderIntent:
    return intent(client_id, order_type=OrderType.LIMIT, limit=CENTS)


def kept_by_client(venue: IbkrVenue) -> dict[str, int]:
    assert venue._live is not None
    wrapper = venue._live.session.wrapper
    names = ("trades", "permId2Trade", "fills", "tickers", "_results", "_futures", "_reqId2Contract")
    return {name: len(getattr(wrapper, name)) for name in names}


def test_connects_and_knows_its_account_and_its_chain() -> None:
    """The account's money, the positions and the option chain come from the gateway; the chain only once a day."""

    async def test(rig: Rig) -> None:
        venue, heard = await rig.connect()
        account = await venue.account()
        assert (account.account, account.equity, account.cash) == ("DU1", Decimal(10_000_000), Decimal(10_000_000))
        assert await venue.positions() == ()
        chain = await venue.chain("SPY")
        assert EXPIRY in chain.expiries
        assert {leg.strike for leg, _ in CONDOR} <= set(chain.strikes)
        rig.faults.on("drop", share=1.0)
        assert await venue.chain("SPY") is chain
        assert not heard.bad

    on_gateway(test)


def test_an_unknown_symbol_has_no_chain() -> None:
    """The venue's error 200 becomes UnknownContract."""

    async def test(rig: Rig) -> None:
        venue, _ = await rig.connect()
        with pytest.raises(UnknownContract):
            await venue.chain("NOPE")
        assert kept_by_client(venue)["_results"] == 0

    on_gateway(test)


def test_streams_quotes_that_changed() -> None:
    """Stocks, an index and options are quoted, options with a volatility, and no quote repeats the one before."""

    async def test(rig: Rig) -> None:
        venue, heard = await rig.connect()
        instruments: list[Instrument] = [SPY, Stock("VIX"), PUT]

        def quoted(each: Instrument) -> list[Quote]:
            return [quote for quote in heard.quotes if quote.instrument == each]

        await venue.subscribe(instruments)
        await venue.subscribe(instruments)
        await until(lambda: all(len(quoted(each)) >= 5 for each in instruments), "five quotes of each")
        for each in instruments:
            assert all(0 < quote.bid <= quote.ask for quote in quoted(each))
            prices = [(quote.bid, quote.ask, str(quote.last), str(quote.iv)) for quote in quoted(each)]
            assert all(one != other for one, other in pairwise(prices))
        assert 0.05 < quoted(PUT)[-1].iv < 1.0
        await venue.unsubscribe(instruments)
        await until(lambda: rig.gateway.lines_used() == 0, "the lines end")
        assert not heard.bad

    on_gateway(test)


def test_a_line_that_the_venue_refuses_is_counted() -> None:
    """A symbol that nobody knows and one without a data subscription are bad messages by name, not errors later."""

    async def test(rig: Rig) -> None:
        venue, heard = await rig.connect()
        await venue.subscribe([Stock("NOPE"), Stock("GLD")])
        await until(lambda: len(heard.bad) == 2, "both refused")
        assert heard.bad == {"line_unknown_contract": 1, "line_no_data": 1}

    on_gateway(test)


def test_four_legs_fill_with_their_commissions() -> None:
    """Each leg is acknowledged and filled once, with our id, and the fills are the venue's truth to the cent."""

    async def test(rig: Rig) -> None:
        venue, heard = await rig.connect()
        for leg, (contract, side) in enumerate(CONDOR):
            await venue.place(intent(f"w1-{leg}", contract=contract, side=side, quantity=2, leg=leg))
        await until(lambda: len(heard.fills) == 4, "four fills")
        states = [(each.client_id, each.state, each.filled) for each in heard.orders]
        for leg in range(4):
            assert (f"w1-{leg}", OrderState.WORKING, 0) in states
            assert (f"w1-{leg}", OrderState.FILLED, 2) in states
        assert all(fill.commission > 0 for fill in heard.fills)
        assert (await venue.account()).cash == 10_000_000 + sum(fill.cash for fill in heard.fills)
        held = {each.contract: each.quantity for each in await venue.positions()}
        assert held == {contract: 2 * side.sign for contract, side in CONDOR}
        assert sorted(await venue.executions_since(START - timedelta(1)), key=lambda fill: fill.client_id) == sorted(
            heard.fills, key=lambda fill: fill.client_id
        )
        assert await venue.executions_since(START + timedelta(1)) == ()
        assert not heard.bad

    on_gateway(test)


def test_partial_fills_add_up() -> None:
    """An order that fills in pieces passes through PARTIAL and its fills add up to its quantity, each reported once."""

    async def test(rig: Rig) -> None:
        rig.gateway.exchange.partial_fills = True
        venue, heard = await rig.connect()
        await venue.place(intent("w1", quantity=40))
        await until(lambda: sum(fill.quantity for fill in heard.fills) == 40, "all of it")
        await until(lambda: heard.state("w1") is OrderState.FILLED, "the last word")
        assert len(heard.fills) > 1
        assert len({fill.execution_id for fill in heard.fills}) == len(heard.fills)
        assert OrderState.PARTIAL in {each.state for each in heard.orders}

    on_gateway(test)


def test_the_gateways_own_connection_counts() -> None:
    """While the gateway has lost the venue nothing is asked; when it comes back without lines they can be renewed."""

    async def test(rig: Rig) -> None:
        venue, heard = await rig.connect()
        await venue.subscribe([SPY])
        assert venue._live is not None
        hear_error = venue._live.session.ib.errorEvent.emit
        hear_error(-1, 1100, "Connectivity has been lost", None)
        assert not venue.connected
        with pytest.raises(VenueDisconnected):
            await venue.place(resting("w1"))
        hear_error(-1, 1101, "Connectivity restored, data lost", None)
        assert (venue.connected, heard.connections) == (True, [False, True])
        await venue.subscribe([SPY])
        await until(lambda: rig.gateway.lines_used() == 2, "a second line, since the first was declared lost")

    on_gateway(test)


def test_a_venue_out_of_reach_is_as_good_as_none() -> None:
    """In an outage every request fails at once; what was on its way is refused, what rests lives, and all works after.

    The order and the cancel are sent in the moment between the outage and the word of it.
    """

    async def test(rig: Rig) -> None:
        venue, heard = await rig.connect()
        await venue.place(resting("rests"))
        await venue.place(resting("fills"))
        await until(lambda: heard.state("fills") is OrderState.WORKING, "both rest")
        rig.faults.on("outage")
        await venue.place(intent("late"))
        await venue.cancel("rests")
        await until(lambda: heard.state("late") is OrderState.REJECTED, "the refusal")
        assert "504" in heard.orders[-1].reason
        assert (heard.connections, venue.connected) == ([False], False)
        for request in (venue.orders(), venue.account(), venue.place(resting("gap")), venue.subscribe([SPY])):
            with pytest.raises(VenueDisconnected):
                await request
        order = next(each for each in rig.gateway.exchange.records.working() if each.request.order_ref == "fills")
        rig.gateway.exchange.modify(order.perm_id, quantity=Decimal(1), limit_price=Decimal(500))
        assert heard.fills == []
        rig.faults.off("outage")
        await until(lambda: heard.connections == [False, True] and heard.fills, "the way back")
        assert heard.state("rests") is OrderState.WORKING
        await venue.cancel("rests")
        await until(lambda: heard.state("rests") is OrderState.CANCELLED, "a cancel as ever")
        await venue.place(intent("after"))
        await until(lambda: heard.state("after") is OrderState.FILLED, "an order as ever")
        assert [fill.client_id for fill in heard.fills] == ["fills", "after"]
        told = {each.client_id: each.state for each in await venue.orders()}
        assert told == {"rests": OrderState.CANCELLED, "fills": OrderState.FILLED, "after": OrderState.FILLED}

    on_gateway(test)


def test_after_an_outage_prices_are_asked_anew() -> None:
    """The owner forgot every price with the venue; one that did not move meanwhile is told all the same, once."""

    async def test(rig: Rig) -> None:
        venue, heard = await rig.connect()
        lines = MarketLines(venue, QuoteBoard(rig.clock, rig.bounds), rig.bounds)
        await lines.ensure([PUT])
        await until(lambda: heard.quotes, "a quote")
        before = heard.quotes[-1]
        rig.faults.on("outage")
        await until(lambda: heard.connections == [False], "the loss")
        rig.faults.off("outage")
        await until(lambda: heard.connections == [False, True], "the way back")
        heard.quotes.clear()
        await lines.restore()
        await until(lambda: heard.quotes and heard.quotes[-1].iv == before.iv, "the same quote")
        assert (heard.quotes[-1].bid, heard.quotes[-1].ask) == (before.bid, before.ask)
        assert rig.gateway.lines_used() == 1

    on_gateway(test, step_s=3600.0)


class SaysLost:
    """The gateway's last word of its greeting is that it has lost the venue."""

    def apply(self, batch: Batch, now_s: float) -> Batch:
        del now_s
        if not any(each.startswith(b"53\0") for each in batch.messages):
            return batch
        return msgspec.structs.replace(batch, messages=(*batch.messages, messages.error(-1, 1100, "lost")))


def test_a_gateway_without_its_venue_is_recognised_as_it_greets() -> None:
    """1100 before the connection is ours to use counts: nothing is asked, nobody hears of a return before there is."""

    async def test(rig: Rig) -> None:
        rig.faults._on["lost"] = SaysLost()
        venue, heard = await rig.connect()
        assert not venue.connected
        with pytest.raises(VenueDisconnected):
            await venue.place(resting("w1"))
        rig.faults.on("outage")
        rig.faults.off("outage")
        await until(lambda: venue.connected, "the venue")
        assert heard.connections == [True]
        rig.faults.on("reset")
        rig.faults.off("reset")
        await until(lambda: heard.connections == [True, False], "the loss")
        await until(lambda: rig.gateway.clients and venue._live is not None, "a new session")
        assert not venue.connected
        assert heard.connections == [True, False]
        rig.faults.on("outage")
        rig.faults.off("outage")
        await until(lambda: venue.connected, "the venue")
        assert heard.connections == [True, False, True]

    on_gateway(test)


def test_reconnects_only_to_a_gateway_that_reaches_its_venue() -> None:
    """A connection lost in an outage is tried again until the venue is back; then everything is known."""

    async def test(rig: Rig) -> None:
        venue, heard = await rig.connect(connect_timeout_s=0.2)
        await venue.place(resting("before"))
        await until(lambda: heard.state("before") is OrderState.WORKING, "it rests")
        rig.faults.on("outage")
        rig.faults.on("reset")
        rig.faults.off("reset")
        await until(lambda: False in heard.connections, "the loss")
        await asyncio.sleep(0.6)
        assert not venue.connected
        assert True not in heard.connections
        rig.faults.off("outage")
        await until(lambda: venue.connected and heard.connections[-1], "the venue")
        assert [(each.client_id, each.state) for each in await venue.orders()] == [("before", OrderState.WORKING)]

    on_gateway(test)


def test_placing_waits_for_nobody() -> None:
    """Four orders are on the wire while the gateway has not answered one; the same id is sent only once."""

    async def test(rig: Rig) -> None:
        venue, heard = await rig.connect()
        rig.faults.on("stall", asyncio.get_running_loop().time(), stall_s=0.3)
        for leg in (0, 1, 2, 3, 0):
            await venue.place(intent(f"w1-{leg}"))
        assert heard.orders == []
        await until(lambda: len(heard.fills) == 4, "four fills")
        await venue.place(intent("w1-0"))
        orders = await venue.orders()
        assert sorted(each.client_id for each in orders) == ["w1-0", "w1-1", "w1-2", "w1-3"]

    on_gateway(test)


def test_cancels_and_refusals_are_told_apart() -> None:
    """A resting order is cancelled; one for an unknown contract is rejected with the venue's words."""

    async def test(rig: Rig) -> None:
        venue, heard = await rig.connect()
        await venue.place(resting("rest"))
        await until(lambda: heard.state("rest") is OrderState.WORKING, "it rests")
        await venue.cancel("rest")
        await until(lambda: heard.state("rest") is OrderState.CANCELLED, "it is cancelled")
        await venue.cancel("rest")
        stranger = OptionContract("SPY", EXPIRY, Decimal("551.5"), Right.PUT)
        await venue.place(intent("unknown", contract=stranger))
        await until(lambda: heard.state("unknown") is OrderState.REJECTED, "it is rejected")
        assert [each.state for each in heard.orders if each.client_id == "unknown"] == [OrderState.REJECTED]
        assert "200" in heard.orders[-1].reason
        with pytest.raises(VenueError, match="nobody"):
            await venue.cancel("nobody")
        with pytest.raises(OrderRejected):
            await venue.place(intent("none", quantity=0))
        assert heard.fills == []

    on_gateway(test)


def test_too_many_working_orders_are_refused() -> None:
    """At the bound of working orders the next one is refused before it is sent."""

    async def test(rig: Rig) -> None:
        venue, _ = await rig.connect(orders_working_max=2)
        for number in range(2):
            await venue.place(resting(f"w{number}"))
        with pytest.raises(OrderRejected, match="2 orders"):
            await venue.place(resting("w2"))

    on_gateway(test)


def test_reconnects_after_a_reset() -> None:
    """A loss fails what is under way and what comes meanwhile at once, is reported, and heals by itself."""

    async def test(rig: Rig) -> None:
        venue, heard = await rig.connect(reconnect=Backoff(initial_s=0.3))
        await venue.place(resting("before"))
        await until(lambda: heard.state("before") is OrderState.WORKING, "it rests")
        rig.lose(102)
        asking = asyncio.create_task(venue.orders())
        await asyncio.sleep(0.1)
        rig.faults.off("drop")
        del rig.faults._on["kind"]
        rig.faults.on("reset")
        rig.faults.off("reset")
        with pytest.raises(VenueDisconnected, match="completed orders"):
            await asking
        assert heard.connections == [False]
        for request in (venue.orders(), venue.account(), venue.place(resting("gap")), venue.subscribe([SPY])):
            with pytest.raises(VenueDisconnected):
                await request
        await until(lambda: heard.connections == [False, True], "the reconnect")
        assert venue.connected
        await venue.cancel("before")
        await until(lambda: heard.state("before") is OrderState.CANCELLED, "the old order is still ours to cancel")

    on_gateway(test)


def test_a_reconnect_serves_no_old_price() -> None:
    """After a reconnect a line is empty: while the gateway tells no price there is no quote, then the present one."""

    async def test(rig: Rig) -> None:
        venue, heard = await rig.connect()
        lines = MarketLines(venue, QuoteBoard(rig.clock, rig.bounds), rig.bounds)
        await lines.ensure([PUT])
        await until(lambda: heard.quotes, "a quote")
        calm = heard.quotes[0].ask
        rig.faults.on("reset")
        rig.faults.off("reset")
        await until(lambda: heard.connections == [False, True], "the reconnect")
        heard.quotes.clear()
        rig.lose(1)  # prices; sizes and the model's volatility still come
        await lines.restore()
        step = rig.gateway.market.step
        await until(lambda: rig.gateway.lines_used() == 1 and rig.gateway.market.step > step + 5, "some ticks")
        await venue.account()
        assert heard.quotes == []
        del rig.faults._on["kind"]
        rig.gateway.market.shock("SPY", price_factor=0.8)
        rig.gateway.refresh()
        await until(lambda: heard.quotes, "a quote")
        assert heard.quotes[0].bid > 10 * calm

    on_gateway(test)


@pytest.mark.parametrize(
    ("kind", "ask", "request_name"),
    [
        (53, lambda venue: venue.orders(), "open orders"),
        (102, lambda venue: venue.orders(), "completed orders"),
        (55, lambda venue: venue.executions_since(START), "executions"),
        (62, lambda venue: venue.positions(), "positions"),
        (64, lambda venue: venue.account(), "the account summary"),
        (52, lambda venue: venue.chain("SPY"), "contract details"),
        (76, lambda venue: venue.chain("SPY"), "the option chain"),
    ],
)
def test_no_request_hangs_on_a_lost_end(
    kind: int, ask: Callable[[IbkrVenue], Coroutine[Any, Any, object]], request_name: str
) -> None:
    """When the message that ends an answer is lost the request times out by name, and the next one works."""

    async def test(rig: Rig) -> None:
        venue, _ = await rig.connect(request_timeout_s=0.2)
        rig.lose(kind)
        with pytest.raises(VenueTimeout, match=request_name):
            await ask(venue)
        del rig.faults._on["kind"]
        await ask(venue)
        kept = kept_by_client(venue)
        assert (kept["_results"], kept["_futures"], kept["_reqId2Contract"]) == (0, 0, 0)

    on_gateway(test)


def test_a_silent_gateway_is_a_lost_one() -> None:
    """A gateway that stays connected and answers nothing fails the heartbeat, and is connected anew."""

    async def test(rig: Rig) -> None:
        venue, heard = await rig.connect(heartbeat_s=0.1, request_timeout_s=0.2)
        rig.lose(49)
        await until(lambda: False in heard.connections, "the loss")
        del rig.faults._on["kind"]
        await until(lambda: venue.connected and heard.connections[-1], "the reconnect")

    on_gateway(test)


def test_what_happened_while_nobody_listened_is_found() -> None:
    """A new client finds an order that filled in its absence with quantity and money, one that rests, one cancelled."""

    async def test(rig: Rig) -> None:
        first, heard = await rig.connect()
        put = OptionContract("SPY", EXPIRY, Decimal(500), Right.PUT)
        call = CONDOR[3][0]
        for name, contract, limit in (("fills", put, "0.20"), ("rests", call, "0.05"), ("ends", call, "0.05")):
            limited = {"order_type": OrderType.LIMIT, "limit": Decimal(limit)}
            await first.place(intent(name, contract=contract, quantity=3, **limited))
        await until(lambda: len({each.client_id for each in heard.orders}) == 3, "all work")
        await first.cancel("ends")
        await until(lambda: heard.state("ends") is OrderState.CANCELLED, "one is cancelled")
        assert heard.state("fills") is OrderState.WORKING
        await first.close()
        rig.gateway.market.shock("SPY", price_factor=1.15)
        rig.gateway.refresh()
        expected = {
            "fills": (OrderState.FILLED, 3, 0),
            "rests": (OrderState.WORKING, 0, 3),
            "ends": (OrderState.CANCELLED, 0, 3),
        }
        second, fresh = await rig.connect()
        stranger, _ = await rig.connect(client_id=7)
        for venue in (second, stranger):
            orders = await venue.orders()
            assert {each.client_id: (each.state, each.filled, each.remaining) for each in orders} == expected
        (fill,) = await second.executions_since(START - timedelta(1))
        assert (fill.client_id, fill.contract, fill.quantity) == ("fills", put, 3)
        assert fill.commission > 0
        assert (await second.account()).cash == 10_000_000 + fill.cash
        assert fresh.fills == []
        await second.cancel("rests")
        await until(lambda: fresh.state("rests") is OrderState.CANCELLED, "the resting one is ours to cancel")

    on_gateway(test, step_s=3600.0)


def test_the_client_forgets_what_is_over() -> None:
    """After 500 orders the client holds no more than the short memory of finished ones, also after asking for all."""

    async def test(rig: Rig) -> None:
        venue, heard = await rig.connect(orders_finished_max=16)
        for number in range(500):
            await venue.place(intent(f"w{number}", side=Side.BUY if number % 2 else Side.SELL))
            if number % 20 == 19:
                await until(lambda: len(heard.fills) == number + 1, "fills")  # noqa: B023 - awaited in the loop
        assert max(kept_by_client(venue).values()) <= 16
        assert len(await venue.orders()) == 500
        assert len(await venue.executions_since(START - timedelta(1))) == 500
        assert max(kept_by_client(venue).values()) <= 16
        await venue.place(intent("last"))
        await until(lambda: heard.fills[-1].client_id == "last", "one more fill")
        assert len(heard.fills) == 501
        sizes = {bound.name: (bound.length, bound.capacity) for bound in rig.bounds.snapshot()}
        assert sizes["ibkr.orders_finished"] == (16, 16)
        assert sizes["ibkr.fills_pending"] == (0, 1_000)
        assert not heard.bad

    on_gateway(test)


def test_many_who_ask_for_the_account_at_once_share_an_answer_that_is_not_older_than_their_question() -> None:
    """Ten who ask while a question is under way wait for one more, which begins after they asked."""

    async def test(rig: Rig) -> None:
        venue, heard = await rig.connect()
        assert venue._live is not None
        client = venue._live.session.client
        ask = client.reqAccountSummary
        asked: list[int] = []

        def count(req_id: int, *what: object) -> None:
            asked.append(req_id)
            ask(req_id, *what)
            if len(asked) == 1:  # while it is under way, however fast the answer comes
                placing.append(asyncio.create_task(venue.place(intent("w1"))))
                later.extend(asyncio.create_task(venue.account()) for _ in range(10))

        client.reqAccountSummary = count
        placing: list[asyncio.Task[None]] = []
        later: list[asyncio.Task[AccountSummary]] = []
        before = await venue.account()
        after = await asyncio.gather(*later)
        await asyncio.gather(*placing)
        assert len(asked) == 2
        await until(lambda: heard.fills, "the fill")
        # The gateway answers in order: the order lay before the second question and behind the first.
        assert {each.cash for each in after} == {before.cash + heard.fills[0].cash}
        assert (await venue.account()).cash == after[0].cash
        assert len(asked) == 3

    on_gateway(test)


def test_positions_are_told_when_asked_for_and_not_again() -> None:
    """A fill after the question is told as an execution alone: the subscription that answered has ended."""

    async def test(rig: Rig) -> None:
        venue, heard = await rig.connect()
        told: list[object] = []
        assert venue._live is not None
        venue._live.session.ib.positionEvent += told.append
        await venue.place(intent("w1"))
        await until(lambda: heard.fills, "the fill")
        assert len(await venue.positions()) == len(told) == 1
        await venue.place(intent("w2"))
        await until(lambda: len(heard.fills) == 2, "another fill")
        await venue.account()  # answered after whatever was sent before
        assert len(told) == 1

    on_gateway(test)


def test_a_fill_without_its_commission_is_reported_in_the_end() -> None:
    """When the commission never comes the fill is reported once, free of charge, and counted."""

    async def test(rig: Rig) -> None:
        venue, heard = await rig.connect(commission_wait_s=0.1)
        rig.lose(59)
        await venue.place(intent("w1"))
        await until(lambda: heard.fills, "the fill")
        assert heard.fills[0].commission == 0
        assert heard.bad == {"commission_missing": 1}

    on_gateway(test)


class CommissionsLast:
    """The gateway sends commissions after everything else, the end of an answer included, and a little late."""

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._send = send

    def apply(self, batch: Batch, now_s: float) -> Batch:
        del now_s
        is_last = [each.startswith(b"59\0") for each in batch.messages]
        if any(is_last) and not all(is_last):
            asyncio.get_running_loop().call_later(0.1, self.late, batch, is_last)
            kept = tuple(each for each, last in zip(batch.messages, is_last, strict=True) if not last)
            return msgspec.structs.replace(batch, messages=kept)
        return batch

    def late(self, batch: Batch, is_last: list[bool]) -> None:
        for each, last in zip(batch.messages, is_last, strict=True):
            if last:
                self._send(each)


def test_commissions_may_come_after_the_answer() -> None:
    """Executions asked for are complete although their commissions follow the end of the answer, live and recalled."""

    async def test(rig: Rig) -> None:
        def send(message: bytes) -> None:
            for connection in rig.gateway._sessions:
                connection.send(message)
                connection.flush()

        first, heard = await rig.connect()
        rig.faults._on["late"] = CommissionsLast(send)
        await first.place(intent("w1"))
        await until(lambda: heard.fills, "the fill")
        assert heard.fills[0].commission > 0
        await first.close()
        second, fresh = await rig.connect()
        orders, fills = await asyncio.gather(second.orders(), second.executions_since(START - timedelta(1)))
        assert fills == tuple(heard.fills)
        assert [each.client_id for each in orders] == ["w1"]
        again = await asyncio.gather(second.executions_since(START - timedelta(1)), second.orders())
        assert again[0] == fills
        assert not fresh.bad

    on_gateway(test)


class RenameSymbol:
    """The gateway says another symbol in its executions."""

    def apply(self, batch: Batch, now_s: float) -> Batch:
        del now_s
        lies = tuple(
            each.replace(b"\0SPY\0", b"\0QQQ\0", 1) if each.startswith(b"11\0-1\0") else each for each in batch.messages
        )
        return msgspec.structs.replace(batch, messages=lies)


def test_believes_no_execution_that_differs_from_its_order() -> None:
    """A damaged execution is counted, not booked on a contract nobody traded; asked again the venue tells the truth."""

    async def test(rig: Rig) -> None:
        venue, heard = await rig.connect()
        rig.faults._on["rename"] = RenameSymbol()
        await venue.place(intent("w1"))
        await until(lambda: heard.bad, "the bad message")
        assert heard.bad == {"execution_unlike_its_order": 1}
        assert heard.fills == []
        (fill,) = await venue.executions_since(START - timedelta(1))
        assert fill.contract == PUT

    on_gateway(test)


def test_survives_a_wire_that_lies() -> None:
    """Corrupted messages are dropped and counted; no task dies, and a clean wire works as before."""

    async def test(rig: Rig) -> None:
        venue, heard = await rig.connect(request_timeout_s=0.3, commission_wait_s=0.1)
        rig.faults.on("malformed", share=0.4)
        await venue.subscribe([SPY, *(contract for contract, _ in CONDOR)])
        for number in range(20):
            try:
                await venue.place(intent(f"w{number}"))
                await venue.account()
            except VenueError:
                continue
        await until(lambda: heard.bad["undecodable"] > 10, "bad messages")
        rig.faults.off("malformed")
        await until(lambda: venue.connected, "the connection")
        assert (await venue.account()).account == "DU1"
        await venue.place(intent("clean"))
        await until(lambda: any(fill.client_id == "clean" for fill in heard.fills), "a clean fill")
        known = {fill.execution_id for fill in await venue.executions_since(START - timedelta(1))}
        assert {fill.execution_id for fill in heard.fills} <= known

    on_gateway(test)


def test_close_leaves_nothing_behind() -> None:
    """After close there is no task, no socket, no handler and no bound of ours; closing again is harmless."""

    async def test(rig: Rig) -> None:
        before = asyncio.all_tasks()
        venue, heard = await rig.connect()
        await venue.subscribe([SPY])
        await venue.place(resting("rest"))
        await until(lambda: heard.quotes and heard.orders, "life")
        live = venue._live
        assert live is not None
        ib = live.session.ib
        rig.lose(53)
        asking = asyncio.create_task(venue.orders())
        await asyncio.sleep(0)
        await venue.close()
        with pytest.raises(VenueDisconnected, match="open orders"):
            await asking
        await venue.close()
        assert asyncio.all_tasks() == before
        assert ib.client.conn.transport is None
        handlers = {name: getattr(ib, name)._slots.count for name in ib_async.IB.events}
        assert {name for name, count in handlers.items() if count} == set()
        assert rig.bounds.snapshot() == ()
        assert heard.connections == []
        assert not venue.connected
        with pytest.raises(VenueDisconnected):
            await venue.orders()
        await until(lambda: rig.gateway.status()["connections"] == 0, "the gateway sees it")

    on_gateway(test)


def test_close_ends_a_reconnect_that_never_succeeds() -> None:
    """While the gateway is gone the adapter keeps trying, until it is closed."""

    async def test(rig: Rig) -> None:
        venue, heard = await rig.connect()
        before = asyncio.all_tasks()
        await rig.gateway.__aexit__(None, None, None)
        await until(lambda: heard.connections == [False], "the loss")
        await asyncio.sleep(0.2)
        await venue.close()
        assert len(asyncio.all_tasks()) < len(before)
        await rig.gateway.__aenter__()

    on_gateway(test)


def test_a_client_id_in_use_is_said_at_once() -> None:
    """A second connection with the same id is refused without waiting for the time limit."""

    async def test(rig: Rig) -> None:
        await rig.connect(connect_timeout_s=60.0)
        with pytest.raises(VenueDisconnected, match="client id"):
            await rig.connect(connect_timeout_s=60.0)

    on_gateway(test)


def test_nobody_listening_is_said_at_once() -> None:
    """Where no gateway listens connect fails with its address and a remedy."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]

        async def main() -> None:
            clock = Clock(asyncio.get_running_loop(), START)
            venue = IbkrVenue(IbkrSettings(port=port), clock, Bounds(), seed=1)
            with pytest.raises(VenueDisconnected, match=f"127.0.0.1:{port}"):
                await venue.connect(Heard())
            await venue.close()

        asyncio.run(main())


def test_works_on_uvloop() -> None:
    """On the loop of production: connect, quotes, a fill, the venue's memory, close; the gateway is a process."""

    async def main() -> None:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "simvenues", "ibkr", "--port", "0", "--seed", "1", "--step-ms", "50"),
            *("--start", START.isoformat()),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            assert process.stdout is not None
            ready = json.loads(await asyncio.wait_for(process.stdout.readline(), 30))
            clock, heard = Clock(asyncio.get_running_loop(), START), Heard()
            venue = IbkrVenue(IbkrSettings(port=ready["port"]), clock, Bounds(), seed=1)
            await venue.connect(heard)
            await venue.subscribe([SPY])
            await venue.place(intent("w1"))
            await until(lambda: heard.quotes and heard.fills, "a quote and a fill")
            assert [(each.client_id, each.state) for each in await venue.orders()] == [("w1", OrderState.FILLED)]
            await venue.close()
            assert asyncio.all_tasks() == {asyncio.current_task()}
        finally:
            process.terminate()
            await process.wait()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
