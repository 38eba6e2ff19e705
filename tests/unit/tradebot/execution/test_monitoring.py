"""Monitoring on a whole bot: what the rules say becomes an exit, once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from support.paper_bot import CONDOR, WatchedVenue, entered, make_bot, make_clock, running, until
from tradebot.decisions.context import PositionView
from tradebot.decisions.engine import DecisionEngine
from tradebot.domain.decisions import Action, Decision, Urgency
from tradebot.domain.events import Decided, Event, GreeksChanged
from tradebot.domain.orders import Purpose
from tradebot.domain.strategies import StrategyState
from tradebot.domain.workflows import EntryRequest, ExitRequest
from tradebot.kernel.bus import Subscription, WhenFull
from tradebot.kernel.virtual import run_virtual
from tradebot.profiles.bot import Bot

TWO = EntryRequest(symbol="SPY", kind=CONDOR.kind, quantity=2)
Answer = Callable[[PositionView], Decision | None]


class Told:
    """A rule that says what a test tells it."""

    name = "told"
    priority = 1.0

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    def decide(self, view: PositionView) -> Decision | None:
        return self._answer(view)


def watched(tmp_path: Path, venue: WatchedVenue, answer: Answer, **overrides: Any) -> tuple[Bot, Subscription[Event]]:
    bot = make_bot(tmp_path, venue._clock, venue, **overrides)
    bot.monitoring._engine = DecisionEngine((Told(answer),))
    heard = bot.bus.subscribe("test", capacity=1_000, when_full=WhenFull.REFUSE, kinds=(Decided, GreeksChanged))
    return bot, heard


def decided(heard: Subscription[Event]) -> list[Decided]:
    return [each for each in heard.drain() if isinstance(each, Decided)]


def test_hold_does_nothing_and_greeks_are_published_each_cycle(tmp_path: Path) -> None:
    """No decision is told and no order sent; portfolio and symbol carry what the book says."""

    async def main() -> None:
        venue = WatchedVenue(make_clock())
        bot, heard = watched(tmp_path, venue, lambda _: None)
        async with running(bot):
            await entered(bot)
            heard.drain()
            cycles = bot.monitoring.cycles
            await asyncio.sleep(5.0)
            events = heard.drain()
            assert len(events) == bot.monitoring.cycles - cycles == 5
            greeks = [each for each in events if isinstance(each, GreeksChanged)]
            assert len(greeks) == 5
            assert greeks[-1].portfolio == greeks[-1].by_symbol["SPY"]
            assert greeks[-1].portfolio.vega != 0.0
            assert sum(venue.sent.values()) == 4

    run_virtual(main())


@pytest.mark.parametrize(
    ("urgency", "severity"), [(Urgency.IMMEDIATE, "warning"), (Urgency.NORMAL, "info")], ids=["now", "normal"]
)
def test_close_becomes_one_exit_and_one_alert(tmp_path: Path, urgency: Urgency, severity: str) -> None:
    """The strategy carries the rule's reason; while it is being closed nothing more is decided."""

    async def main() -> None:
        venue = WatchedVenue(make_clock())
        bot, heard = watched(tmp_path, venue, lambda _: Decision(Action.CLOSE, "told", "enough", urgency))
        async with running(bot):
            workflow = await entered(bot)
            await asyncio.sleep(5.0)
            strategy = bot.strategies.get(workflow.strategy_id)
            assert (strategy.state, strategy.reason) == (StrategyState.CLOSED, "told: enough")
            assert len(decided(heard)) == 1
            assert len(bot.workflows.all()) == 2
            assert [(str(each.severity), each.source) for each in bot.alerts.list()] == [(severity, "decision.told")]

    run_virtual(main())


def test_a_reduction_acts_once(tmp_path: Path) -> None:
    """Half of it goes; the rule, asked again each second, sees that and holds."""

    def half(view: PositionView) -> Decision | None:
        whole = view.strategy.remaining == view.strategy.quantity
        return Decision(Action.REDUCE, "told", "half", quantity=1) if whole else None

    async def main() -> None:
        venue = WatchedVenue(make_clock())
        bot, heard = watched(tmp_path, venue, half)
        async with running(bot):
            workflow = await entered(bot, TWO)
            await asyncio.sleep(10.0)
            strategy = bot.strategies.get(workflow.strategy_id)
            assert (strategy.state, strategy.remaining) == (StrategyState.OPEN, 1)
            assert [each.decision.action for each in decided(heard)] == [Action.REDUCE]
            assert sum(venue.sent.values()) == 8

    run_virtual(main())


