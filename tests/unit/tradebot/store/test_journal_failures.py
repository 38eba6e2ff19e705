"""The journal on full disks and damaged files: loud, and alive afterwards."""

from __future__ import annotations

import asyncio
import sqlite3
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tradebot.domain.errors import StoreError
from tradebot.kernel.retry import Backoff
from tradebot.kernel.virtual import run_virtual
from tradebot.store.journal import Journal
from tradebot.store.records import Record


async def everything(journal: Journal) -> list[Record]:
    return [record async for record in journal.replay()]


class FullDisk(sqlite3.Connection):
    """SQLite as it is on a disk that fills up: writes fail while `full` is set."""

    full = False

    def executemany(self, *args: Any) -> sqlite3.Cursor:
        if FullDisk.full:
            raise sqlite3.OperationalError("database or disk is full")
        return super().executemany(*args)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> type[FullDisk]:
    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=FullDisk))
    monkeypatch.setattr(FullDisk, "full", False)
    return FullDisk


def test_a_full_disk_fails_every_waiter_and_the_journal_goes_on(
    open_journal: Any, samples: Any, disk: type[FullDisk]
) -> None:
    """While the disk is full each append gets a StoreError with a remedy; when it is not, appends work again."""

    async def main() -> tuple[list[BaseException | None], list[Record], int]:
        async with open_journal(batch_max=2) as journal:
            disk.full = True
            failed = await asyncio.gather(
                *(journal.append(samples.intent(number)) for number in range(5)), return_exceptions=True
            )
            disk.full = False
            await journal.append(samples.intent(9))
            return failed, await everything(journal), journal.failures

    failed, records, failures = run_virtual(main())
    assert [type(error) for error in failed] == [StoreError] * 5
    assert "disk is full" in str(failed[0])
    assert records == [samples.intent(9)]
    assert failures == 1


def test_notes_outlive_a_full_disk(open_journal: Any, samples: Any, disk: type[FullDisk]) -> None:
    """Notes of a failed commit are tried again by themselves, in their order and without a busy loop."""

    async def main() -> tuple[list[Record], int]:
        async with open_journal(retry=Backoff(initial_s=1.0, max_s=8.0, jitter=0.0)) as journal:
            disk.full = True
            journal.note(samples.order(1))
            journal.note(samples.order(2))
            await asyncio.sleep(20)
            disk.full = False
            await asyncio.sleep(10)
            return await everything(journal), journal.failures

    records, failures = run_virtual(main())
    assert records == [samples.order(1), samples.order(2)]
    assert failures == 5  # after 0.05, 1, 3, 7 and 15 s


def test_stop_writes_the_notes_and_says_what_it_could_not_write(
    open_journal: Any, samples: Any, disk: type[FullDisk]
) -> None:
    """`stop()` flushes; with a full disk it returns all the same and counts what is lost."""

    async def main() -> tuple[list[Record], int]:
        async with open_journal(note_delay_s=60.0) as journal:
            journal.note(samples.order(1))
        async with open_journal(note_delay_s=60.0) as journal:
            disk.full = True
            journal.note(samples.order(2))
        disk.full = False
        async with open_journal() as again:
            return await everything(again), journal.lost

    assert run_virtual(main()) == ([samples.order(1)], 1)


def test_an_unreadable_row_is_skipped_and_counted(open_journal: Any, samples: Any, tmp_path: Path) -> None:
    """Damaged bodies do not stop a replay: the rest is read, and the journal says how many were not."""

    async def write() -> None:
        async with open_journal() as journal:
            for number in range(5):
                await journal.append(samples.intent(number))

    async def read() -> tuple[list[Record], int]:
        async with open_journal() as journal:
            return await everything(journal), journal.skipped

    asyncio.run(write())
    with sqlite3.connect(tmp_path / "journal.db") as database:
        database.execute("UPDATE journal SET body = substr(body, 1, 40) WHERE key = 'c-1'")
        database.execute("UPDATE journal SET body = x'ff00' WHERE key = 'c-3'")
        database.execute("UPDATE journal SET body = 17 WHERE key = 'c-4'")
    database.close()
    assert asyncio.run(read()) == ([samples.intent(0), samples.intent(2)], 3)


def test_a_file_that_is_no_journal_is_an_error_with_a_remedy(open_journal: Any, tmp_path: Path) -> None:
    """Opening a damaged database raises StoreError, says what to do, and leaves no file open."""
    (tmp_path / "journal.db").write_bytes(b"no database at all " * 500)

    async def main() -> None:
        async with open_journal():
            pass

    with pytest.raises(StoreError, match=r"not a database.*Move the file aside"):
        asyncio.run(main())


def test_a_damaged_page_is_an_error_with_a_remedy(open_journal: Any, samples: Any, tmp_path: Path) -> None:
    """A page overwritten inside the file makes the replay say so instead of giving half a truth."""

    async def write() -> None:
        async with open_journal() as journal:
            await asyncio.gather(*(journal.append(samples.intent(number)) for number in range(500)))

    async def read() -> None:
        async with open_journal() as journal:
            await everything(journal)

    asyncio.run(write())
    path = tmp_path / "journal.db"
    content = bytearray(path.read_bytes())
    for page in range(5, len(content) // 4096):
        content[page * 4096 : page * 4096 + 2048] = b"\xa5" * 2048
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"malformed.*Move the file aside"):
        asyncio.run(read())


def test_a_newer_schema_is_refused(open_journal: Any, tmp_path: Path) -> None:
    """A journal written by a newer program is not touched, and the error names both versions."""
    with sqlite3.connect(tmp_path / "journal.db") as database:
        database.execute("PRAGMA user_version = 99")
    database.close()

    async def main() -> None:
        async with open_journal():
            pass

    with pytest.raises(StoreError, match="schema 99, this program knows 1"):
        asyncio.run(main())


def test_a_second_owner_is_refused(open_journal: Any, samples: Any) -> None:
    """Two bots cannot share a journal: the second does not start, and the first does not notice."""

    async def main() -> list[Record]:
        async with open_journal() as journal:
            with pytest.raises(StoreError, match=r"locked.*Stop the other process"):
                async with open_journal():
                    pass
            await journal.append(samples.intent(1))
            return await everything(journal)

    assert asyncio.run(main()) == [samples.intent(1)]
