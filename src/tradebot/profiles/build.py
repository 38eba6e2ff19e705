"""A bot from settings: the clock, the venue the settings name, and everything else."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from pathlib import Path

from tradebot.domain.errors import SettingsError
from tradebot.kernel.bounds import Bounds
from tradebot.kernel.clock import Clock
from tradebot.profiles.bot import Bot
from tradebot.profiles.settings import Settings
from tradebot.venues.port import Venue


def build_bot(settings: Settings, *, epoch: datetime, virtual: bool = False, event_log: Path | None = None) -> Bot:
    """Call it on the loop the bot shall live on."""
    clock = Clock(asyncio.get_running_loop(), epoch, monotonic_s=None if virtual else time.monotonic)
    bounds = Bounds()
    venue = _venue(settings, clock, bounds)
    try:
        return Bot(settings, clock=clock, bounds=bounds, venue=venue, virtual=virtual, event_log=event_log)
    except OSError as error:  # the event log is all that is opened before the start
        raise SettingsError(f"the event log {event_log} cannot be written: {error.strerror}") from None


def _venue(settings: Settings, clock: Clock, bounds: Bounds) -> Venue:
    # Imported here: a paper desk pays for no broker's client, at start or in memory.
    if settings.venue == "ibkr":
        from tradebot.venues.ibkr.adapter import IbkrVenue  # noqa: PLC0415

        return IbkrVenue(settings.ibkr, clock, bounds, seed=settings.seed)
    from tradebot.venues.paper.feed import RandomWalkFeed  # noqa: PLC0415
    from tradebot.venues.paper.venue import PaperVenue  # noqa: PLC0415

    feed = RandomWalkFeed(seed=settings.seed, start=clock.now())
    return PaperVenue(settings.paper, feed, clock, bounds, seed=settings.seed)
