"""The reference bot of the cases: the options profile on its paper venue, in virtual time, in a folder of its own.

settings -> `PaperBot` -> its loop, on which `run` drives whatever a case asks of it -> `close`, after which neither
loop nor folder is left. The limits are off, because a case asks for more than a desk would.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import structlog

from tradebot.domain.strategies import Strategy, StrategyKind, StrategyState
from tradebot.domain.workflows import FINAL_WORKFLOW_STATES, EntryRequest, ExitRequest, Workflow, WorkflowState
from tradebot.kernel.virtual import VirtualLoop
from tradebot.profiles import options
from tradebot.profiles.bot import Bot
from tradebot.profiles.build import build_bot
from tradebot.profiles.settings import Settings, load_settings

T = TypeVar("T")

START = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
WITHIN_S = 600.0  # in virtual time
AT_ONCE = 10
TOKEN = "a token for cases"  # of a bot that nobody else can reach
OFF = (
    "portfolio_delta_max",
    "symbol_delta_max",
    "portfolio_delta_per_unit_below",
    "portfolio_gamma_max",
    "position_equity_share_max",
    "correlated_equity_share_max",
    "symbol_positions_max",
    "orders_in_flight_max",
    "vix_below",
)


def settings(folder: Path | None, seed: int) -> Settings:
    overrides: dict[str, Any] = {
        "seed": seed,
        "limits": dict.fromkeys(OFF),
        "paper": {"cash": "1000000000", "market_lines_max": 1_000},
        "monitoring": {"cycle_s": 3600.0},  # a case that wants a cycle asks for it
        "api": {"token": TOKEN},
    }
    if folder is not None:
        overrides["data_dir"] = str(folder)
    return load_settings(options.SETTINGS, file=None, environ=_cache(), overrides=overrides)


def cache_dir() -> Path:
    """Of compiled kernels, where the bot itself would look for them."""
    return Path(settings(None, 0).cache_dir).expanduser()


def _cache() -> dict[str, str]:
    return {name: value for name in ("XDG_CACHE_HOME",) if (value := os.environ.get(name))}


class PaperBot:
    def __init__(self, seed: int) -> None:
        # A case measures the work, not a terminal.
        self._logging = structlog.get_config()
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
        self._folder = tempfile.TemporaryDirectory()
        self._runner = asyncio.Runner(loop_factory=VirtualLoop)
        self.bot: Bot = self.run(self._start(settings(Path(self._folder.name), seed)))
        self._symbols = self.bot.settings.symbols

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    def close(self) -> None:
        self.run(self.bot.stop())
        self._runner.close()
        self._folder.cleanup()
        structlog.configure(**self._logging)

    async def enter(self, count: int) -> list[Strategy]:
        """At once, on one symbol after the other."""
        asked = [
            EntryRequest(symbol=self._symbols[number % len(self._symbols)], kind=StrategyKind.IRON_CONDOR)
            for number in range(count)
        ]
        started = [(await self.bot.desk.enter(request))[0] for request in asked]
        done = [await self._ended(workflow) for workflow in started]
        return [self.bot.strategies.get(workflow.strategy_id) for workflow in done]

    async def leave(self, strategies: list[Strategy]) -> list[Strategy]:
        started = [(await self.bot.desk.exit(ExitRequest(strategy_id=each.id)))[0] for each in strategies]
        for workflow in started:
            await self._ended(workflow)
        return [self.bot.strategies.get(each.id) for each in strategies]

    async def fill_up(self, count: int) -> None:
        """Hold so many condors."""
        while (missing := count - len(self.bot.strategies.held())) > 0:
            for strategy in await self.enter(min(missing, AT_ONCE)):
                if strategy.state is not StrategyState.OPEN:
                    raise RuntimeError(f"{strategy.id} is {strategy.state}: {strategy.reason}")

    async def _start(self, chosen: Settings) -> Bot:
        bot = build_bot(chosen, epoch=START, virtual=True)
        bot.store.writer.add = lambda *_rows: None  # type: ignore[method-assign] # the lake has cases of its own
        await bot.start()
        async with asyncio.timeout(WITHIN_S):
            await bot.wait_ready()
        return bot

    async def _ended(self, workflow: Workflow) -> Workflow:
        async with asyncio.timeout(WITHIN_S):
            while (now := self.bot.workflows.get(workflow.id)).state not in FINAL_WORKFLOW_STATES:  # noqa: ASYNC110 - time is virtual
                await asyncio.sleep(0.001)
        if now.state is not WorkflowState.DONE:
            raise RuntimeError(f"{now.id} is {now.state}: {now.error}")
        return now
