"""The lake's writer: rows are taken at once and become one Delta commit a table every few seconds.

add(rows) -> a bounded queue for each table -> every `interval_s` a batch with the table's next version -> door ->
`DeltaDirectory.append`. A batch keeps its version until it is written, so a retry never doubles a row. After a failure
the batch stays and is tried again with back-off, for as long as it takes. What is dropped is counted by table: the
oldest rows of a full queue, because history must not stop the bot, and a batch that can never be written. Each table
has a task of its own: one damaged table does not hold up the others.
"""

from __future__ import annotations

import asyncio
from collections import deque
from datetime import timedelta

import msgspec
import structlog

from tradebot.domain.errors import QueueFull, StoreError
from tradebot.kernel.bounds import Bounds
from tradebot.kernel.clock import Clock
from tradebot.kernel.retry import Backoff
from tradebot.store.delta import MAINTAIN_COMMITS, RETENTION, DeltaDirectory
from tradebot.store.door import Door
from tradebot.store.tables import LakeRow, LakeTable, UnwritableRows, table_of

log = structlog.get_logger(__name__)


class LakeSettings(msgspec.Struct, frozen=True):
    capacity: int = 50_000  # rows waiting for one table, the batch under way included
    batch_max: int = 10_000  # rows a commit
    interval_s: float = 3.0
    maintain_commits: int = MAINTAIN_COMMITS
    retention: timedelta = RETENTION  # of dead files, by the machine's clock: a day in virtual time takes zero
    retry: Backoff = Backoff(initial_s=0.5, max_s=30.0)


class _Batch(msgspec.Struct, frozen=True):
    version: int
    since_s: float  # when its oldest row was added
    rows: list[LakeRow]


class _TableQueue:
    """One table's rows on their way: those that wait, and the batch that has a version already."""

    def __init__(self, table: LakeTable) -> None:
        self.table = table
        self.waiting: deque[tuple[float, LakeRow]] = deque()
        self.batch: _Batch | None = None
        self.version: int | None = None  # of the last batch; None until the table was asked
        self.turn = asyncio.Lock()
        self.commits = 0
        self.failures = 0
        self.dropped = 0
        self.error = ""

    def __len__(self) -> int:
        return len(self.waiting) + (len(self.batch.rows) if self.batch else 0)

    def oldest_s(self) -> float | None:
        if self.batch:
            return self.batch.since_s
        return self.waiting[0][0] if self.waiting else None


class LakeWriter:
    def __init__(
        self,
        directory: DeltaDirectory,
        door: Door,
        *,
        clock: Clock,
        bounds: Bounds,
        settings: LakeSettings,
        seed: int,
    ) -> None:
        if settings.batch_max >= settings.capacity:
            raise ValueError(f"a batch of {settings.batch_max} rows must leave room in {settings.capacity}")
        self._directory = directory
        self._door = door
        self._clock = clock
        self._bounds = bounds
        self._settings = settings
        self._seed = seed
        self._queues = {table: _TableQueue(table) for table in LakeTable}
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        for queue in self._queues.values():
            self._bounds.register(f"lake.{queue.table}", queue.__len__, self._settings.capacity)
            self._tasks.append(asyncio.create_task(self._keep_writing(queue), name=f"lake.{queue.table}"))

    async def stop(self) -> None:
        """Write what waits, once; what cannot be written now is dropped and counted. Harmless when already stopped."""
        if not self._tasks:
            return
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for queue in self._queues.values():
            try:
                await self._drain(queue)
            except (StoreError, QueueFull) as error:
                queue.dropped += len(queue)
                log.error("lake_rows_lost", table=queue.table, rows=len(queue), error=str(error))
                queue.waiting.clear()
                queue.batch = None
            self._bounds.unregister(f"lake.{queue.table}")

    def add(self, *rows: LakeRow) -> None:
        """Take rows for the next batch; a full queue drops its oldest."""
        now_s = self._clock.monotonic_s()
        for row in rows:
            queue = self._queues[table_of(row)]
            if len(queue) >= self._settings.capacity:
                queue.waiting.popleft()
                queue.dropped += 1
            queue.waiting.append((now_s, row))

    async def flush(self) -> None:
        """Return when every row added so far is in the lake. Raises `StoreError` at the first that cannot be."""
        for queue in self._queues.values():
            await self._drain(queue)

    def lag_s(self) -> float:
        """The age of the oldest row that is not in the lake yet."""
        now_s = self._clock.monotonic_s()
        oldest = [since_s for queue in self._queues.values() if (since_s := queue.oldest_s()) is not None]
        return now_s - min(oldest, default=now_s)

    def facts(self) -> dict[str, dict[str, int | str]]:
        return {
            queue.table.value: {
                "queue": len(queue),
                "commits": queue.commits,
                "failures": queue.failures,
                "dropped": queue.dropped,
                "error": queue.error,
            }
            for queue in self._queues.values()
        }

    async def _keep_writing(self, queue: _TableQueue) -> None:
        delays_s = self._settings.retry.delays_s(self._seed)
        wait_s = self._settings.interval_s
        while True:
            await asyncio.sleep(wait_s)
            try:
                await self._drain(queue)
            except (StoreError, QueueFull):
                wait_s = next(delays_s, self._settings.retry.max_s)
            else:
                delays_s = self._settings.retry.delays_s(self._seed)
                wait_s = self._settings.interval_s

    async def _drain(self, queue: _TableQueue) -> None:
        async with queue.turn:
            # What comes while this is written waits for its turn: else a busy bot would commit without a pause.
            left = len(queue)
            try:
                while left > 0 and len(queue):
                    left -= await self._write_batch(queue)
                    queue.error = ""
            except (StoreError, QueueFull) as error:
                queue.failures += 1
                queue.error = str(error)
                log.warning("lake_write_failed", table=queue.table, error=queue.error)
                raise

    async def _write_batch(self, queue: _TableQueue) -> int:
        """How many rows that were."""
        if queue.batch is None:
            if queue.version is None:
                queue.version = await self._door.run(self._directory.version, queue.table)
            queue.version += 1
            since_s = queue.waiting[0][0]
            count = min(len(queue.waiting), self._settings.batch_max)
            rows = [queue.waiting.popleft()[1] for _ in range(count)]
            queue.batch = _Batch(version=queue.version, since_s=since_s, rows=rows)
        count = len(queue.batch.rows)
        try:
            await self._door.run(self._directory.append, queue.table, queue.batch.rows, queue.batch.version)
        except UnwritableRows as error:
            log.error("lake_rows_unwritable", table=queue.table, rows=count, error=str(error))
            queue.dropped += count
            queue.batch = None
            return count
        queue.batch = None
        queue.commits += 1
        # The first commit counts too: a bot that is restarted often must not skip its housekeeping for ever.
        if queue.commits % self._settings.maintain_commits == 1:
            await self._door.run(self._directory.maintain, queue.table)
        return count
