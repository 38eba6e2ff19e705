"""The store: the journal's group commit and replay, and the lake's commits and questions, on a disk.

Behind inline doors, so that all of it is this thread's time. Each case has a folder of its own until it is closed.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Coroutine, Iterable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from cases.case import Work
from cases.facts import NOON, at, contract, intent
from tradebot.kernel.bounds import Bounds
from tradebot.kernel.clock import Clock
from tradebot.store.delta import MAINTAIN_COMMITS, DeltaDirectory
from tradebot.store.door import InlineDoor
from tradebot.store.journal import Journal, JournalSettings
from tradebot.store.lake import Lake
from tradebot.store.records import IntentRecorded, Record
from tradebot.store.tables import LakeTable, PositionRow

T = TypeVar("T")

COMMIT_ROWS = 50_000  # of the history that a lake starts with
CONTRACTS = 20
HISTORY_ROWS = 1_000
RETENTION = timedelta(hours=1)


class _Disk:
    """A folder, a loop, and a journal in it if it is asked for."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self.path = Path(self._folder.name)
        self._runner = asyncio.Runner()
        self._ends: list[Callable[[], Coroutine[Any, Any, None]]] = []

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    def journal(self) -> Journal:
        async def opened() -> Journal:
            clock = Clock(asyncio.get_running_loop(), NOON)
            door = InlineDoor("journal")
            made = Journal(
                self.path / "journal.db", door, clock=clock, bounds=Bounds(), settings=JournalSettings(capacity=20_000)
            )
            await made.start()
            self._ends += [made.stop, door.close]
            return made

        return self.run(opened())

    def close(self) -> None:
        for end in self._ends:
            self.run(end())
        self._runner.close()
        self._folder.cleanup()


def commit(size: int, seed: int) -> Work:
    """So many intents at once, and back when all of them are durable; new ones each time, as a known one costs less."""
    disk = _Disk()
    journal = disk.journal()
    runs = 0

    async def append_all() -> int:
        nonlocal runs
        runs += 1
        before = journal.records
        records = [IntentRecorded(intent(number, seed, run=runs)) for number in range(size)]
        await asyncio.gather(*(journal.append(record) for record in records))
        return journal.records - before

    return Work(lambda: disk.run(append_all()), lambda written: written, close=disk.close)


def replay(size: int, seed: int) -> Work:
    disk = _Disk()
    journal = disk.journal()

    async def filled() -> None:
        await asyncio.gather(*(journal.append(IntentRecorded(intent(number, seed))) for number in range(size)))

    async def read() -> list[Record]:
        return [record async for record in journal.replay()]

    def facts(found: list[Record]) -> object:
        return [record.intent.client_id for record in found if isinstance(record, IntentRecorded)]

    disk.run(filled())
    return Work(lambda: disk.run(read()), facts, close=disk.close)


def append(size: int, seed: int) -> Work:
    """One commit of so many rows to a lake that has some already."""
    disk, directory = _lake(1_000, seed)
    rows = _rows(size, seed)
    version = directory.version(LakeTable.POSITIONS)

    def run() -> bool:
        nonlocal version
        version += 1
        return directory.append(LakeTable.POSITIONS, rows, version)

    return Work(run, lambda written: written, close=disk.close)


def churn(size: int, seed: int) -> Work:
    """A fresh lake, so many commits of one row each with the writer's housekeeping, and the files that are left."""
    disk = _Disk()
    rows = _rows(size, seed)
    runs = 0

    def run() -> int:
        nonlocal runs
        runs += 1
        path = disk.path / f"lake-{runs}"
        directory = DeltaDirectory(path, retention=timedelta(0))
        for version, row in enumerate(rows):
            directory.append(LakeTable.POSITIONS, [row], version)
            if version % MAINTAIN_COMMITS == MAINTAIN_COMMITS - 1:
                directory.maintain(LakeTable.POSITIONS)
        return sum(file.is_file() for file in path.rglob("*"))

    return Work(run, lambda files: files, close=disk.close)


def positions(size: int, seed: int, shared: Path | None = None) -> Work:
    """The newest row of each contract, of so many rows."""
    disk, directory = _lake(size, seed, shared)
    lake = Lake(directory, InlineDoor("lake"))
    return Work(
        lambda: disk.run(lake.last_positions()),
        lambda rows: [(row.contract, row.quantity, str(row.average_price)) for row in rows],
        close=disk.close,
    )


def history(size: int, seed: int, shared: Path | None = None) -> Work:
    """The newest thousand, of so many rows."""
    disk, directory = _lake(size, seed, shared)
    lake = Lake(directory, InlineDoor("lake"))
    return Work(
        lambda: disk.run(lake.history(LakeTable.POSITIONS, limit=HISTORY_ROWS)),
        lambda rows: (len(rows), rows[0].symbol, rows[0].at.isoformat(), rows[-1].at.isoformat()),
        close=disk.close,
    )


def write_lakes(folder: Path, sizes: Iterable[int], seed: int) -> None:
    """What `positions` and `history` read of `shared`: dear to write, and never changed by reading."""
    for size in sizes:
        _write(folder / str(size), size, seed)


def _lake(size: int, seed: int, shared: Path | None = None) -> tuple[_Disk, DeltaDirectory]:
    """One of its own, or the shared one of that size."""
    disk = _Disk()
    if shared is not None:
        return disk, DeltaDirectory(shared / str(size), retention=RETENTION)
    return disk, _write(disk.path / "lake", size, seed)


def _write(path: Path, size: int, seed: int) -> DeltaDirectory:
    directory = DeltaDirectory(path, retention=RETENTION)
    for version, start in enumerate(range(0, size, COMMIT_ROWS)):
        rows = _rows(min(COMMIT_ROWS, size - start), seed, start=start)
        directory.append(LakeTable.POSITIONS, rows, version)
    return directory


def _rows(count: int, seed: int, *, start: int = 0) -> list[PositionRow]:
    contracts = [contract(number) for number in range(CONTRACTS)]
    return [
        PositionRow(
            symbol=contracts[number % CONTRACTS].symbol,
            at=at(number),
            contract=contracts[number % CONTRACTS].key,
            quantity=1 + (number + seed) % 9,
            average_price=Decimal(100 + (number + seed) % 900) / 100,
        )
        for number in range(start, start + count)
    ]
