"""The desk, the autopilot that asks at it, and the planner behind it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from support.paper_bot import CONDOR, START, WatchedVenue, ended, entered, make_bot, make_clock, running
from tradebot.domain.errors import NotFound, QueueFull, Refused
from tradebot.domain.instruments import OptionContract
from tradebot.domain.market import Quote
from tradebot.domain.strategies import StrategyKind
from tradebot.domain.workflows import EntryRequest, ExitRequest, Workflow, WorkflowState
from tradebot.execution.planner import Planner
from tradebot.kernel.virtual import run_virtual
from tradebot.strategies import vertical
from tradebot.venues.paper.feed import RandomWalkFeed


@pytest.mark.parametrize("quantity", [0, -1, 1_001])
def test_a_quantity_out_of_bounds_is_refused_before_anything_is_accepted(tmp_path: Path, quantity: int) -> None:
    """Entries, dry runs and exits alike, by the limit's name; and an exit of nothing is not found."""

    async def main() -> None:
        venue = WatchedVenue(make_clock())
        async with running(make_bot(tmp_path, venue._clock, venue)) as bot:
            request = EntryRequest(symbol="SPY", kind=CONDOR.kind, quantity=quantity)
            for asked in (
                bot.desk.enter(request),
                bot.desk.dry_run(request),
                bot.desk.exit(ExitRequest(strategy_id="s", quantity=quantity)),
            ):
                with pytest.raises(Refused, match="between 1 and 1000") as refusal:
                    await asked
                assert refusal.value.limit == "quantity"
            with pytest.raises(NotFound):
                await bot.desk.exit(ExitRequest(strategy_id="s"))
            assert bot.workflows.all() == ()

    run_virtual(main())


def test_the_same_key_runs_once(tmp_path: Path) -> None:
    """Asked twice at once and again afterwards, an entry trades once."""

    async def main() -> None:
        venue = WatchedVenue(make_clock())
        async with running(make_bot(tmp_path, venue._clock, venue)) as bot:
            (first, _), (second, new) = await asyncio.gather(
                bot.desk.enter(CONDOR, key="k"), bot.desk.enter(CONDOR, key="k")
            )
            done = await ended(bot, first)
            assert (second.id, new) == (first.id, False)
            assert await bot.desk.enter(CONDOR, key="k") == (done, False)
            assert sum(venue.sent.values()) == 4

    run_virtual(main())


def test_more_work_than_the_supervisor_takes_is_refused_and_recorded_as_failed(tmp_path: Path) -> None:
    """The caller gets QueueFull, and after a restart nobody takes the workflow up."""

    async def main() -> None:
        venue = WatchedVenue(make_clock())
        async with running(make_bot(tmp_path, venue._clock, venue, jobs_max=1)) as bot:
            answers = await asyncio.gather(*(bot.desk.enter(CONDOR) for _ in range(2)), return_exceptions=True)
            assert [isinstance(each, QueueFull) for each in answers] == [False, True]
            for each in bot.workflows.all():
                await ended(bot, each)
            assert sorted(each.state for each in bot.workflows.all()) == [WorkflowState.DONE, WorkflowState.FAILED]
        async with running(make_bot(tmp_path, venue._clock, venue)) as again:
            assert again.workflows.unfinished() == ()
            assert sum(venue.sent.values()) == 4

    run_virtual(main())


def test_capacity_is_what_each_limit_leaves(tmp_path: Path) -> None:
    """With one condor open one position less is left in its symbol, and as many as before in another."""

    async def main() -> None:
        venue = WatchedVenue(make_clock())
        async with running(make_bot(tmp_path, venue._clock, venue)) as bot:
            await entered(bot)
            spy, qqq = await bot.desk.capacity("SPY"), await bot.desk.capacity("QQQ")
            assert (spy["symbol_positions"], qqq["symbol_positions"]) == (4.0, 5.0)
            assert spy["orders_in_flight"] == 100.0
            assert spy["iv_rank"] is None

    run_virtual(main())


def test_the_autopilot_enters_each_symbol_in_its_turn_and_survives_a_refusal(tmp_path: Path) -> None:
    """One entry each period through the same gates; a refusal is logged and the next symbol follows."""

    async def main() -> None:
        venue = WatchedVenue(make_clock())
        bot = make_bot(tmp_path, venue._clock, venue, autopilot={"every_s": 60.0}, symbols=["SPY", "IWM"])
        async with running(bot):
            await asyncio.sleep(185.0)
            requests = [each.request for each in bot.workflows.all()]
            assert [each.symbol for each in requests if isinstance(each, EntryRequest)] == ["SPY", "IWM", "SPY"]
            bot.desk.enter = refuse  # type: ignore[method-assign]
            await asyncio.sleep(120.0)
            assert bot.supervisor.restarts["autopilot"] == 0
            assert asked == ["IWM", "SPY"]

    asked: list[str] = []

    async def refuse(request: EntryRequest, key: str | None = None) -> tuple[Workflow, bool]:
        del key
        asked.append(request.symbol)
        raise Refused("vix", "too wild")

    run_virtual(main())


def test_the_planner_learns_how_volatile_an_underlying_is() -> None:
    """The candidates for the next entry follow the volatility of the quotes that the last one saw."""
    feed = RandomWalkFeed(seed=1, start=START)
    planner = Planner({StrategyKind.VERTICAL: vertical.SETTINGS}, rate=0.04)
    chain, spot = feed.chain("SPY", START), feed.spot("SPY", START)
    kind = StrategyKind.VERTICAL
    first = planner.candidates(kind, chain, spot=spot, at=START)

    def quoted(iv: float) -> dict[OptionContract, Quote]:
        found: dict[OptionContract, Quote] = {}
        for contract in first:
            price = feed.option(contract, START)
            found[contract] = Quote(instrument=contract, at=START, bid=price.bid, ask=price.ask, iv=iv)
        return found

    plan = planner.build(kind, quoted(0.16), spot=spot, at=START)
    assert planner.candidates(kind, chain, spot=spot, at=START) != first
    greeks = planner.greeks(plan, quoted(0.16), quantity=2, spot=spot, at=START)
    single = planner.greeks(plan, quoted(0.16), quantity=1, spot=spot, at=START)
    assert greeks.delta == pytest.approx(2 * single.delta)


def test_a_workflow_that_breaks_ends_as_failed_and_a_person_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error nobody thought of leaves no workflow running for ever, and is no secret."""

    async def main() -> None:
        venue = WatchedVenue(make_clock())
        async with running(make_bot(tmp_path, venue._clock, venue)) as bot:
            monkeypatch.setattr(bot.context.planner, "build", broken)
            workflow, _ = await bot.desk.enter(CONDOR)
            done = await ended(bot, workflow)
            assert (done.state, "ZeroDivisionError" in done.error) == (WorkflowState.FAILED, True)
            assert [alert.source for alert in bot.alerts.list()] == ["workflow_broken"]

    run_virtual(main())


def broken(*_args: object, **_kwargs: object) -> None:
    raise ZeroDivisionError


def test_more_unfinished_work_than_there_is_room_for_is_taken_up_in_turn(tmp_path: Path) -> None:
    """A restart with few places resumes everything, a few at a time."""

    async def main() -> None:
        venue = WatchedVenue(make_clock())
        async with running(make_bot(tmp_path, venue._clock, venue, jobs_max=1)) as bot:
            accepted = [(await bot.workflows.accept(CONDOR, None))[0] for _ in range(3)]
            for workflow in accepted:
                await bot.desk.resume(workflow)
            assert {(await ended(bot, each)).state for each in accepted} == {WorkflowState.DONE}

    run_virtual(main())
