"""The bot of the cases at a gateway: the real client, a real socket, the simulated broker at its other end.

`GatewayBot` has the gateway on its own loop, so that one process's CPU time is the work of both; `LoopbackBot` has it
as a process of its own, so that it is the bot's alone. Time is the machine's. Either way the market stands almost
still unless a case moves it, and after `close` no task, socket or process is left.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from abc import abstractmethod
from contextlib import AsyncExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

import uvloop

from cases.profile import START, CaseBot, settings
from simvenues.control import ControlClient
from simvenues.exchange import Exchange
from simvenues.ibkr import IbkrGateway
from simvenues.market import Market
from tidegauge.process import Guarded
from tradebot.domain.events import WorkflowChanged
from tradebot.kernel.bus import WhenFull

CASH = 1_000_000_000
LINES_MAX = 1_000
# A quote must not grow stale while a case goes on, and a step must not be what is timed.
STEP_S = 5.0
GRACE_S = 2.0
NUDGE = 1.0005  # a price that everybody must be told of and no rule answers


class BrokerBot(CaseBot):
    within_s = 30.0

    def __init__(self, seed: int) -> None:
        super().__init__(seed, uvloop.new_event_loop)  # as the bot is served

    async def move(self, symbol: str, *, up: bool) -> None:
        """Another price, and back when the bot has heard of it: an answer comes after whatever was sent before it."""
        self._shock(symbol, NUDGE if up else 1 / NUDGE)
        await self.bot.venue.account()

    async def _open(self, seed: int) -> None:
        async with AsyncExitStack() as stack:
            port = await self._gateway(seed, stack)
            ibkr: dict[str, Any] = {"port": port, "market_lines_max": LINES_MAX, "requests_per_s_max": 0}
            await self._start(settings(self._folder, seed, venue="ibkr", ibkr=ibkr), virtual=False)
            self._changes = self.bot.bus.subscribe(
                "case", capacity=1_000, when_full=WhenFull.DROP_OLDEST, kinds=(WorkflowChanged,)
            )
            self._world = stack.pop_all()

    async def _close(self) -> None:
        await super()._close()
        await self._world.aclose()

    async def _moment(self) -> None:
        await self._changes.batch(self._changes.capacity)

    @abstractmethod
    async def _gateway(self, seed: int, stack: AsyncExitStack) -> int:
        """Starts it, leaves its end to the stack, and says its port."""

    @abstractmethod
    def _shock(self, symbol: str, factor: float) -> None: ...


class GatewayBot(BrokerBot):
    async def _gateway(self, seed: int, stack: AsyncExitStack) -> int:
        market = Market(seed, START, STEP_S)
        exchange = Exchange(market, {"DU1": Decimal(CASH)}, seed=seed)
        self._broker = await stack.enter_async_context(IbkrGateway(market, exchange, lines_max=LINES_MAX))
        return self._broker.port

    def _shock(self, symbol: str, factor: float) -> None:
        self._broker.market.shock(symbol, price_factor=factor)
        self._broker.refresh()


class LoopbackBot(BrokerBot):
    async def _gateway(self, seed: int, stack: AsyncExitStack) -> int:
        argv = [sys.executable, "-m", "simvenues", "ibkr", "--seed", str(seed), "--start", START.isoformat()]
        argv += ["--step-ms", str(1e3 * STEP_S), "--lines", str(LINES_MAX), "--cash", str(CASH)]
        lines: asyncio.Queue[str] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def take(line: str) -> None:
            if line.startswith("{"):  # what it logs goes to the file alone
                loop.call_soon_threadsafe(lines.put_nowait, line)

        # Under a guard: it ends with us, however we end.
        program = Guarded(
            "gateway",
            argv,
            env=os.environ,
            cwd=Path.cwd(),
            log=self._folder / "gateway.log",
            grace_s=GRACE_S,
            sink=take,
        )
        stack.callback(program.stop)
        async with asyncio.timeout(self.within_s):
            ready = json.loads(await lines.get())
        self._control = stack.enter_context(ControlClient("127.0.0.1", ready["control_port"]))
        return int(ready["port"])

    def _shock(self, symbol: str, factor: float) -> None:
        self._control.shock(symbol, price_factor=factor)
