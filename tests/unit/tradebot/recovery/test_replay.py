"""Replay: memory is rebuilt exactly, without a word to anybody."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from support.paper_bot import CONDOR, WatchedVenue, ended, entered, make_bot, make_clock
from tradebot.domain.alerts import AlertState
from tradebot.domain.orders import Purpose
from tradebot.domain.workflows import EntryRequest, ExitRequest
from tradebot.kernel.bus import WhenFull
from tradebot.kernel.virtual import run_virtual
from tradebot.profiles.bot import Bot

TWO = EntryRequest(symbol="SPY", kind=CONDOR.kind, quantity=2)


def remembered(bot: Bot) -> dict[str, Any]:
    return {
        "orders": {order.intent.client_id: order for order in bot.inbox.orders.all()},
        "positions": bot.inbox.positions.all(),
        "strategies": {each.id: each for each in bot.strategies.all()},
        "workflows": bot.workflows.all(),
        "alerts": bot.alerts.list(),
    }


def test_a_replay_gives_back_what_was_before_the_stop(tmp_path: Path) -> None:
    """Orders, positions, strategies, workflows with their keys and alerts are equal, struct by struct."""

    async def main() -> None:
        venue = WatchedVenue(make_clock(), partial_fills=True, refused=frozenset({(0, Purpose.CLOSE)}))
        bot = make_bot(tmp_path, venue._clock, venue, monitoring={"cycle_s": 1000.0})
        await bot.start()
        await bot.wait_ready()
        opened = await entered(bot, TWO)
        kept, _ = await bot.desk.enter(EntryRequest(symbol="QQQ", kind=CONDOR.kind), key="k")
        kept = await ended(bot, kept)
        workflow, _ = await bot.desk.exit(ExitRequest(strategy_id=opened.strategy_id))
        await ended(bot, workflow)
        alert = bot.alerts.move(bot.alerts.list()[-1].id, AlertState.ACKNOWLEDGED)
        before = remembered(bot)
        await bot.stop()

        again = make_bot(tmp_path, venue._clock, venue)
        heard = again.bus.subscribe("test", capacity=10, when_full=WhenFull.REFUSE)
        # Replayed, and not yet connected: `start` returns before the venue is reached.
        await again.start()
        assert remembered(again) == before
        assert heard.drain() == []
        assert again.inbox.orders.open_orders() == ()
        assert alert in again.alerts.list(AlertState.ACKNOWLEDGED)
        assert await again.workflows.accept(kept.request, "k") == (kept, False)
        await again.stop()

    run_virtual(main())


def test_a_replay_counts_each_kind_of_record(tmp_path: Path) -> None:
    """Said once at the start, so that an operator sees what a journal holds."""
    said: list[dict[str, int]] = []

    async def main() -> None:
        from tradebot.recovery.replay import replay

        venue = WatchedVenue(make_clock())
        bot = make_bot(tmp_path, venue._clock, venue)
        await bot.start()
        await bot.wait_ready()
        await entered(bot)
        await bot.store.journal.flush()
        fresh = make_bot(tmp_path / "other", venue._clock, WatchedVenue(venue._clock))
        said.append(
            await replay(
                bot.store.journal.replay(),
                orders=fresh.inbox.orders,
                positions=fresh.inbox.positions,
                strategies=fresh.strategies,
                workflows=fresh.workflows,
                alerts=fresh.alerts,
            )
        )
        await bot.stop()
        await asyncio.sleep(0)

    run_virtual(main())
    assert said == [
        {
            "WorkflowRecorded": 4,
            "StrategyRecorded": 2,
            "IntentRecorded": 4,
            "OrderChangedRecord": 8,
            "FillRecorded": 4,
        }
    ]
