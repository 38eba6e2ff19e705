"""The WebSocket: who may listen, what is heard, and that nobody slows anybody down."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from tradebot.api import connection, messages, socket
from tradebot.domain.alerts import Severity
from tradebot.domain.decisions import HOLD
from tradebot.domain.events import (
    AlertChanged,
    ConnectionChanged,
    Decided,
    Event,
    Filled,
    GreeksChanged,
    OrderChanged,
    OrderPlaced,
    QuoteChanged,
    StrategyChanged,
    WorkflowChanged,
)
from tradebot.domain.greeks import FLAT
from tradebot.domain.instruments import Stock
from tradebot.domain.market import Quote
from tradebot.domain.orders import OrderState, OrderUpdate
from tradebot.domain.strategies import StrategyKind
from tradebot.domain.workflows import EntryRequest, Workflow, WorkflowState

Run = Any


def quote_of(world: Any) -> QuoteChanged:
    return QuoteChanged(quote=Quote(instrument=Stock(symbol="SPY"), at=world.bot.clock.now(), bid=600.0, ask=600.1))


def greeks_of(world: Any) -> GreeksChanged:
    return GreeksChanged(at=world.bot.clock.now(), portfolio=FLAT, by_symbol={"SPY": FLAT})


def every_event(world: Any, things: Any) -> dict[str, messages.Message]:
    bot, now = world.bot, world.bot.clock.now()
    update = OrderUpdate(client_id="o-1", venue_order_id="7", state=OrderState.WORKING, filled=0, remaining=2, at=now)
    workflow = Workflow(
        id="w-1",
        request=EntryRequest(symbol="SPY", kind=StrategyKind.VERTICAL),
        state=WorkflowState.RUNNING,
        accepted_at=now,
    )
    return {
        "ORDER_PLACED": OrderPlaced(intent=things.intent()),
        "ORDER_UPDATE": OrderChanged(update=update),
        "FILL": Filled(fill=things.fill(), strategy_id="s-1"),
        "POSITION_UPDATE": StrategyChanged(strategy=bot.strategies.create("s-1", things.plan(), 1)),
        "WORKFLOW": WorkflowChanged(workflow=workflow),
        "DECISION": Decided(strategy_id="s-1", decision=HOLD, at=now),
        "ALERT": AlertChanged(alert=bot.alerts.raise_(Severity.INFO, "test", "heard")),
        "GREEKS": greeks_of(world),
        "CONNECTION": ConnectionChanged(venue="paper", connected=False, at=now, reason="gone"),
        "QUOTE": quote_of(world),
        "HEARTBEAT": messages.Heartbeat(ready=True, interval_s=5.0),
    }


def test_each_kind_of_event_is_told_in_order(run: Run, things: Any) -> None:
    """Every fact on the bus arrives once, numbered without a hole, with its type, instant and data."""

    async def scenario(world: Any) -> None:
        events = every_event(world, things)
        assert {type(event) for event in events.values()} == set(messages.TELLERS)
        listener = await world.listening()
        listener.send({"subscribe": ["quotes"]})
        wish = await listener.hear()
        assert wish["data"] == {"quotes": True, "seq": listener.began}
        assert "seq" not in wish
        for event in events.values():
            world.bot.bus.publish(event)
        heard = [await listener.hear() for _ in events]
        assert [each["type"] for each in heard] == list(events)
        assert [each["seq"] - listener.began for each in heard] == list(range(1, 1 + len(events)))
        assert all(each["at"].endswith("Z") for each in heard)
        by_type = {each["type"]: each["data"] for each in heard}
        assert by_type["FILL"]["strategy_id"] == "s-1"
        assert by_type["FILL"]["fill"]["price"] == "3.10"
        assert by_type["WORKFLOW"]["request"]["symbol"] == "SPY"
        assert by_type["GREEKS"]["by_symbol"]["SPY"]["delta_shares"] == 0.0
        assert (by_type["QUOTE"]["bid"], by_type["QUOTE"]["iv"]) == (600.0, None)

    run(scenario)


def test_quotes_come_only_when_asked_for(run: Run) -> None:
    """One socket subscribes to quotes and hears them until it unsubscribes; another never does."""

    async def scenario(world: Any) -> None:
        curious, calm = await world.listening(), await world.listening()
        curious.send({"subscribe": ["quotes"]})
        assert (await curious.hear())["type"] == "SUBSCRIBED"
        for event in (quote_of(world), greeks_of(world)):
            world.bot.bus.publish(event)
        assert [(await curious.hear())["type"] for _ in range(2)] == ["QUOTE", "GREEKS"]
        told = await calm.hear()
        assert (told["type"], told["seq"]) == ("GREEKS", calm.began + 1)
        curious.send({"unsubscribe": ["quotes"]})
        assert (await curious.hear())["data"] == {"quotes": False, "seq": told["seq"]}
        for event in (quote_of(world), greeks_of(world)):
            world.bot.bus.publish(event)
        assert (await curious.hear())["type"] == "GREEKS"

    run(scenario)


def test_an_event_is_encoded_once_for_everybody(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three listeners, one encoding; without a listener there is none."""
    encoded: list[Event] = []

    def counted(event: Event, now: Any) -> str:
        encoded.append(event)
        return messages.encode_event(event, now)

    monkeypatch.setattr(socket, "encode_event", counted)

    async def scenario(world: Any) -> None:
        world.bot.bus.publish(greeks_of(world))
        await world.until(lambda: len(world.sockets._subscription) == 0)
        assert encoded == []
        listeners = [await world.listening() for _ in range(3)]
        world.bot.bus.publish(greeks_of(world))
        for listener in listeners:
            assert (await listener.hear())["type"] == "GREEKS"
        assert len(encoded) == 1

    run(scenario)


