"""The journal as it should go: durable in groups, once only, in order, within its bounds."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tradebot.domain.errors import QueueFull, StoreError
from tradebot.domain.orders import OrderState
from tradebot.domain.strategies import StrategyState
from tradebot.domain.workflows import WorkflowState
from tradebot.kernel.bounds import Bound, Bounds
from tradebot.kernel.virtual import run_virtual
from tradebot.store.door import ThreadDoor
from tradebot.store.journal import Journal
from tradebot.store.journal_file import JournalFile
from tradebot.store.records import Record


async def everything(journal: Journal) -> list[Record]:
    return [record async for record in journal.replay()]


def test_every_kind_of_record_is_replayed_in_order_after_a_restart(open_journal: Any, samples: Any) -> None:
    """What was appended comes back equal and in its order from a journal that was closed and opened again."""
    written = [
        samples.workflow("w-1"),
        samples.strategy("s-1", StrategyState.PENDING),
        samples.intent(1),
        samples.order(1),
        samples.fill(1),
        samples.order(1, OrderState.FILLED),
        samples.strategy("s-1"),
        samples.alert("a-1"),
        samples.workflow("w-1", WorkflowState.DONE),
    ]

    async def main() -> list[Record]:
        async with open_journal() as journal:
            for record in written:
                await journal.append(record)
        async with open_journal() as journal:
            return await everything(journal)

    assert asyncio.run(main()) == written


def test_replay_goes_on_across_its_slices(open_journal: Any, samples: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A journal longer than one slice is replayed whole, once and in order."""
    monkeypatch.setattr("tradebot.store.journal.SLICE_ROWS", 7)

    async def main() -> list[Record]:
        async with open_journal() as journal:
            await asyncio.gather(*(journal.append(samples.intent(number)) for number in range(50)))
            return await everything(journal)

    assert run_virtual(main()) == [samples.intent(number) for number in range(50)]


def test_concurrent_appends_share_commits(open_journal: Any, samples: Any, bounds: Bounds) -> None:
    """Two thousand appends at once are durable after a few commits, not after two thousand."""

    async def main() -> tuple[int, int, int]:
        async with open_journal(door=ThreadDoor("journal", bounds=bounds), batch_max=500) as journal:
            await asyncio.gather(*(journal.append(samples.intent(number)) for number in range(2_000)))
            return journal.commits, journal.records, len(await everything(journal))

    commits, records, replayed = asyncio.run(main())
    assert (records, replayed) == (2_000, 2_000)
    assert 4 <= commits <= 6


def test_an_append_is_durable_when_it_returns(open_journal: Any, samples: Any, tmp_path: Path) -> None:
    """The database and its WAL, copied right after `append` returned, hold the record."""

    async def main() -> list[Record]:
        async with open_journal() as journal:
            await journal.append(samples.intent(1))
            for suffix in ("", "-wal"):
                copy = (tmp_path / f"journal.db{suffix}").read_bytes()
                (tmp_path / f"copy.db{suffix}").write_bytes(copy)
        async with open_journal(name="copy.db") as copied:
            return await everything(copied)

    assert asyncio.run(main()) == [samples.intent(1)]


def test_a_commit_is_synced_to_the_disk(tmp_path: Path) -> None:
    """The file is in WAL mode with synchronous=FULL (2): an fsync a commit, so that a power cut costs nothing."""
    file = JournalFile(tmp_path / "journal.db")
    file.open()
    try:
        assert file._connection is not None
        pragmas = [file._connection.execute(f"PRAGMA {name}").fetchone() for name in ("journal_mode", "synchronous")]
    finally:
        file.close()
    assert pragmas == [("wal",), (2,)]


def test_the_same_intent_and_the_same_fill_are_kept_once(open_journal: Any, samples: Any) -> None:
    """A second intent with one client id, or fill with one execution id, changes nothing and is counted."""

    async def main() -> tuple[list[Record], int]:
        async with open_journal() as journal:
            await journal.append(samples.intent(1))
            await asyncio.gather(*(journal.append(samples.fill(1)) for _ in range(3)))
            await journal.append(samples.intent(1, strategy_id="another"))
            await journal.append(samples.order(1))
            await journal.append(samples.order(1))
            return await everything(journal), journal.duplicates

    records, duplicates = asyncio.run(main())
    assert records == [samples.intent(1), samples.fill(1), samples.order(1), samples.order(1)]
    assert duplicates == 3