def test_what_no_order_can_do_is_told_and_not_acted_on(tmp_path: Path) -> None:
    """ROLL, ADJUST and HEDGE are published for a person; nothing is sent."""

    async def main() -> None:
        venue = WatchedVenue(make_clock())
        bot, heard = watched(tmp_path, venue, lambda _: Decision(Action.ROLL, "told", "further out"))
        async with running(bot):
            workflow = await entered(bot)
            await asyncio.sleep(3.0)
            assert {each.decision.action for each in decided(heard)} == {Action.ROLL}
            assert bot.strategies.get(workflow.strategy_id).state is StrategyState.OPEN
            assert bot.alerts.list() == ()

    run_virtual(main())


def test_a_partial_strategy_is_repaired_at_once_and_then_with_a_pause(tmp_path: Path) -> None:
    """While the venue refuses there is one attempt in each pause, not one a second; in the end it is closed."""

    async def main() -> None:
        venue = WatchedVenue(make_clock(), refused=frozenset({(2, Purpose.CLOSE)}))
        bot, heard = watched(tmp_path, venue, lambda _: None, monitoring={"repair_every_s": 300.0})
        async with running(bot):
            workflow = await entered(bot)
            await bot.desk.exit(ExitRequest(strategy_id=workflow.strategy_id))
            await until(lambda: bot.strategies.get(workflow.strategy_id).state is StrategyState.PARTIAL)
            heard.drain()
            await asyncio.sleep(290.0)
            assert len(decided(heard)) == 1
            venue.refused = frozenset()
            await asyncio.sleep(20.0)
            assert bot.strategies.get(workflow.strategy_id).state is StrategyState.CLOSED
            assert venue.positions_now() == {}
            assert bot.monitoring._repaired_s.keys() <= {workflow.strategy_id}
            await asyncio.sleep(2.0)
            assert bot.monitoring._repaired_s == {}

    run_virtual(main())


def test_a_repair_does_not_hammer_a_venue_in_trouble(tmp_path: Path) -> None:
    """With the breaker open no repair starts; the pause then begins anew."""

    async def main() -> None:
        venue = WatchedVenue(make_clock(), refused=frozenset({(1, Purpose.OPEN), (0, Purpose.UNWIND)}))
        bot, _ = watched(tmp_path, venue, lambda _: None, breaker={"failures_max": 1, "open_s": 100.0})
        async with running(bot):
            workflow = await entered(bot)
            await asyncio.sleep(50.0)
            assert len(bot.workflows.all()) == 1
            venue.refused = frozenset()
            await asyncio.sleep(320.0)
            assert bot.strategies.get(workflow.strategy_id).state is StrategyState.CLOSED

    run_virtual(main())


def test_what_is_held_into_its_expiry_ends_and_a_person_is_told(tmp_path: Path) -> None:
    """No order can close it any more: it leaves the book and the limits, with a critical alert."""

    async def main() -> None:
        venue = WatchedVenue(make_clock())
        bot, _ = watched(tmp_path, venue, lambda _: None)
        async with running(bot):
            workflow = await entered(bot)
            strategy = bot.strategies.get(workflow.strategy_id)
            long_ago = (bot.clock.now() - timedelta(days=3)).date()
            past = msgspec.structs.replace(strategy.plan, expiry=long_ago)
            bot.strategies.restore(msgspec.structs.replace(strategy, plan=past))
            await asyncio.sleep(2.0)
            ended = bot.strategies.get(strategy.id)
            assert (ended.state, ended.remaining, ended.reason) == (StrategyState.CLOSED, 0, "expired")
            assert bot.strategies.held() == ()
            assert len(bot.book) == 0
            assert [each.source for each in bot.alerts.list()] == ["expired"]

    run_virtual(main())
