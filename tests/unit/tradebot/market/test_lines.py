"""Market lines: what is streamed when there are more instruments than lines."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradebot.domain.errors import LimitExceeded, VenueDisconnected
from tradebot.domain.instruments import Instrument, Stock
from tradebot.domain.market import Quote
from tradebot.kernel.bounds import Bounds
from tradebot.kernel.clock import Clock
from tradebot.kernel.virtual import run_virtual
from tradebot.market.board import QuoteBoard
from tradebot.market.lines import MarketLines

EPOCH = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
A, B, C, D = (Stock(name) for name in "ABCD")


class FakeVenue:
    """Only what lines need: it remembers what it streams."""

    def __init__(self) -> None:
        self.streamed: list[Instrument] = []
        self.most = 0
        self.connected = True

    async def subscribe(self, instruments: Sequence[Instrument]) -> None:
        if not self.connected:
            raise VenueDisconnected("down")
        await asyncio.sleep(0)
        self.streamed += [each for each in instruments if each not in self.streamed]
        self.most = max(self.most, len(self.streamed))

    async def unsubscribe(self, instruments: Sequence[Instrument]) -> None:
        for each in instruments:
            self.streamed.remove(each)


class Rig:
    def __init__(self, **options: Any) -> None:
        self.venue = FakeVenue()
        self.bounds = Bounds()
        self.board = QuoteBoard(Clock(asyncio.get_running_loop(), EPOCH), self.bounds)
        self.lines = MarketLines(cast("Any", self.venue), self.board, self.bounds, **options)


def with_lines(test: Callable[[Rig], Awaitable[None]], **options: Any) -> None:
    async def main() -> None:
        await test(Rig(**options))

    run_virtual(main())


def test_subscribes_only_what_is_not_streamed() -> None:
    """Asking twice subscribes once, and asking for nothing new asks the venue nothing."""

    async def test(rig: Rig) -> None:
        await rig.lines.ensure([A, B, A])
        rig.venue.connected = False
        await rig.lines.ensure([B, A])
        assert rig.venue.streamed == [A, B]

    with_lines(test)


def test_ends_the_least_recently_used_line_at_the_limit() -> None:
    """The line that was asked for longest ago makes room, and its old price goes with it."""

    async def test(rig: Rig) -> None:
        await rig.lines.ensure([A, B])
        rig.board.on_quote(Quote(instrument=B, at=EPOCH, bid=1.0, ask=2.0))
        await rig.lines.ensure([A])
        await rig.lines.ensure([C])
        assert rig.venue.streamed == [A, C]
        assert rig.board.latest(B) is None
        assert rig.lines.evicted == 1

    with_lines(test, limit=2)


def test_never_ends_a_pinned_line() -> None:
    """Pinned lines stay although they are the oldest; a line pinned twice stays until it is unpinned twice."""

    async def test(rig: Rig) -> None:
        await rig.lines.ensure([A, B])
        rig.lines.pin([A])
        rig.lines.pin([A])
        rig.lines.unpin([A])
        await rig.lines.ensure([C])
        assert rig.venue.streamed == [A, C]
        rig.lines.unpin([A])
        await rig.lines.ensure([D])
        assert rig.venue.streamed == [C, D]

    with_lines(test, limit=2)


def test_refuses_more_pins_than_lines() -> None:
    """Pinned lines beyond the limit are refused under the name market_lines, and nothing changes."""

    async def test(rig: Rig) -> None:
        rig.lines.pin([A, B])
        with pytest.raises(LimitExceeded) as error:
            rig.lines.pin([C])
        assert error.value.limit == "market_lines"
        await rig.lines.ensure([A, B])
        with pytest.raises(LimitExceeded) as error:
            await rig.lines.ensure([C])
        assert (error.value.limit, error.value.value, error.value.bound) == ("market_lines", 3, 2)
        assert rig.venue.streamed == [A, B]

    with_lines(test, limit=2)


def test_streams_again_after_a_reconnect() -> None:
    """Restoring subscribes every line that was streamed when the venue lost them."""

    async def test(rig: Rig) -> None:
        await rig.lines.ensure([A, B])
        rig.venue.streamed.clear()
        await rig.lines.restore()
        assert rig.venue.streamed == [A, B]

    with_lines(test)


def test_believes_in_no_line_that_the_venue_refused() -> None:
    """A subscription that fails is asked for again by the next caller."""

    async def test(rig: Rig) -> None:
        rig.venue.connected = False
        with pytest.raises(VenueDisconnected):
            await rig.lines.ensure([A])
        assert rig.lines.streamed == ()
        rig.venue.connected = True
        await rig.lines.ensure([A])
        assert rig.venue.streamed == [A]

    with_lines(test)


def test_says_when_it_gets_crowded_and_when_no_longer() -> None:
    """Passing the alert's number of lines is told once each way."""

    async def test(rig: Rig) -> None:
        await rig.lines.ensure([A, B])
        await rig.lines.ensure([C])
        await rig.lines.ensure([D])
        rig.lines.pin([A])
        await rig.lines.release([A, B, C])
        assert told == [(True, 3), (False, 2)]
        assert rig.venue.streamed == [A, D]

    told: list[tuple[bool, int]] = []
    with_lines(test, alert_above=2, on_crowded=lambda crowded, count: told.append((crowded, count)))


@given(asked=st.lists(st.lists(st.sampled_from("ABCDEFGH"), min_size=1, max_size=3), max_size=20))
def test_never_streams_beyond_the_limit(asked: list[list[str]]) -> None:
    """Whatever is asked for at once, the venue never streams more than the limit and the last caller has his lines."""

    async def test(rig: Rig) -> None:
        wanted = [[Stock(name) for name in names] for names in asked]
        await asyncio.gather(*(rig.lines.ensure(each) for each in wanted))
        assert rig.venue.most <= 3
        assert set(rig.lines.streamed) == set(rig.venue.streamed)
        assert not wanted or set(wanted[-1]) <= set(rig.venue.streamed)

    with_lines(test, limit=3)


def test_registers_its_bound() -> None:
    """Lines say how many there are and may be, until they are closed."""

    async def test(rig: Rig) -> None:
        await rig.lines.ensure([A])
        assert [(b.length, b.capacity) for b in rig.bounds.snapshot() if b.name == "market.lines"] == [(1, 100)]
        rig.lines.close()
        assert "market.lines" not in {bound.name for bound in rig.bounds.snapshot()}

    with_lines(test)


def test_who_holds_lines_keeps_them_and_the_next_waits_for_room() -> None:
    """Two blocks that want more lines than there are run one after the other, and neither loses a line."""

    async def test(rig: Rig) -> None:
        order: list[str] = []

        async def quote(name: str, instruments: tuple[Stock, ...]) -> None:
            async with rig.lines.held(instruments):
                order.append(f"{name} in")
                await asyncio.sleep(1)
                assert set(instruments) <= set(rig.lines.streamed)
                order.append(f"{name} out")

        await asyncio.gather(quote("first", (A, B)), quote("second", (C, D)))
        assert order == ["first in", "first out", "second in", "second out"]
        assert rig.venue.most <= 3

    with_lines(test, limit=3, alert_above=2)


def test_a_block_that_pinned_lines_leave_no_room_for_is_refused() -> None:
    """Waiting would be for ever when strategies hold the lines: the limit is named at once."""

    async def test(rig: Rig) -> None:
        rig.lines.pin([A, B])
        with pytest.raises(LimitExceeded, match="market_lines"):
            async with rig.lines.held([C, D]):
                pytest.fail("it had no room")

    with_lines(test, limit=3, alert_above=2)
