"""The board: which quotes are believed, how old they are, and who is told."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradebot.domain.errors import NoQuote, QueueFull
from tradebot.domain.instruments import Stock
from tradebot.domain.market import Quote
from tradebot.kernel.bounds import Bounds
from tradebot.kernel.clock import Clock
from tradebot.kernel.virtual import run_virtual
from tradebot.market.board import Freshness, QuoteBoard

EPOCH = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
SPY, QQQ = Stock("SPY"), Stock("QQQ")


def quote(instrument: Stock = SPY, *, bid: float = 10.0, ask: float = 10.1, after_s: float = 0.0) -> Quote:
    return Quote(instrument=instrument, at=EPOCH + timedelta(seconds=after_s), bid=bid, ask=ask)


def with_board(test: Callable[[QuoteBoard], Awaitable[None]], **options: int) -> None:
    async def main() -> None:
        await test(QuoteBoard(Clock(asyncio.get_running_loop(), EPOCH), Bounds(), **options))

    run_virtual(main())


@pytest.mark.parametrize(
    ("bid", "ask", "reason"),
    [
        (math.nan, 10.1, "not_finite"),
        (10.0, math.inf, "not_finite"),
        (-1.0, 10.1, "negative"),
        (0.0, -1.0, "negative"),
        (0.0, 0.0, "zero_ask"),
        (10.2, 10.1, "crossed"),
    ],
)
def test_refuses_and_counts_what_cannot_be_a_price(bid: float, ask: float, reason: str) -> None:
    """A bad quote is counted under its reason and the good one before it stays."""

    async def test(board: QuoteBoard) -> None:
        assert board.on_quote(quote())
        assert not board.on_quote(quote(bid=bid, ask=ask, after_s=1))
        assert board.latest(SPY) == quote()
        assert {name: count for name, count in board.refused.items() if count} == {reason: 1}

    with_board(test)


def test_refuses_a_quote_older_than_the_one_it_has() -> None:
    """A venue that repeats an old price cannot make the board younger."""

    async def test(board: QuoteBoard) -> None:
        board.on_quote(quote(after_s=5))
        assert not board.on_quote(quote(bid=9.0, after_s=4))
        assert board.refused["older"] == 1

    with_board(test)


@given(bid=st.floats(), ask=st.floats())
def test_believes_only_prices_that_can_be_traded(bid: float, ask: float) -> None:
    """Whatever two floats arrive, the latest quote has 0 <= bid <= ask, a positive ask and finite numbers."""

    async def test(board: QuoteBoard) -> None:
        taken = board.on_quote(quote(bid=bid, ask=ask))
        latest = board.latest(SPY)
        assert (latest is not None) == taken
        assert taken == (0.0 <= bid <= ask < math.inf and ask > 0.0)

    with_board(test)


def test_ages_with_the_clock() -> None:
    """Fresh below 30 s, a warning below 60 s, stale from there on and where nothing was ever heard."""

    async def test(board: QuoteBoard) -> None:
        assert board.freshness(SPY) is Freshness.STALE
        assert board.age_s(SPY) == math.inf
        board.on_quote(quote())
        seen = []
        for pause_s in (0.0, 29.9, 0.1, 29.9, 0.1):
            await asyncio.sleep(pause_s)
            seen.append(board.freshness(SPY))
        assert seen == [Freshness.FRESH, Freshness.FRESH, Freshness.WARNING, Freshness.WARNING, Freshness.STALE]
        assert board.age_s(SPY) == pytest.approx(60.0)

    with_board(test)


def test_waits_until_every_quote_is_fresh() -> None:
    """A wait ends with the last missing quote, a stale one counts as missing, and the order is the caller's."""

    async def test(board: QuoteBoard) -> None:
        board.on_quote(quote(SPY))
        await asyncio.sleep(40)
        waiting = asyncio.create_task(board.wait_for([QQQ, SPY], timeout_s=5, max_age_s=30))
        await asyncio.sleep(1)
        board.on_quote(quote(QQQ, after_s=41))
        await asyncio.sleep(1)
        assert not waiting.done()
        board.on_quote(quote(SPY, after_s=42))
        found = await waiting
        assert list(found) == [QQQ, SPY]
        assert found[SPY].at == EPOCH + timedelta(seconds=42)

    with_board(test)


def test_names_what_never_came() -> None:
    """A wait that runs out raises NoQuote with the missing instruments and leaves no waiter."""

    async def test(board: QuoteBoard) -> None:
        board.on_quote(quote(SPY))
        with pytest.raises(NoQuote, match=r"QQQ within 2 s"):
            await board.wait_for([SPY, QQQ], timeout_s=2)
        assert board._waiters == []

    with_board(test)


def test_bounds_its_waiters_and_its_instruments() -> None:
    """Beyond the waiters' bound a caller is refused; beyond the capacity the longest silent instrument goes."""

    async def test(board: QuoteBoard) -> None:
        first = asyncio.create_task(board.wait_for([SPY], timeout_s=9))
        await asyncio.sleep(0)
        with pytest.raises(QueueFull):
            await board.wait_for([QQQ], timeout_s=9)
        board.on_quote(quote(SPY))
        await first
        board.on_quote(quote(QQQ))
        board.on_quote(quote(SPY, after_s=1))
        board.on_quote(quote(Stock("IWM")))
        assert board.latest(QQQ) is None
        assert board.latest(SPY) is not None

    with_board(test, capacity=2, waiters_max=1)


def test_tells_listeners_of_good_quotes_only() -> None:
    """A listener hears each believed quote until it stops listening."""

    async def test(board: QuoteBoard) -> None:
        heard: list[Quote] = []
        stop = board.listen(heard.append)
        board.on_quote(quote())
        board.on_quote(quote(ask=math.nan))
        stop()
        board.on_quote(quote(after_s=1))
        assert heard == [quote()]

    with_board(test)


def test_says_its_bounds_and_takes_them_back() -> None:
    """The board registers what it holds and unregisters it when it closes."""

    async def main() -> None:
        bounds = Bounds()
        board = QuoteBoard(Clock(asyncio.get_running_loop(), EPOCH), bounds, capacity=7)
        board.on_quote(quote())
        assert [(each.name, each.length, each.capacity) for each in bounds.snapshot()] == [
            ("market.board", 1, 7),
            ("market.board_waiters", 0, 256),
        ]
        board.close()
        assert bounds.snapshot() == ()

    run_virtual(main())


def test_a_line_that_says_nothing_new_is_still_quoted_until_the_connection_is_lost() -> None:
    """An old quote of a quiet option is its present one; after a loss only a new one counts."""

    async def test(board: QuoteBoard) -> None:
        board.on_quote(quote(SPY))
        await asyncio.sleep(3600)
        assert SPY in await board.wait_for([SPY], timeout_s=1)
        with pytest.raises(NoQuote):
            await board.wait_for([SPY], timeout_s=1, max_age_s=30)
        board.forget_all()
        with pytest.raises(NoQuote):
            await board.wait_for([SPY], timeout_s=1)

    with_board(test)
