"""Entries by the clock, for a desk without a person: one strategy at a time, each symbol in its turn.

It asks at the same desk as everybody else, so the same gates say no.
"""

from __future__ import annotations

import asyncio
from itertools import cycle

import msgspec
import structlog

from tradebot.domain.errors import TradebotError
from tradebot.domain.ranges import SecondsOrOff
from tradebot.domain.strategies import StrategyKind
from tradebot.domain.workflows import EntryRequest
from tradebot.execution.desk import Desk

log = structlog.get_logger(__name__)


class AutopilotSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    every_s: SecondsOrOff = 0.0  # 0: off
    kind: StrategyKind = StrategyKind.IRON_CONDOR


class Autopilot:
    def __init__(self, desk: Desk, symbols: tuple[str, ...], settings: AutopilotSettings) -> None:
        self._desk = desk
        self._symbols = symbols
        self._settings = settings

    async def serve(self) -> None:
        for symbol in cycle(self._symbols):
            await asyncio.sleep(self._settings.every_s)
            try:
                await self._desk.enter(EntryRequest(symbol=symbol, kind=self._settings.kind))
            except TradebotError as error:
                log.info("entry_not_started", symbol=symbol, error=str(error))