def test_heartbeats_come_by_themselves(run: Run) -> None:
    """Without any event a HEARTBEAT comes at each interval and says whether the bot is ready."""

    async def scenario(world: Any) -> None:
        listener = await world.listening()
        world.bot.ready = False
        beats = [await listener.hear() for _ in range(3)]
        assert [each["seq"] - listener.began for each in beats] == [1, 2, 3]
        assert {each["type"] for each in beats} == {"HEARTBEAT"}
        assert beats[-1]["data"] == {"ready": False, "interval_s": 0.01}

    run(scenario, heartbeat_s=0.01)


@pytest.mark.parametrize("first", [{"token": "wrong"}, {"subscribe": ["quotes"]}, [], "text", {"token": 7}])
def test_a_wrong_first_message_ends_the_connection(run: Run, first: object) -> None:
    """Without the header the first message must hold the token, else 1008 before anything is heard."""

    async def scenario(world: Any) -> None:
        stranger = world.socket(headers={})
        stranger.send(first)
        assert await stranger.closed() == 1008
        assert len(world.sockets) == 0

    run(scenario)


def test_the_token_may_be_the_first_message(run: Run) -> None:
    """A browser cannot set headers: `{"token": ...}` as the first message opens the stream."""

    async def scenario(world: Any) -> None:
        browser = world.socket(headers={})
        world.bot.bus.publish(greeks_of(world))
        browser.send({"token": world.bot.settings.api.token})
        assert (await browser.hear())["type"] == "HEARTBEAT"

    run(scenario)


def test_a_wrong_header_ends_the_connection(run: Run) -> None:
    """A wrong token in the header is 1008 at once, with no second try."""

    async def scenario(world: Any) -> None:
        assert await world.socket(headers={"Authorization": "Bearer wrong"}).closed() == 1008

    run(scenario)


