"""A whole bot on paper, in virtual time: for tests of what the rooms do together, and of what a crash leaves.

Clock and venue outlive any bot, as they do in the world; `crash` ends a bot without a word to its journal.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from support.facts import CACHE
from tradebot.domain.market import Quote
from tradebot.domain.orders import Fill, OrderIntent, OrderUpdate, Purpose
from tradebot.domain.strategies import StrategyKind
from tradebot.domain.workflows import FINAL_WORKFLOW_STATES, EntryRequest, Workflow
from tradebot.kernel.bounds import Bounds
from tradebot.kernel.clock import Clock
from tradebot.profiles import options
from tradebot.profiles.bot import Bot
from tradebot.profiles.settings import load_settings
from tradebot.store.records import Row
from tradebot.venues.paper.exchange import PaperSettings
from tradebot.venues.paper.feed import RandomWalkFeed
from tradebot.venues.paper.venue import PaperVenue

START = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
CONDOR = EntryRequest(symbol="SPY", kind=StrategyKind.IRON_CONDOR)


class Deaf:
    """Listens for a bot that is dead: what is on the wire still arrives at the venue."""

    def on_quote(self, quote: Quote) -> None: ...
    def on_bad_message(self, reason: str) -> None: ...
    def on_order(self, update: OrderUpdate) -> None: ...
    def on_fill(self, fill: Fill) -> None: ...
    def on_connection(self, connected: bool, reason: str) -> None: ...


class WatchedVenue(PaperVenue):
    """Counts what it is sent, and refuses the legs it is told to."""

    def __init__(self, clock: Clock, *, refused: frozenset[tuple[int, Purpose]] = frozenset(), **settings: Any) -> None:
        feed = RandomWalkFeed(seed=1, start=clock.now())
        super().__init__(PaperSettings(**settings), feed, clock, Bounds(), seed=1)
        self.refused = refused
        self.sent: Counter[str] = Counter()
        self.doubled: list[str] = []
        judge = self._exchange._refusal
        self._exchange._refusal = lambda intent: (  # type: ignore[method-assign] # one more reason to refuse
            "refused by the test" if (intent.leg, intent.purpose) in self.refused else judge(intent)
        )

    async def place(self, intent: OrderIntent) -> None:
        self.sent[intent.client_id] += 1
        if self._exchange.knows(intent.client_id):
            self.doubled.append(intent.client_id)
        await super().place(intent)

    def orders_now(self) -> dict[str, OrderUpdate]:
        return {update.client_id: update for update in self._exchange.orders()}

    def positions_now(self) -> dict[str, int]:
        return {each.contract.key: each.quantity for each in self._exchange.ledger.positions()}


def make_bot(folder: Path, clock: Clock, venue: PaperVenue, *, event_log: Path | None = None, **overrides: Any) -> Bot:
    settings = load_settings(
        options.SETTINGS,
        file=None,
        environ=CACHE,
        overrides={"data_dir": str(folder / "bot")} | overrides,
    )
    bot = Bot(settings, clock=clock, bounds=Bounds(), venue=venue, virtual=True, event_log=event_log)
    bot.store.writer.add = lambda *_rows: None  # type: ignore[method-assign] # the lake has tests of its own, and time
    return bot


def make_clock() -> Clock:
    return Clock(asyncio.get_running_loop(), START)


@asynccontextmanager
async def running(bot: Bot) -> AsyncIterator[Bot]:
    """Started, ready, and stopped whatever happens."""
    try:
        await bot.start()
        async with asyncio.timeout(60.0):
            await bot.wait_ready()
        yield bot
    finally:
        await bot.stop()


async def until(what: Callable[[], Any], *, timeout_s: float = 120.0) -> None:
    """In virtual time, so that waiting costs nothing."""
    async with asyncio.timeout(timeout_s):
        while not what():  # noqa: ASYNC110 - a condition of many rooms, and virtual time costs nothing
            await asyncio.sleep(0.01)


async def ended(bot: Bot, workflow: Workflow) -> Workflow:
    await until(lambda: bot.workflows.get(workflow.id).state in FINAL_WORKFLOW_STATES)
    return bot.workflows.get(workflow.id)


async def entered(bot: Bot, request: EntryRequest = CONDOR) -> Workflow:
    workflow, _ = await bot.desk.enter(request)
    return await ended(bot, workflow)


class PowerCut:
    """Lets the first `rows` records of a bot's journal become durable, and then nothing any more."""

    def __init__(self, bot: Bot, rows: int) -> None:
        self.out = asyncio.Event()
        self.written = 0
        self._left = rows
        journal = bot.store.journal
        insert, commit = journal._file.insert, journal._commit

        def part(found: Sequence[Row]) -> int:
            kept, self._left = found[: self._left], max(self._left - len(found), 0)
            self.written += len(kept)
            if len(kept) < len(found):
                self.out.set()
            return insert(kept)

        async def until_dark(batch: list[Any]) -> None:
            if self.out.is_set():
                await asyncio.Event().wait()
            done = [item for item in batch if item[1] is not None]
            await commit([(row, None) for row, _ in batch])
            if self.out.is_set():
                await asyncio.Event().wait()
            await commit([(None, waiter) for _, waiter in done])

        journal._file.insert = part  # type: ignore[method-assign, assignment]
        journal._commit = until_dark  # type: ignore[method-assign]


async def crash(bot: Bot, venue: PaperVenue, *, wire_lost: bool) -> None:
    """The bot is gone between two of its records. What it had put on the wire arrives, or is lost with it."""
    if venue.connected and not wire_lost:
        venue._listener = Deaf()
        await asyncio.sleep(0.1)
    await bot.supervisor.stop()
    await venue.close()
    writer = bot.store.journal._writer
    assert writer is not None
    writer.cancel()
    await asyncio.gather(writer, return_exceptions=True)
    bot.store.journal._queue.clear()
    bot.store.journal._writer = None
    bot.store.journal._file.close()
    await bot.store.stop()
    bot.bus.close()