def test_a_note_is_durable_within_its_delay(open_journal: Any, samples: Any) -> None:
    """A note costs no wait, and reaches the disk by itself when its delay has passed."""

    async def main() -> list[int]:
        async with open_journal(note_delay_s=0.05) as journal:
            journal.note(samples.order(1))
            journal.note(samples.order(2))
            seen = [journal.records]
            await asyncio.sleep(0.049)
            seen.append(journal.records)
            await asyncio.sleep(0.002)
            return [*seen, journal.records, journal.commits]

    assert run_virtual(main()) == [0, 0, 2, 1]


def test_a_note_travels_with_the_next_append_and_before_it(open_journal: Any, samples: Any) -> None:
    """Notes and appends share one order and one commit; `flush` waits for notes too."""

    async def main() -> tuple[list[Record], list[int]]:
        async with open_journal(note_delay_s=60.0) as journal:
            journal.note(samples.order(1))
            await journal.append(samples.intent(2))
            commits = [journal.commits]
            journal.note(samples.order(3))
            await journal.flush()
            return await everything(journal), [*commits, journal.commits]

    records, commits = run_virtual(main())
    assert records == [samples.order(1), samples.intent(2), samples.order(3)]
    assert commits == [1, 2]


def test_a_full_queue_holds_an_append_back_and_refuses_a_note(open_journal: Any, samples: Any, bounds: Bounds) -> None:
    """At capacity a note raises QueueFull and is counted, an append waits for room, and the length never exceeds it."""

    async def main() -> tuple[tuple[Bound, ...], int, int]:
        async with open_journal(capacity=3, note_delay_s=60.0) as journal:
            for number in range(3):
                journal.note(samples.order(number))
            with pytest.raises(QueueFull):
                journal.note(samples.order(3))
            late = asyncio.create_task(journal.append(samples.intent(4)))
            await asyncio.sleep(0)
            full = bounds.snapshot()
            # Nothing but the notes' own delay makes room here.
            await late
            return full, journal.refused, journal.records

    full, refused, records = run_virtual(main())
    assert full == (Bound(name="journal.queue", length=3, capacity=3),)
    assert (refused, records) == (1, 4)
    assert bounds.snapshot() == ()


def test_a_stopped_journal_takes_nothing(open_journal: Any, samples: Any) -> None:
    """After `stop()`, append, note and flush raise StoreError, also for an append that waited for room."""

    async def main() -> None:
        async with open_journal(capacity=1, note_delay_s=60.0) as journal:
            journal.note(samples.order(1))
            waiting = asyncio.create_task(journal.append(samples.intent(1)))
            await asyncio.sleep(0)
        with pytest.raises(StoreError):
            await journal.append(samples.intent(2))
        with pytest.raises(StoreError):
            journal.note(samples.order(2))
        with pytest.raises(StoreError):
            await journal.flush()
        with pytest.raises(StoreError):
            await waiting

    run_virtual(main())


def test_an_append_that_is_cancelled_leaves_the_others_alone(open_journal: Any, samples: Any) -> None:
    """A caller that gives up does not disturb the batch it was in."""

    async def main() -> list[Record]:
        async with open_journal() as journal:
            appends = [asyncio.create_task(journal.append(samples.intent(number))) for number in range(3)]
            await asyncio.sleep(0)
            appends[1].cancel()
            await asyncio.gather(appends[0], appends[2])
            return await everything(journal)

    assert samples.intent(2) in run_virtual(main())


def test_a_virtual_day_writes_the_same_journal_twice(open_journal: Any, samples: Any) -> None:
    """Under the virtual loop the same calls give the same commits, records and instants."""

    async def main(name: str) -> tuple[list[Record], dict[str, int]]:
        async def strategy(journal: Journal, number: int) -> None:
            await asyncio.sleep(number % 7)
            await journal.append(samples.intent(number))
            journal.note(samples.order(number))

        async with open_journal(name=name) as journal:
            await asyncio.gather(*(strategy(journal, number) for number in range(40)))
            await journal.flush()
            return await everything(journal), journal.facts()

    first = run_virtual(main("one.db"))
    assert first == run_virtual(main("other.db"))
    assert len(first[0]) == 80
