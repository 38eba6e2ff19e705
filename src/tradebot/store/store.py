"""The store as one thing: opened before anything trades, stopped after everything else.

StoreSettings -> `Store.start()` opens the journal (or fails: without it nothing may trade) and starts the lake's
writer (which never fails a start: history may come late) -> `facts()` for the API -> `Store.stop()` writes what waits
and leaves no thread, task or open file. Journal and lake have a door each: a slow scan never delays an order.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from tradebot.kernel.bounds import Bounds
from tradebot.kernel.clock import Clock
from tradebot.store.delta import DeltaDirectory
from tradebot.store.door import DoorFactory
from tradebot.store.journal import Journal, JournalSettings
from tradebot.store.lake import Lake
from tradebot.store.writer import LakeSettings, LakeWriter


class StoreSettings(msgspec.Struct, frozen=True):
    data_dir: Path
    journal: JournalSettings = JournalSettings()
    lake: LakeSettings = LakeSettings()


class Store:
    """`doors` makes a door by name: `partial(ThreadDoor, bounds=bounds)`, or `InlineDoor` under the virtual loop."""

    def __init__(self, settings: StoreSettings, *, clock: Clock, bounds: Bounds, doors: DoorFactory, seed: int) -> None:
        self._journal_door = doors("journal")
        self._lake_door = doors("lake")
        directory = DeltaDirectory(settings.data_dir / "lake", retention=settings.lake.retention)
        self.journal = Journal(
            settings.data_dir / "journal.db", self._journal_door, clock=clock, bounds=bounds, settings=settings.journal
        )
        self.lake = Lake(directory, self._lake_door)
        self.writer = LakeWriter(
            directory, self._lake_door, clock=clock, bounds=bounds, settings=settings.lake, seed=seed
        )

    async def start(self) -> None:
        try:
            await self.journal.start()
        except BaseException:
            await self._close_doors()
            raise
        self.writer.start()

    async def stop(self) -> None:
        """Harmless when already stopped."""
        try:
            await self.journal.stop()
        finally:
            await self.writer.stop()
            await self._close_doors()

    def facts(self) -> dict[str, Any]:
        tables = self.writer.facts()
        return {
            "journal": self.journal.facts(),
            "lake": tables,
            "lake_lag_s": self.writer.lag_s(),
            "lake_dropped": sum(int(facts["dropped"]) for facts in tables.values()),
        }

    async def _close_doors(self) -> None:
        await self._journal_door.close()
        await self._lake_door.close()
