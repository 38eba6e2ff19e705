"""The reference bot of the cases: the options profile on a loop of its own, in a folder of its own.

settings -> `CaseBot` -> its loop, on which `run` drives whatever a case asks of it -> `close`, after which neither
loop nor folder is left. `PaperBot` trades on the paper venue, in virtual time; `cases.broker` has those that trade at a
gateway. The limits are off, because a case asks for more than a desk would.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, TypeVar

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


def settings(folder: Path | None, seed: int, **more: Any) -> Settings:
    overrides: dict[str, Any] = {
        "seed": seed,
        "limits": dict.fromkeys(OFF),
        "paper": {"cash": "1000000000", "market_lines_max": 1_000},
        "monitoring": {"cycle_s": 3600.0},  # a case that wants a cycle asks for it
        "api": {"token": TOKEN},
    }
    if folder is not None:
        overrides["data_dir"] = str(folder)
    return load_settings(options.SETTINGS, file=None, environ=_cache(), overrides=overrides | more)


def cache_dir() -> Path:
    """Of compiled kernels, where the bot itself would look for them."""
    return Path(settings(None, 0).cache_dir).expanduser()


def _cache() -> dict[str, str]:
    return {name: value for name in ("XDG_CACHE_HOME",) if (value := os.environ.get(name))}


class CaseBot(ABC):
    """A running bot on a loop of its own; a subclass says which loop, and starts and stops what the bot trades at."""

    bot: Bot
    within_s: ClassVar[float]  # by the clock of its loop: what takes longer has failed

    def __init__(self, seed: int, loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
        with ExitStack() as stack:
            # A case measures the work, not a terminal.
            stack.callback(structlog.configure, **structlog.get_config())
            structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
            self._folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            self._runner = stack.enter_context(asyncio.Runner(loop_factory=loop_factory))
            self.run(self._open(seed))
            stack.callback(lambda: self.run(self._close()))
            self._symbols = self.bot.settings.symbols
            self._stack = stack.pop_all()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    def close(self) -> None:
        self._stack.close()

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

    @abstractmethod
    async def _open(self, seed: int) -> None: ...

    async def _close(self) -> None:
        await self.bot.stop()

    async def _start(self, chosen: Settings, *, virtual: bool) -> None:
        self.bot = build_bot(chosen, epoch=START, virtual=virtual)
        self.bot.store.writer.add = lambda *_rows: None  # type: ignore[method-assign] # the lake has cases of its own
        try:
            await self.bot.start()
            async with asyncio.timeout(self.within_s):
                await self.bot.wait_ready()
        except BaseException:
            await self.bot.stop()
            raise

    async def _ended(self, workflow: Workflow) -> Workflow:
        async with asyncio.timeout(self.within_s):
            while (now := self.bot.workflows.get(workflow.id)).state not in FINAL_WORKFLOW_STATES:
                await self._moment()
        if now.state is not WorkflowState.DONE:
            raise RuntimeError(f"{now.id} is {now.state}: {now.error}")
        return now

    @abstractmethod
    async def _moment(self) -> None:
        """Until something may have changed."""


class PaperBot(CaseBot):
    within_s = 600.0

    def __init__(self, seed: int) -> None:
        super().__init__(seed, VirtualLoop)

    async def _open(self, seed: int) -> None:
        await self._start(settings(self._folder, seed), virtual=True)

    async def _moment(self) -> None:
        await asyncio.sleep(0.001)  # virtual
