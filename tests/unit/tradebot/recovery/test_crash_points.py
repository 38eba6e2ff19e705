"""Cut the journal after each record of an entry and an exit: what comes back is what the venue holds."""

from __future__ import annotations

import asyncio
from collections import Counter
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from support.paper_bot import CONDOR, PowerCut, WatchedVenue, crash, ended, make_bot, make_clock, running, until
from tradebot.domain.errors import TradebotError
from tradebot.domain.orders import FINAL_ORDER_STATES, Purpose
from tradebot.domain.strategies import StrategyState
from tradebot.domain.workflows import EntryRequest, ExitRequest
from tradebot.kernel.virtual import run_virtual
from tradebot.profiles.bot import Bot

RECORDS_MAX = 60  # of one entry and one exit; the loop ends by itself where there are fewer
TWO = EntryRequest(symbol=CONDOR.symbol, kind=CONDOR.kind, quantity=2)


async def trade(bot: Bot) -> None:
    """An entry, and an exit of what it opened."""
    workflow, _ = await bot.desk.enter(TWO, key="entry")
    entry = await ended(bot, workflow)
    if bot.strategies.get(entry.strategy_id).state is StrategyState.OPEN:
        workflow, _ = await bot.desk.exit(ExitRequest(strategy_id=entry.strategy_id), key="exit")
        await ended(bot, workflow)
    await bot.store.journal.flush()


def held_by_strategies(bot: Bot) -> dict[str, int]:
    held: Counter[str] = Counter()
    for strategy in bot.strategies.all():
        for leg in strategy.legs:
            held[leg.leg.contract.key] += leg.leg.side.sign * leg.held
    return {contract: quantity for contract, quantity in held.items() if quantity}


def remembered(bot: Bot) -> dict[str, Any]:
    """All that a restart must bring back, in an order of its own."""
    return {
        "orders": {order.intent.client_id: order for order in bot.inbox.orders.all()},
        "positions": bot.inbox.positions.all(),
        "strategies": {each.id: each for each in bot.strategies.all()},
        "workflows": {each.id: each for each in bot.workflows.all()},
        "alerts": {each.id: each for each in bot.alerts.list()},
    }


def quiet(bot: Bot) -> bool:
    """Nothing is under way, and no strategy waits for its repair."""
    held = bot.strategies.held()
    return not bot.workflows.unfinished() and all(each.state is not StrategyState.PARTIAL for each in held)


def assert_same(bot: Bot, venue: WatchedVenue) -> None:
    """Orders, positions and strategies are those of the venue, and nothing was sent twice."""
    at_venue = venue.orders_now()
    ours = {order.intent.client_id: order for order in bot.inbox.orders.all()}
    assert not venue.doubled
    assert at_venue.keys() <= ours.keys()
    for client_id, order in ours.items():
        assert order.state in FINAL_ORDER_STATES
        if client_id in at_venue:
            assert (order.state, order.filled) == (at_venue[client_id].state, at_venue[client_id].filled)
        else:
            assert (order.reason, order.filled) == ("it never reached the venue", 0)
    assert not bot.inbox.orders.open_orders()
    positions = {each.contract.key: each.quantity for each in bot.inbox.positions.all()}
    assert positions == venue.positions_now() == held_by_strategies(bot)
    for strategy in bot.strategies.all():
        assert strategy.state in {StrategyState.OPEN, StrategyState.CLOSED, StrategyState.FAILED}
        if strategy.state is StrategyState.OPEN:
            assert {leg.held for leg in strategy.legs} == {strategy.remaining}
    assert not bot.valuation._pending


async def cut_and_come_back(folder: Path, records: int, *, wire_lost: bool, venue: WatchedVenue) -> bool:
    """Whether the cut lay before the end of the trade."""
    bot = make_bot(folder, venue._clock, venue)
    await bot.start()
    await bot.wait_ready()
    cut = PowerCut(bot, records)
    work = asyncio.create_task(trade(bot))
    dark = asyncio.create_task(cut.out.wait())
    await asyncio.wait({work, dark}, return_when=asyncio.FIRST_COMPLETED)
    interrupted = cut.out.is_set()
    work.cancel()
    dark.cancel()
    await asyncio.gather(work, dark, return_exceptions=True)
    await crash(bot, venue, wire_lost=wire_lost)

    venue.refused = frozenset()
    async with running(make_bot(folder, venue._clock, venue)) as second:
        await until(lambda: quiet(second))
        await second.reconciler.run()
        assert not second.reconciler.differences
        assert_same(second, venue)
        before = remembered(second)
    if records % 3 == 0:  # a restart without a crash is the same whatever came before: every third is proof enough
        sent = venue.sent.copy()
        async with running(make_bot(folder, venue._clock, venue)) as third:
            assert remembered(third) == before
        assert venue.sent == sent
    return interrupted


@pytest.mark.parametrize("wire_lost", [False, True], ids=["wire_arrives", "wire_lost"])
@pytest.mark.parametrize(
    ("refused", "partial_fills"),
    [
        (frozenset(), True),
        (frozenset({(1, Purpose.OPEN)}), False),
        (frozenset({(0, Purpose.OPEN)}), False),
    ],
    ids=["in_parts", "short_leg_refused", "long_leg_refused"],
)
def test_a_crash_after_any_record_loses_and_doubles_nothing(
    tmp_path: Path, refused: frozenset[tuple[int, Purpose]], partial_fills: bool, wire_lost: bool
) -> None:
    """Restart and resume end with the venue's orders and positions, each strategy's legs, and no order sent twice."""

    async def one(records: int) -> bool:
        venue = WatchedVenue(make_clock(), refused=refused, partial_fills=partial_fills)
        return await cut_and_come_back(tmp_path / str(records), records, wire_lost=wire_lost, venue=venue)

    for records in count():
        try:
            interrupted = run_virtual(one(records))
        except (AssertionError, TradebotError, TimeoutError) as error:
            raise AssertionError(f"cut after {records} records: {error!r}") from error
        if not interrupted:
            break
        assert records < RECORDS_MAX
    assert records > 10
