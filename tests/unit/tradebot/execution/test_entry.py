"""Entries on a whole bot, on paper."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import astuple

from support.paper_bot import CONDOR, WatchedVenue, ended, entered, make_bot, make_clock, running
from tradebot.domain.alerts import Severity
from tradebot.domain.errors import QueueFull, StoreError
from tradebot.domain.events import OrderPlaced
from tradebot.domain.orders import Purpose
from tradebot.domain.strategies import LegState, StrategyState
from tradebot.domain.workflows import EntryRequest, WorkflowState
from tradebot.kernel.bus import WhenFull
from tradebot.kernel.virtual import run_virtual
from tradebot.store.records import FillRecorded, IntentRecorded, Record, StrategyRecorded

TWO = EntryRequest(symbol="SPY", kind=CONDOR.kind, quantity=2)


async def records(bot: Any) -> list[Record]:
    await bot.store.journal.flush()
    return [record async for record in bot.store.journal.replay()]


def test_an_entry_opens_a_strategy_whose_intents_were_durable_before_the_wire(tmp_path: Path) -> None:
    """Its steps are timed, its strategy holds what the venue holds, and each intent was written before it was sent."""

    async def main() -> None:
        venue = WatchedVenue(make_clock())
        bot = make_bot(tmp_path, venue._clock, venue)
        durable: list[bool] = []
        place = venue.place

        async def look_first(intent: Any) -> None:
            written = [each.intent for each in await all_records() if isinstance(each, IntentRecorded)]
            durable.append(intent in written)
            await place(intent)

        async def all_records() -> list[Record]:
            return [record async for record in bot.store.journal.replay()]

        venue.place = look_first  # type: ignore[method-assign]
        async with running(bot):
            workflow = await entered(bot, TWO)
            assert workflow.state is WorkflowState.DONE
            assert [step.name for step in workflow.steps] == ["quotes", "plan", "gates", "journal", "legs", "book"]
            strategy = bot.strategies.get(workflow.strategy_id)
            assert (strategy.state, strategy.remaining) == (StrategyState.OPEN, 2)
            assert {
                leg.leg.contract.key: leg.leg.side.sign * leg.held for leg in strategy.legs
            } == venue.positions_now()
            assert durable == [True] * 4
            assert astuple(bot.portfolio_greeks()) == pytest.approx(astuple(bot.book.strategy(strategy.id)), rel=1e-12)

    run_virtual(main())


def test_an_entry_that_a_gate_refuses_writes_and_sends_nothing(tmp_path: Path) -> None:
    """The workflow carries the limit's name; there is no strategy, no intent and no order."""

    async def main() -> None:
        venue = WatchedVenue(make_clock())
        bot = make_bot(tmp_path, venue._clock, venue, limits={"vix_below": 1.0})
        async with running(bot):
            workflow = await entered(bot)
            assert (workflow.state, workflow.limit, workflow.strategy_id) == (WorkflowState.REFUSED, "vix", "")
            assert bot.strategies.all() == ()
            assert not venue.sent
            assert not any(isinstance(each, IntentRecorded | StrategyRecorded) for each in await records(bot))

    run_virtual(main())


@pytest.mark.parametrize("refused", [0, 1], ids=["long", "short"])
def test_a_refused_leg_gives_back_what_was_filled(tmp_path: Path, refused: int) -> None:
    """The strategy failed with the venue's reason and holds nothing; the account is flat."""

    async def main() -> None:
        venue = WatchedVenue(make_clock(), refused=frozenset({(refused, Purpose.OPEN)}))
        bot = make_bot(tmp_path, venue._clock, venue)
        async with running(bot):
            workflow = await entered(bot, TWO)
            strategy = bot.strategies.get(workflow.strategy_id)
            assert (workflow.state, strategy.state) == (WorkflowState.FAILED, StrategyState.FAILED)
            assert workflow.error == strategy.reason == "refused by the test"
            assert venue.positions_now() == {}
            assert strategy.legs[refused].state is LegState.CANCELLED
            assert bot.inbox.orders.open_orders() == ()
            assert bot.valuation._pending == {}

    run_virtual(main())