def test_silence_is_no_token(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who says nothing is closed with 1008 when the time is over."""
    monkeypatch.setattr(connection, "TOKEN_WITHIN_S", 0.01)

    async def scenario(world: Any) -> None:
        assert await world.socket(headers={}).closed() == 1008

    run(scenario)


def test_one_client_too_many_is_told_to_come_later(run: Run) -> None:
    """Beyond `sockets_max` the code is 1013, with the token in the header or not; a place that is left is free."""

    async def scenario(world: Any) -> None:
        listeners = [await world.listening() for _ in range(2)]
        assert await world.socket().closed() == 1013
        silent = [world.socket(headers={}) for _ in range(2)]
        await world.until(lambda: len(world.sockets._waiting) == 2)
        assert await world.socket(headers={}).closed() == 1013
        await listeners[0].leave()
        silent[0].send({"token": world.bot.settings.api.token})
        assert (await silent[0].hear())["type"] == "HEARTBEAT"
        silent[1].send({"token": world.bot.settings.api.token})
        assert await silent[1].closed() == 1013

    run(scenario, sockets_max=2)


@pytest.mark.parametrize(
    "text",
    [
        *("", "hello", "{", "[]", "null", '{"a": 1}', '{"token": "x"}'),
        *('{"subscribe": "quotes"}', '{"subscribe": ["orders"]}', "[" * 3_000, "x" * 5_000, '"\ud800"'),
    ],
)
def test_a_text_that_means_nothing_is_answered_with_an_error(run: Run, text: str) -> None:
    """The client is told, the stream goes on and its numbers too."""

    async def scenario(world: Any) -> None:
        listener = await world.listening()
        listener.send_raw(text=text)
        told = await listener.hear()
        assert (told.get("seq"), told["type"], told["data"]["code"]) == (None, "ERROR", "bad_message")
        world.bot.bus.publish(greeks_of(world))
        assert (await listener.hear())["seq"] == listener.began + 1

    run(scenario)


def test_bytes_end_the_connection(run: Run) -> None:
    """A binary message is not spoken here: 1003."""

    async def scenario(world: Any) -> None:
        listener = await world.listening()
        listener.send_raw(bytes=b"\x00\xff")
        assert await listener.closed() == 1003
        assert len(world.sockets) == 0

    run(scenario)


def test_a_mistake_of_ours_ends_one_connection_loudly(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """When answering one client fails it is closed with 1011, and the others hear on."""

    def fail(*_: object) -> str:
        raise ZeroDivisionError

    async def scenario(world: Any) -> None:
        victim, other = await world.listening(), await world.listening()
        monkeypatch.setattr(connection.Connection, "_answer", fail)
        victim.send({"subscribe": ["quotes"]})
        assert await victim.closed() == 1011
        world.bot.bus.publish(greeks_of(world))
        assert (await other.hear())["type"] == "GREEKS"

    run(scenario)


def test_a_slow_client_loses_its_oldest_and_slows_nobody(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one client reads nothing another hears everything; the slow one is then told exactly what it missed."""
    monkeypatch.setattr(socket, "OUTBOX_CAPACITY", 8)

    async def scenario(world: Any) -> None:
        slow, quick = await world.listening(), await world.listening()
        slow.reading.clear()
        for expected in range(1, 101):
            world.bot.bus.publish(greeks_of(world))
            assert (await quick.hear())["seq"] == quick.began + expected
        bounds = {bound.name: bound for bound in world.bot.bounds.snapshot()}
        assert bounds["api.outbox.longest"].length == bounds["api.outbox.longest"].capacity == 8
        slow.reading.set()
        under_way = await slow.hear()
        gap = await slow.hear()
        rest = [(await slow.hear())["seq"] - slow.began for _ in range(8)]
        assert under_way["seq"] == slow.began + 1
        assert gap == {"type": "GAP", "dropped": 91}
        assert rest == list(range(93, 101))

    run(scenario)


def test_what_the_bus_dropped_is_a_gap_for_everybody(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the one subscription overflows, each socket hears by how much before it hears on."""
    monkeypatch.setattr(socket, "BUS_CAPACITY", 10)

    async def scenario(world: Any) -> None:
        listeners = [await world.listening() for _ in range(2)]
        for _ in range(13):
            world.bot.bus.publish(greeks_of(world))
        for listener in listeners:
            assert await listener.hear() == {"type": "GAP", "dropped": 3}
            assert [(await listener.hear())["seq"] - listener.began for _ in range(10)] == list(range(4, 14))

    run(scenario)


def test_an_event_that_cannot_be_told_does_not_end_the_stream(run: Run) -> None:
    """A kind nobody taught the socket is counted and passed over."""

    async def scenario(world: Any) -> None:
        listener = await world.listening()
        world.bot.bus.publish(object())
        world.bot.bus.publish(greeks_of(world))
        assert (await listener.hear())["type"] == "GREEKS"
        assert world.sockets.encoding_errors == 1

    run(scenario)


def test_the_end_of_the_app_closes_every_socket(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """1001 for listeners and for who has not shown the token; one that reads nothing does not hold it up."""
    monkeypatch.setattr(connection, "GOODBYE_WITHIN_S", 0.05)

    async def scenario(world: Any) -> None:
        listener, stuck, silent = await world.listening(), await world.listening(), world.socket(headers={})
        await world.until(lambda: len(world.sockets._waiting) == 1)
        stuck.reading.clear()
        world.bot.bus.publish(greeks_of(world))
        await world.sockets.stop()
        assert (await listener.closed(), await silent.closed()) == (1001, 1001)
        async with asyncio.timeout(10):
            await stuck.task
        assert len(world.sockets) == 0
        assert await world.socket().closed() == 1001
        await world.sockets.stop()

    run(scenario)


@pytest.mark.parametrize("query", ["", "subscribe=quotes&"])
def test_who_comes_back_hears_what_it_missed(run: Run, query: str) -> None:
    """With the number it heard last a client goes on behind it, in its own stream, and then hears what happens now."""

    async def scenario(world: Any) -> None:
        other = await world.listening(query)
        client = await world.listening(query)
        world.bot.bus.publish(greeks_of(world))
        last = (await client.hear())["seq"]
        await client.leave()
        for event in (quote_of(world), greeks_of(world), quote_of(world), greeks_of(world)):
            world.bot.bus.publish(event)
        heard = [await other.hear() for _ in range(5 if query else 3)]
        again = await world.listening(f"{query}after={last}")
        world.bot.bus.publish(greeks_of(world))
        heard.append(await other.hear())
        assert [await again.hear() for _ in heard[1:]] == heard[1:]
        assert ("QUOTE" in {each["type"] for each in heard}) == bool(query)
        assert again.began == heard[-2]["seq"]

    run(scenario)


def test_who_was_away_for_long_is_told_of_the_gap(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more than is kept a client hears first by how much the numbers jump, then all that is left, the newest."""
    monkeypatch.setattr(socket, "OUTBOX_CAPACITY", 8)

    async def scenario(world: Any) -> None:
        began = (await world.listening()).began
        for _ in range(20):
            world.bot.bus.publish(greeks_of(world))
        await world.until(lambda: world.sockets._position(False) == began + 20)
        again = await world.listening(f"after={began + 2}")
        assert await again.hear() == {"type": "GAP", "dropped": 12}
        assert [(await again.hear())["seq"] - began for _ in range(6)] == list(range(15, 21))

    run(scenario)


def test_what_the_bus_lost_is_a_gap_for_who_was_away_too(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """An overflow of the one subscription while a client is away is in the gap that it is told of."""
    monkeypatch.setattr(socket, "BUS_CAPACITY", 10)

    async def scenario(world: Any) -> None:
        began = (await world.listening()).began
        for _ in range(13):
            world.bot.bus.publish(greeks_of(world))
        await world.until(lambda: world.sockets._position(False) == began + 13)
        again = await world.listening(f"after={began}")
        assert await again.hear() == {"type": "GAP", "dropped": 3}
        assert [(await again.hear())["seq"] - began for _ in range(10)] == list(range(4, 14))

    run(scenario)


def test_a_number_of_an_earlier_life_is_a_gap(run: Run) -> None:
    """After a restart the numbers are greater than any that was told before, and the jump is told."""

    async def scenario(world: Any) -> None:
        earlier = int((world.bot.clock.now() - timedelta(hours=1)).timestamp() * 1e6) + 100_000
        again = await world.listening(f"after={earlier}")
        world.bot.bus.publish(greeks_of(world))
        gap, told = await again.hear(), await again.hear()
        assert (gap["type"], told["type"]) == ("GAP", "GREEKS")
        assert earlier + gap["dropped"] + 1 == told["seq"]

    run(scenario)


def test_a_number_that_was_never_told_is_no_past(run: Run) -> None:
    """A client that is ahead of the stream hears what happens now; its greeting shows it where the stream is."""

    async def scenario(world: Any) -> None:
        began = (await world.listening()).began
        ahead = await world.listening(f"after={began + 5}")
        world.bot.bus.publish(greeks_of(world))
        assert (ahead.began, (await ahead.hear())["seq"]) == (began, began + 1)

    run(scenario)


@pytest.mark.parametrize("query", ["after=", "after=x", "after=-1", "after=99999999999999999", "subscribe=all", "a=1"])
def test_an_address_without_a_meaning_is_refused(run: Run, query: str) -> None:
    """Rather than hearing another stream than it asked for, such a client is closed with 1008."""

    async def scenario(world: Any) -> None:
        assert await world.socket(query=query).closed() == 1008
        assert len(world.sockets) == 0

    run(scenario)


def test_a_client_that_leaves_leaves_nothing(run: Run) -> None:
    """After a disconnect the place is free and no task of the connection is alive."""

    async def scenario(world: Any) -> None:
        before = asyncio.all_tasks()
        for _ in range(5):
            listener = await world.listening()
            await listener.leave()
        assert len(world.sockets) == 0
        assert asyncio.all_tasks() == before

    run(scenario)
