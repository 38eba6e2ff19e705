"""The journal: what must not be forgotten is on disk before the bot acts on it.

append(record) / note(record) -> bounded queue -> the writer takes all that waits, at most a batch -> door -> one
transaction, one fsync -> every waiter of the batch goes on. So a hundred concurrent appends cost one fsync, and a
single one waits for nobody. `append` pushes back when the queue is full; `note` cannot wait and is refused instead,
counted. A failed commit is a `StoreError` to everybody who waits: it means "unknown, perhaps not durable", never
"certainly absent", which is harmless because intents and fills are kept once only. Notes of a failed batch stay
queued and are tried again, and the journal goes on by itself when the disk does.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import msgspec
import structlog

from tradebot.domain.errors import QueueFull, StoreError
from tradebot.kernel.bounds import Bounds
from tradebot.kernel.clock import Clock
from tradebot.kernel.retry import Backoff
from tradebot.store.door import Door
from tradebot.store.journal_file import JournalFile
from tradebot.store.records import Record, Row, at_text, from_body, to_row

log = structlog.get_logger(__name__)

# A slice keeps the door's thread busy for some milliseconds, so that an append never waits long behind it.
SLICE_ROWS = 1_000

_Item = tuple[Row | None, asyncio.Future[None] | None]  # no row: a barrier; no future: a note


class JournalSettings(msgspec.Struct, frozen=True):
    capacity: int = 10_000  # records waiting, those under way included
    batch_max: int = 1_000  # records a transaction: about 10 ms of the door's thread
    note_delay_s: float = 0.05  # how long a note may stay in memory only
    retry: Backoff = Backoff(initial_s=0.1, max_s=5.0)  # of notes, while the disk fails


class Journal:
    def __init__(self, path: Path, door: Door, *, clock: Clock, bounds: Bounds, settings: JournalSettings) -> None:
        self._file = JournalFile(path)
        self._door = door
        self._clock = clock
        self._bounds = bounds
        self._settings = settings
        self._queue: deque[_Item] = deque()
        self._under_way = 0
        self._wake = asyncio.Event()
        self._space = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._retries_s = settings.retry.delays_s(0)
        self._writer: asyncio.Task[None] | None = None
        self.commits = 0
        self.records = 0
        self.duplicates = 0
        self.failures = 0
        self.refused = 0
        self.lost = 0  # notes that stop() could not write
        self.skipped = 0  # unreadable records of the last replay

    def __len__(self) -> int:
        return len(self._queue) + self._under_way

    async def start(self) -> None:
        await self._door.run(self._file.open)
        self._bounds.register("journal.queue", self.__len__, self._settings.capacity)
        self._writer = asyncio.create_task(self._write(), name="journal")

    async def stop(self) -> None:
        """Write what waits, then close the file; harmless when already stopped."""
        writer, self._writer = self._writer, None
        if writer is None:
            return
        try:
            await self._enqueue(None)
        except StoreError as error:
            self.lost = len(self._queue)
            log.error("journal_lost_notes", notes=self.lost, error=str(error))
        finally:
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
            if self._timer is not None:
                self._timer.cancel()
            self._space.set()
            self._bounds.unregister("journal.queue")
            await self._door.run(self._file.close)

    async def append(self, record: Record) -> None:
        """Return when the record is durable. Raises `StoreError` when it may not be."""
        row = to_row(record, self._clock.now())
        self._check_started()
        while len(self) >= self._settings.capacity:
            self._space.clear()
            await self._space.wait()
            self._check_started()
        await self._enqueue(row)

    def note(self, record: Record) -> None:
        """Record without waiting: durable with the next batch, at the latest after `note_delay_s` and one commit."""
        self._check_started()
        if len(self) >= self._settings.capacity:
            self.refused += 1
            raise QueueFull(f"{len(self)} records wait for the journal", remedy="Take on less work until it catches up")
        self._queue.append((to_row(record, self._clock.now()), None))
        self._wake_after(self._settings.note_delay_s)

    async def flush(self) -> None:
        """Return when everything recorded so far is durable."""
        self._check_started()
        await self._enqueue(None)

    async def replay(self) -> AsyncIterator[Record]:
        """Every record in the order it was written. What cannot be read is skipped and counted, never fatal."""
        self.skipped = 0
        after = 0
        while rows := await self._door.run(self._file.read, after, SLICE_ROWS):
            for after, body in rows:
                try:
                    record = from_body(body)
                except (msgspec.MsgspecError, UnicodeDecodeError, TypeError) as error:
                    self.skipped += 1
                    log.warning("journal_record_skipped", seq=after, error=str(error))
                else:
                    yield record

    async def compact(self, keep: timedelta) -> int:
        """Forget what recovery cannot need, in short slices between which appends go on; how many records went.

        Folded: what a later final record of the same thing supersedes. Dropped: strategies that finished more than
        `keep` ago with their intents, orders, fills and workflows, and as old finished workflows and alerts. The
        latest word on anything unfinished always stays. `keep` must exceed how far back fills are asked for at the
        venue and how long an idempotency key is honoured, because both are forgotten with it.
        """
        removed = 0
        after: int | None = 0
        while after is not None:
            count, after = await self._door.run(self._file.fold, after, SLICE_ROWS)
            removed += count
        before = at_text(self._clock.now() - keep)
        while count := await self._door.run(self._file.expire, before, SLICE_ROWS // 10):
            removed += count
        return removed

    def facts(self) -> dict[str, int]:
        return {
            "queue": len(self),
            "commits": self.commits,
            "records": self.records,
            "duplicates": self.duplicates,
            "failures": self.failures,
            "refused": self.refused,
            "lost": self.lost,
            "skipped": self.skipped,
        }

    def _check_started(self) -> None:
        if self._writer is None:
            raise StoreError("the journal is not running", remedy="Start the store before it is used")

    async def _enqueue(self, row: Row | None) -> None:
        done = asyncio.get_running_loop().create_future()
        self._queue.append((row, done))
        self._wake.set()
        await done

    def _wake_after(self, delay_s: float) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._wake_now)

    def _wake_now(self) -> None:
        self._timer = None
        self._wake.set()

    async def _write(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                batch = [self._queue.popleft() for _ in range(min(len(self._queue), self._settings.batch_max))]
                self._under_way = len(batch)
                try:
                    await self._commit(batch)
                except Exception as error:  # noqa: BLE001 - whatever went wrong, nobody may wait for ever
                    self._fail(batch, error)
                    break
                finally:
                    self._under_way = 0
                    self._space.set()

    async def _commit(self, batch: list[_Item]) -> None:
        if rows := [row for row, _ in batch if row is not None]:
            stored = await self._door.run(self._file.insert, rows)
            self.commits += 1
            self.records += stored
            self.duplicates += len(rows) - stored
            self._retries_s = self._settings.retry.delays_s(0)
        for _, done in batch:
            if done is not None and not done.done():
                done.set_result(None)

    def _fail(self, batch: list[_Item], error: Exception) -> None:
        """Tell everybody who waits, also those behind the batch, for the same disk is before them; keep the notes."""
        self.failures += 1
        waiting = [*batch, *self._queue]
        self._queue = deque((row, done) for row, done in waiting if done is None)
        for _, done in waiting:
            if done is not None and not done.done():
                told = StoreError("the record may not be durable", remedy=str(error))
                told.__cause__ = error
                done.set_exception(told)
        retry_in_s = next(self._retries_s, self._settings.retry.max_s)
        log.error("journal_commit_failed", error=str(error), notes_kept=len(self._queue))
        if self._queue:
            self._wake_after(retry_in_s)
