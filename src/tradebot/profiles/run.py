"""A bot without an API: until its hours are over, a signal comes, or it fails."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import structlog

from tradebot.profiles.build import build_bot
from tradebot.profiles.settings import Settings

log = structlog.get_logger(__name__)


async def run(
    settings: Settings, *, epoch: datetime, hours: float | None, virtual: bool, event_log: Path | None
) -> int:
    """The exit status: 0 when it was meant to end, 1 when a service failed."""
    bot = build_bot(settings, epoch=epoch, virtual=virtual, event_log=event_log)
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    if not virtual:
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, stopped.set)
    failed = asyncio.create_task(bot.supervisor.wait_failed(), name="failed")
    stopping = asyncio.create_task(stopped.wait(), name="stopping")
    try:
        await bot.start()
        await asyncio.wait(
            {failed, stopping}, timeout=None if hours is None else hours * 3600.0, return_when=asyncio.FIRST_COMPLETED
        )
        if failed.done():
            log.error("bot_failed", reason=failed.result())
            return 1
        return 0
    finally:
        failed.cancel()
        stopping.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(failed, stopping, return_exceptions=True)
        await bot.stop()
