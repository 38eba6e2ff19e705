"""What a bot leaves behind when it stops: nothing. Real loop, real doors, real files."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from support.facts import CACHE
from tradebot.domain.errors import StoreError
from tradebot.domain.strategies import StrategyKind, StrategyState
from tradebot.domain.workflows import FINAL_WORKFLOW_STATES, EntryRequest, ExitRequest, Workflow
from tradebot.profiles import options
from tradebot.profiles.bot import Bot
from tradebot.profiles.build import build_bot
from tradebot.profiles.settings import load_settings

CONDOR = EntryRequest(symbol="SPY", kind=StrategyKind.IRON_CONDOR)
# Histories and registers of facts live as long as the bot itself: they hold no resource, only memory of it.
LIVE_WITH_THE_BOT = {
    "alerts",
    "alerts.active",
    "orders.open",
    "orders.settled",
    "pricing.book",
    "strategies.finished",
    "strategies.held",
    "workflows",
    "workflows.key_of",
    "workflows.keys",
}


@contextmanager
def nothing_left() -> Iterator[None]:
    """No thread, descriptor or socket more than before, and no task but the test's own."""
    process = psutil.Process()
    gc.collect()
    threads, files, sockets = set(threading.enumerate()), process.num_fds(), len(process.net_connections())
    yield
    gc.collect()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert set(threading.enumerate()) <= threads
    assert process.num_fds() <= files
    assert len(process.net_connections()) <= sockets


def make_bot(folder: Path, *, event_log: Path | None = None, **overrides: Any) -> Bot:
    settings = load_settings(
        options.SETTINGS,
        file=None,
        environ=CACHE,
        overrides={"data_dir": str(folder)} | overrides,
    )
    return build_bot(settings, epoch=datetime.now(UTC), event_log=event_log)


async def ended(bot: Bot, workflow: Workflow) -> Workflow:
    async with asyncio.timeout(20.0):
        while bot.workflows.get(workflow.id).state not in FINAL_WORKFLOW_STATES:  # noqa: ASYNC110 - a bounded wait
            await asyncio.sleep(0.005)
    return bot.workflows.get(workflow.id)


async def lived(folder: Path, *, event_log: Path | None = None) -> Bot:
    """Started, traded and stopped."""
    bot = make_bot(folder, event_log=event_log, monitoring={"cycle_s": 0.05})
    await bot.start()
    async with asyncio.timeout(20.0):
        await bot.wait_ready()
    entry, _ = await bot.desk.enter(CONDOR)
    entry = await ended(bot, entry)
    exit_, _ = await bot.desk.exit(ExitRequest(strategy_id=entry.strategy_id))
    await ended(bot, exit_)
    assert bot.strategies.get(entry.strategy_id).state is StrategyState.CLOSED
    await bot.stop()
    return bot


def test_a_bot_that_traded_leaves_nothing_behind(tmp_path: Path) -> None:
    """Tasks, threads, descriptors, sockets and bounds are as before; stopping again is harmless."""

    async def main() -> None:
        await lived(tmp_path / "first")  # the lake's library starts threads of its own at its first use
        with nothing_left():
            bot = await lived(tmp_path / "second", event_log=tmp_path / "events.jsonl")
            assert {each.name for each in bot.bounds.snapshot()} == LIVE_WITH_THE_BOT
            await bot.stop()
            assert not bot.ready
            assert bot.supervisor.alive() == ()
        assert b'"type":"fill"' in (tmp_path / "events.jsonl").read_bytes()

    asyncio.run(main())


def test_a_stop_in_the_midst_of_an_entry_leaves_nothing_and_the_next_start_ends_it(tmp_path: Path) -> None:
    """The workflow is taken up again, and its strategy holds what the journal and the venue say."""

    async def main() -> None:
        await lived(tmp_path / "first")
        with nothing_left():
            slow = {"latency_min_s": 0.1, "latency_max_s": 0.1}
            bot = make_bot(tmp_path / "second", paper=slow)
            await bot.start()
            await bot.wait_ready()
            workflow, _ = await bot.desk.enter(CONDOR)
            async with asyncio.timeout(20.0):
                while not bot.inbox.orders.open_orders():  # noqa: ASYNC110 - a bounded wait
                    await asyncio.sleep(0.005)
            assert workflow.id in bot.supervisor.alive()
            await bot.stop()
            assert bot.workflows.get(workflow.id).state not in FINAL_WORKFLOW_STATES
        with nothing_left():
            again = make_bot(tmp_path / "second", paper=slow)
            await again.start()
            await again.wait_ready()
            assert (await ended(again, workflow)).state in FINAL_WORKFLOW_STATES
            assert again.inbox.orders.open_orders() == ()
            await again.stop()

    asyncio.run(main())


@pytest.mark.parametrize("waits_s", [0.0, 0.5], ids=["at_once", "after_attempts"])
def test_a_bot_whose_venue_is_not_there_starts_and_stops(tmp_path: Path, waits_s: float) -> None:
    """It is up and not ready while it tries; a stop at any time leaves nothing behind."""

    async def main() -> None:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))  # bound and not listening: a connection is refused
            await lived(tmp_path / "first")
            venue = {"port": closed.getsockname()[1], "connect_timeout_s": 1.0}
            with nothing_left():
                bot = make_bot(tmp_path / "second", venue="ibkr", ibkr=venue)
                await bot.start()
                await asyncio.sleep(waits_s)
                assert not bot.ready
                assert bot.health()["venue_connected"] is False
                await bot.stop()
                await bot.stop()
                assert {each.name for each in bot.bounds.snapshot()} == LIVE_WITH_THE_BOT

    asyncio.run(main())


def test_a_bot_that_cannot_start_leaves_nothing_behind(tmp_path: Path) -> None:
    """Two bots on one journal would double orders: the second one is refused, and stopped it is gone."""

    async def main() -> None:
        await lived(tmp_path / "first")
        bot = make_bot(tmp_path / "second")
        await bot.start()
        await bot.wait_ready()
        with nothing_left_but(asyncio.all_tasks()):
            other = make_bot(tmp_path / "second")
            with pytest.raises(StoreError):
                await other.start()
            await other.stop()
        await bot.stop()

    asyncio.run(main())


@contextmanager
def nothing_left_but(tasks: set[asyncio.Task[Any]]) -> Iterator[None]:
    """As above, beside what runs already."""
    threads = set(threading.enumerate())
    yield
    assert asyncio.all_tasks() <= tasks
    assert set(threading.enumerate()) <= threads
