"""Exits on a whole bot, on paper."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import astuple

from support.paper_bot import CONDOR, WatchedVenue, ended, entered, make_bot, make_clock, running
from tradebot.domain.instruments import Instrument
from tradebot.domain.market import Quote
from tradebot.domain.orders import OrderType, Purpose, Side
from tradebot.domain.strategies import LegState, Strategy, StrategyState
from tradebot.domain.workflows import EntryRequest, ExitRequest, Workflow, WorkflowState
from tradebot.kernel.virtual import run_virtual
from tradebot.profiles.bot import Bot

FOUR = EntryRequest(symbol="SPY", kind=CONDOR.kind, quantity=4)
WIDE: dict[str, Any] = {"limits": {"symbol_delta_max": None, "portfolio_delta_max": None}}


async def exited(bot: Bot, strategy_id: str, quantity: int | None = None) -> tuple[Workflow, Strategy]:
    workflow, _ = await bot.desk.exit(ExitRequest(strategy_id=strategy_id, quantity=quantity))
    workflow = await ended(bot, workflow)
    return workflow, bot.strategies.get(strategy_id)


def test_a_reduction_closes_that_many_units_and_an_exit_the_rest(tmp_path: Path) -> None:
    """One of four leaves three, asking for more than there is closes all; each leg is closed exactly once."""

    async def main() -> None:
        venue = WatchedVenue(make_clock())
        async with running(make_bot(tmp_path, venue._clock, venue, **WIDE)) as bot:
            opened = await entered(bot, FOUR)
            workflow, strategy = await exited(bot, opened.strategy_id, 1)
            assert (workflow.state, strategy.state, strategy.remaining) == (WorkflowState.DONE, StrategyState.OPEN, 3)
            assert sorted(venue.positions_now().values()) == [-3, -3, 3, 3]
            assert astuple(bot.portfolio_greeks()) == pytest.approx(astuple(bot.book.strategy(strategy.id)), rel=1e-12)
            workflow, strategy = await exited(bot, opened.strategy_id, 100)
            assert (workflow.state, strategy.state) == (WorkflowState.DONE, StrategyState.CLOSED)
            assert venue.positions_now() == {}
            assert bot.portfolio_greeks().delta == 0.0
            spent = venue._exchange.ledger.cash - venue._settings.cash
            assert strategy.entry_cash + strategy.exit_cash == spent

    run_virtual(main())


def test_only_one_exit_at_a_time_and_none_of_what_is_not_open(tmp_path: Path) -> None:
    """Of two at once the second is refused by name; so is an exit of something closed."""

    async def main() -> None:
        venue = WatchedVenue(make_clock())
        async with running(make_bot(tmp_path, venue._clock, venue)) as bot:
            opened = await entered(bot)
            request = ExitRequest(strategy_id=opened.strategy_id)
            both = await asyncio.gather(bot.desk.exit(request), bot.desk.exit(request))
            assert bot.desk.exiting(opened.strategy_id)
            ends = [await ended(bot, workflow) for workflow, _ in both]
            assert sorted((each.state, each.limit) for each in ends) == [
                (WorkflowState.DONE, ""),
                (WorkflowState.REFUSED, "one_exit_at_a_time"),
            ]
            assert not bot.desk.exiting(opened.strategy_id)
            assert venue.positions_now() == {}
            workflow, _ = await exited(bot, opened.strategy_id)
            assert (workflow.state, workflow.limit) == (WorkflowState.REFUSED, "not_open")

    run_virtual(main())


def test_a_leg_the_venue_refuses_leaves_a_partial_strategy_that_the_next_exit_finishes(tmp_path: Path) -> None:
    """The first exit fails with a critical alert; the second closes what is left, and nothing twice."""

    async def main() -> None:
        venue = WatchedVenue(make_clock(), refused=frozenset({(2, Purpose.CLOSE)}))
        async with running(make_bot(tmp_path, venue._clock, venue, monitoring={"cycle_s": 1000.0})) as bot:
            opened = await entered(bot)
            workflow, strategy = await exited(bot, opened.strategy_id)
            assert (workflow.state, strategy.state) == (WorkflowState.FAILED, StrategyState.PARTIAL)
            assert [leg.held for leg in strategy.legs] == [1, 0, 1, 1]  # the wings wait for the shorts
            assert "partial_exit" in [each.source for each in bot.alerts.list()]
            venue.refused = frozenset()
            workflow, strategy = await exited(bot, opened.strategy_id)
            assert (workflow.state, strategy.state) == (WorkflowState.DONE, StrategyState.CLOSED)
            assert venue.positions_now() == {}

    run_virtual(main())


def test_a_wing_that_nobody_bids_for_is_left_to_expire_and_watched_no_more(tmp_path: Path) -> None:
    """The strategy is closed without an order for it, and it keeps neither a market line nor room in the book."""

    async def main() -> None:
        venue = WatchedVenue(make_clock())
        async with running(make_bot(tmp_path, venue._clock, venue)) as bot:
            opened = await entered(bot)
            wing = bot.strategies.get(opened.strategy_id).legs[0]
            price = venue._exchange.price

            def worthless(instrument: Instrument, at: Any) -> Quote:
                quote = price(instrument, at)
                return msgspec.structs.replace(quote, bid=0.0, ask=0.01) if instrument == wing.leg.contract else quote

            venue._exchange.price = worthless  # type: ignore[method-assign]
            await asyncio.sleep(2.0)
            assert bot.lines._pins[wing.leg.contract] == 1
            workflow, strategy = await exited(bot, opened.strategy_id)
            assert (workflow.state, strategy.state) == (WorkflowState.DONE, StrategyState.CLOSED)
            assert (strategy.legs[0].state, strategy.legs[0].held) == (LegState.EXPIRING, 1)
            assert len(bot.inbox.orders.of_workflow(workflow.id)) == 3
            assert venue.positions_now() == {wing.leg.contract.key: 1}
            assert bot.lines._pins[wing.leg.contract] == 0
            assert (len(bot.book), bot.valuation._held) == (0, {})
            await bot.reconciler.run()
            assert bot.reconciler.differences == ()

    run_virtual(main())


def test_without_a_quote_a_leg_is_closed_at_the_market(tmp_path: Path) -> None:
    """Getting out does not wait for a price; with quotes the limits are marketable."""

    async def main() -> None:
        venue = WatchedVenue(make_clock())
        async with running(make_bot(tmp_path, venue._clock, venue)) as bot:
            opened = await entered(bot)
            strategy = bot.strategies.get(opened.strategy_id)
            dark = strategy.legs[1].leg.contract
            bot.board.forget(dark)
            workflow, strategy = await exited(bot, opened.strategy_id)
            assert strategy.state is StrategyState.CLOSED
            orders = {order.intent.contract: order.intent for order in bot.inbox.orders.of_workflow(workflow.id)}
            assert (orders.pop(dark).order_type, len(orders)) == (OrderType.MARKET, 3)
            assert {each.order_type for each in orders.values()} == {OrderType.LIMIT}
            assert {leg.leg.side.opposite for leg in strategy.legs[1:3]} == {Side.BUY}

    run_virtual(main())


def test_no_gate_and_no_breaker_stands_in_the_way_of_an_exit(tmp_path: Path) -> None:
    """With the breaker open and every limit at nothing, what is open is still closed."""

    async def main() -> None:
        venue = WatchedVenue(make_clock())
        async with running(make_bot(tmp_path, venue._clock, venue, breaker={"failures_max": 1})) as bot:
            opened = await entered(bot)
            bot.breaker.allow().failed()
            assert (await entered(bot)).limit == "breaker"
            workflow, strategy = await exited(bot, opened.strategy_id)
            assert (workflow.state, strategy.state) == (WorkflowState.DONE, StrategyState.CLOSED)

    run_virtual(main())