def test_legs_that_cannot_be_given_back_make_it_partial_and_a_critical_alert(tmp_path: Path) -> None:
    """A person is told at once; the strategy says what is held."""

    async def main() -> None:
        refused = frozenset({(1, Purpose.OPEN), (0, Purpose.UNWIND)})
        venue = WatchedVenue(make_clock(), refused=refused)
        bot = make_bot(tmp_path, venue._clock, venue, monitoring={"cycle_s": 1000.0})
        async with running(bot):
            workflow = await entered(bot, TWO)
            strategy = bot.strategies.get(workflow.strategy_id)
            assert (workflow.state, strategy.state) == (WorkflowState.FAILED, StrategyState.PARTIAL)
            assert [leg.held for leg in strategy.legs] == [2, 0, 0, 0]
            critical = [each.source for each in bot.alerts.list() if each.severity is Severity.CRITICAL]
            assert critical == ["partial_entry"]

    run_virtual(main())


def test_an_unwinding_that_cannot_be_made_durable_leaves_a_partial_strategy_and_an_alert(tmp_path: Path) -> None:
    """Nothing is sent without its record; what is held is known, and monitoring repairs it once the disk is back."""

    async def main() -> None:
        venue = WatchedVenue(make_clock(), refused=frozenset({(1, Purpose.OPEN)}))
        bot = make_bot(tmp_path, venue._clock, venue)
        append = bot.store.journal.append

        async def no_unwinding(record: Record) -> None:
            if isinstance(record, IntentRecorded) and record.intent.purpose is Purpose.UNWIND:
                raise StoreError("disk full")
            await append(record)

        bot.store.journal.append = no_unwinding  # type: ignore[method-assign]
        async with running(bot):
            workflow = await entered(bot)
            assert bot.strategies.get(workflow.strategy_id).state is StrategyState.PARTIAL
            assert "partial_entry" in [each.source for each in bot.alerts.list()]
            assert not any(name.endswith("u") for name in venue.sent)
            await asyncio.sleep(60.0)
            assert bot.strategies.get(workflow.strategy_id).state is StrategyState.CLOSED
            assert venue.positions_now() == {}

    run_virtual(main())


@pytest.mark.parametrize("error", [StoreError("disk full"), QueueFull("too many orders")])
def test_intents_that_cannot_be_kept_fail_the_entry_and_leave_nothing_behind(tmp_path: Path, error: Exception) -> None:
    """No order is sent or in flight, and the strategy does not stay pending, where it would fill a limit for ever."""

    async def main() -> None:
        venue = WatchedVenue(make_clock())
        bot = make_bot(tmp_path, venue._clock, venue)
        if isinstance(error, QueueFull):
            register, room = bot.inbox.orders.register, iter([True, True, False])

            def crowded(intent: Any) -> None:
                if not next(room):
                    raise error
                register(intent)

            bot.inbox.orders.register = crowded  # type: ignore[method-assign]
        else:
            append = bot.store.journal.append

            async def full(record: Record) -> None:
                if isinstance(record, IntentRecorded):
                    raise error
                await append(record)

            bot.store.journal.append = full  # type: ignore[method-assign]
        async with running(bot):
            workflow = await entered(bot)
            assert (workflow.state, workflow.error) == (WorkflowState.FAILED, str(error))
            assert [each.state for each in bot.strategies.all()] == [StrategyState.FAILED]
            assert bot.inbox.orders.open_orders() == ()
            assert not venue.sent

    run_virtual(main())


def test_entries_at_once_cannot_slip_under_one_limit_together(tmp_path: Path) -> None:
    """Of ten condors in one instant exactly as many pass as the limit on positions in one symbol allows."""

    async def main() -> None:
        venue = WatchedVenue(make_clock())
        limits = {"symbol_positions_max": 3, "correlated_equity_share_max": None, "symbol_delta_max": None}
        bot = make_bot(tmp_path, venue._clock, venue, limits=limits)
        async with running(bot):
            accepted = await asyncio.gather(*(bot.desk.enter(CONDOR) for _ in range(10)))
            workflows = [await ended(bot, workflow) for workflow, _ in accepted]
            states = [each.state for each in workflows]
            assert (states.count(WorkflowState.DONE), states.count(WorkflowState.REFUSED)) == (3, 7)
            assert {each.limit for each in workflows} == {"", "symbol_positions"}
            assert sum(venue.sent.values()) == 12

    run_virtual(main())


