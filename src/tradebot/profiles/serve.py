"""A bot behind its API, in one process on one loop: uvicorn owns the signals, the bot everything else.

The API answers from the first moment, with "not ready" until the venue is reached; when the bot fails, the service
ends with status 1, so that whoever watches the process knows.
"""

from __future__ import annotations

import asyncio
import gc
from datetime import datetime
from pathlib import Path

import structlog

from tradebot.api.server import ApiServer
from tradebot.domain.errors import SettingsError
from tradebot.profiles.bot import Bot
from tradebot.profiles.build import build_bot
from tradebot.profiles.settings import Settings

log = structlog.get_logger(__name__)


async def serve(settings: Settings, *, epoch: datetime, event_log: Path | None) -> int:
    bot = build_bot(settings, epoch=epoch, event_log=event_log)
    server = ApiServer(bot)
    failed = asyncio.create_task(_end_when_failed(bot, server), name="failed")
    try:
        await bot.start()
        # What the start made lives as long as we do; walking it at each full collection made that a pause of 0.2 s.
        gc.freeze()
        await server.serve()
    except SystemExit:  # uvicorn's way of saying that the port is taken
        raise SettingsError(
            f"setting api.port: cannot listen on {settings.api.host}:{settings.api.port}", remedy="Choose a free port"
        ) from None
    finally:
        failed.cancel()
        await asyncio.gather(failed, return_exceptions=True)
        await bot.stop()
    return 0 if failed.cancelled() else 1


async def _end_when_failed(bot: Bot, server: ApiServer) -> None:
    log.error("bot_failed", reason=await bot.supervisor.wait_failed())
    server.should_exit = True
