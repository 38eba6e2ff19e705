"""The book in step with what is held, on its way, and quoted."""

from __future__ import annotations

import math
from decimal import Decimal
from pathlib import Path

import pytest

from support.execution_rig import Rig
from support.facts import NOON, plan
from support.paper_bot import WatchedVenue, entered, make_bot, make_clock, running
from tradebot.domain.greeks import FLAT, PositionGreeks
from tradebot.domain.instruments import Instrument, Stock
from tradebot.domain.market import Quote
from tradebot.domain.orders import Side
from tradebot.domain.strategies import LegStatus, Strategy, StrategyState
from tradebot.domain.units import ShareDelta
from tradebot.execution.valuation import Valuation
from tradebot.kernel.virtual import run_virtual
from tradebot.market.lines import MarketLines
from tradebot.pricing.book import Book

GREEKS = PositionGreeks(value=1.0, delta=ShareDelta(5.0), gamma=0.1, theta=1.0, vega=2.0, rho=3.0)


def held(state: StrategyState = StrategyState.OPEN, quantity: int = 1) -> Strategy:
    legs = tuple(LegStatus(leg=leg, held=quantity) for leg in plan().legs)
    return Strategy(id="s", plan=plan(), quantity=quantity, remaining=quantity, state=state, legs=legs)


class Desk:
    def __init__(self) -> None:
        self.rig = Rig()
        self.book = Book(100)
        self.lines = MarketLines(self.rig.venue, self.rig.board, self.rig.bounds)
        self.valuation = Valuation(
            book=self.book, board=self.rig.board, lines=self.lines, clock=self.rig.clock, rate=0.04
        )
        self.rig.board.listen(self.valuation.on_quote)
        self.book.revalue(NOON)

    def quote(self, instrument: Instrument, mid: float, iv: float = math.nan) -> None:
        self.rig.inbox.on_quote(Quote(instrument=instrument, at=NOON, bid=mid - 0.01, ask=mid + 0.01, iv=iv))

    def delta(self) -> float:
        exposure = self.valuation.exposure(equity=Decimal(1), strategies=(), orders_in_flight=0, vix=16.0)
        assert exposure.portfolio == exposure.by_symbol.get("SPY", FLAT)
        return exposure.portfolio.delta


def test_an_entry_on_its_way_counts_until_its_legs_are_in_the_book_or_it_failed() -> None:
    """Reserved Greeks are part of the exposure; open replaces them by the book's, failed by nothing."""

    async def main() -> None:
        desk = Desk()
        desk.quote(Stock(symbol="SPY"), 515.0)
        for state in (StrategyState.OPEN, StrategyState.FAILED):
            desk.valuation.reserve("s", "SPY", GREEKS)
            assert desk.delta() == pytest.approx(5.0 + desk.book.portfolio().delta)
            desk.valuation.on_strategy(held(StrategyState.PENDING))
            assert desk.valuation._pending
            desk.valuation.on_strategy(held(state))
            assert desk.delta() == desk.book.portfolio().delta
        assert desk.delta() == 0.0

    run_virtual(main())


def test_a_strategy_waits_for_its_underlyings_first_price() -> None:
    """Nothing is in the book before; with the price all legs are, and their lines pinned."""

    async def main() -> None:
        desk = Desk()
        desk.valuation.on_strategy(held())
        assert len(desk.book) == 0
        desk.quote(Stock(symbol="QQQ"), 500.0)
        assert len(desk.book) == 0
        desk.quote(Stock(symbol="SPY"), 515.0)
        assert len(desk.book) == 4
        assert desk.valuation._waiting == {}
        assert set(desk.lines._pins) == {leg.contract for leg in plan().legs}
        assert desk.delta() != 0.0

    run_virtual(main())


def test_a_strategy_that_closed_while_it_waited_is_not_put_into_the_book() -> None:
    """The last word on it counts when the price comes."""

    async def main() -> None:
        desk = Desk()
        desk.valuation.on_strategy(held())
        desk.valuation.on_strategy(held(StrategyState.CLOSED, 0))
        desk.quote(Stock(symbol="SPY"), 515.0)
        assert (len(desk.book), desk.valuation._waiting, desk.delta()) == (0, {}, 0.0)

    run_virtual(main())


def test_quotes_move_spots_and_volatilities_and_a_strategy_follows_its_holdings() -> None:
    """More volatility is more value of an option; half of the units is half of the Greeks."""

    async def main() -> None:
        desk = Desk()
        desk.quote(Stock(symbol="SPY"), 515.0)
        desk.valuation.on_strategy(held(quantity=2))
        leg = plan().legs[0]
        before = desk.book.contract(leg.contract).price
        desk.quote(leg.contract, 3.0, iv=0.60)
        assert desk.book.contract(leg.contract).price > before
        both = desk.book.strategy("s")
        desk.valuation.on_strategy(held(quantity=1))
        assert desk.book.strategy("s").vega == pytest.approx(both.vega / 2)
        desk.quote(Stock(symbol="SPY"), 530.0)
        assert desk.book.strategy("s").delta != pytest.approx(both.delta / 2)

    run_virtual(main())


def test_a_view_is_worth_the_markets_mids_and_nothing_known_while_one_is_missing() -> None:
    """NaN rather than a wrong profit; with the last quote it is the signed sum."""

    async def main() -> None:
        desk = Desk()
        desk.quote(Stock(symbol="SPY"), 515.0)
        strategy = held()
        desk.valuation.on_strategy(strategy)
        legs = plan().legs
        for leg in legs[:3]:
            desk.quote(leg.contract, 2.0)
        assert math.isnan(desk.valuation.view(strategy).upl_share)
        desk.quote(legs[3].contract, 1.0)
        view = desk.valuation.view(strategy)
        assert view.greeks.value == pytest.approx(-100.0)
        assert [leg.side for leg in legs] == [Side.BUY, Side.SELL, Side.SELL, Side.BUY]

    run_virtual(main())


def test_after_a_restart_the_book_holds_what_it_held(tmp_path: Path) -> None:
    """The same contracts in the same quantities, as soon as the first prices have come."""

    async def main() -> None:
        venue = WatchedVenue(make_clock())
        async with running(make_bot(tmp_path, venue._clock, venue)) as bot:
            await entered(bot)
            before, size = bot.valuation._held.copy(), len(bot.book)
        async with running(make_bot(tmp_path, venue._clock, venue)) as again:
            await again.board.wait_for([Stock(symbol="SPY")], timeout_s=10.0)
            assert again.valuation._held == before
            assert len(again.book) == size == 4
            assert again.lines._pins.keys() >= set(next(iter(before.values())))

    run_virtual(main())