def test_greeks_on_their_way_count_as_if_they_were_held(tmp_path: Path) -> None:
    """Of ten condors in one instant as many pass as the limit on gamma bears, though none is in the book yet."""

    async def main() -> None:
        wide = {"correlated_equity_share_max": None, "symbol_delta_max": None, "portfolio_delta_max": None}
        venue = WatchedVenue(make_clock())
        async with running(make_bot(tmp_path / "one", venue._clock, venue, limits=wide)) as bot:
            await entered(bot)
            gamma = abs(bot.portfolio_greeks().gamma)
        venue = WatchedVenue(venue._clock)
        limits = wide | {"portfolio_gamma_max": 2.5 * gamma}
        async with running(make_bot(tmp_path / "ten", venue._clock, venue, limits=limits)) as bot:
            accepted = await asyncio.gather(*(bot.desk.enter(CONDOR) for _ in range(10)))
            workflows = [await ended(bot, workflow) for workflow, _ in accepted]
            assert [each.state for each in workflows].count(WorkflowState.DONE) == 2
            assert {each.limit for each in workflows} == {"", "portfolio_gamma"}

    run_virtual(main())


def test_a_dry_run_plans_and_asks_the_gates_and_leaves_no_trace(tmp_path: Path) -> None:
    """Accepted, refused by name, or impossible: nothing is written, sent or counted against the venue."""

    async def main() -> None:
        venue = WatchedVenue(make_clock())
        limits = {"position_equity_share_max": 0.0025, "symbol_delta_max": None, "portfolio_delta_max": None}
        bot = make_bot(tmp_path, venue._clock, venue, limits=limits | {"portfolio_gamma_max": None})
        async with running(bot):
            heard = bot.bus.subscribe("test", capacity=10, when_full=WhenFull.REFUSE, kinds=(OrderPlaced,))
            good = await bot.desk.dry_run(CONDOR)
            assert good.accepted
            assert good.plan is not None
            big = await bot.desk.dry_run(EntryRequest(symbol="SPY", kind=CONDOR.kind, quantity=50))
            assert (big.accepted, big.limit, big.plan is None) == (False, "position_risk", False)
            nowhere = await bot.desk.dry_run(EntryRequest(symbol="XYZ", kind=CONDOR.kind))
            assert not nowhere.accepted
            assert "XYZ" in nowhere.reason
            assert not bot.strategies.all()
            assert not bot.workflows.all()
            assert (heard.drain(), venue.positions_now()) == ([], {})
            assert not any(isinstance(each, IntentRecorded | FillRecorded) for each in await records(bot))

    run_virtual(main())


def test_five_entries_that_the_venue_fails_open_the_breaker(tmp_path: Path) -> None:
    """The sixth is refused by name and nothing of it is sent."""

    async def main() -> None:
        venue = WatchedVenue(make_clock(), refused=frozenset({(0, Purpose.OPEN)}))
        bot = make_bot(tmp_path, venue._clock, venue)
        async with running(bot):
            for _ in range(5):
                assert (await entered(bot)).state is WorkflowState.FAILED
            sent = sum(venue.sent.values())
            workflow = await entered(bot)
            assert (workflow.state, workflow.limit) == (WorkflowState.REFUSED, "breaker")
            assert sum(venue.sent.values()) == sent

    run_virtual(main())


def test_a_wrong_symbol_fails_the_entry_and_says_nothing_about_the_venue(tmp_path: Path) -> None:
    """However often somebody asks for it, the breaker stays closed for everybody else."""

    async def main() -> None:
        venue = WatchedVenue(make_clock())
        async with running(make_bot(tmp_path, venue._clock, venue, breaker={"failures_max": 1})) as bot:
            workflow = await entered(bot, EntryRequest(symbol="XYZ", kind=CONDOR.kind))
            assert workflow.state is WorkflowState.FAILED
            assert (await entered(bot)).state is WorkflowState.DONE

    run_virtual(main())
