"""The store as one thing: it starts, says how it is, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from tradebot.domain.errors import StoreError
from tradebot.domain.events import GreeksChanged
from tradebot.domain.greeks import FLAT
from tradebot.kernel.bounds import Bounds
from tradebot.kernel.clock import Clock
from tradebot.kernel.virtual import run_virtual
from tradebot.store.door import InlineDoor, ThreadDoor
from tradebot.store.journal import JournalSettings
from tradebot.store.store import Store, StoreSettings
from tradebot.store.tables import LakeRow, LakeTable, greeks_rows
from tradebot.store.writer import LakeSettings


@pytest.fixture
def make_store(tmp_path: Path, bounds: Bounds, samples: Any) -> Callable[..., Store]:
    def made(*, inline: bool = False, **settings: Any) -> Store:
        return Store(
            StoreSettings(data_dir=tmp_path / "data", **settings),
            clock=Clock(asyncio.get_running_loop(), samples.noon),
            bounds=bounds,
            doors=InlineDoor if inline else partial(ThreadDoor, bounds=bounds),
            seed=1,
        )

    return made


def a_row(samples: Any) -> LakeRow:
    return greeks_rows(GreeksChanged(at=samples.noon, portfolio=FLAT, by_symbol={}))[0]


def test_what_was_stored_is_there_after_a_restart(make_store: Callable[..., Store], samples: Any) -> None:
    """Journal and lake of a stopped store are whole when the next one opens them."""

    async def main() -> tuple[list[Any], tuple[LakeRow, ...]]:
        store = make_store()
        await store.start()
        await store.journal.append(samples.intent(1))
        store.journal.note(samples.order(1))
        store.writer.add(a_row(samples))
        await store.stop()
        store = make_store()
        await store.start()
        try:
            records = [record async for record in store.journal.replay()]
            return records, await store.lake.history(LakeTable.GREEKS)
        finally:
            await store.stop()

    assert asyncio.run(main()) == ([samples.intent(1), samples.order(1)], (a_row(samples),))


def test_stop_leaves_no_thread_task_file_or_bound(
    make_store: Callable[..., Store], samples: Any, bounds: Bounds
) -> None:
    """After `stop()`, which may come twice, the process has what it had before: threads, descriptors, tasks, bounds."""
    process = psutil.Process()

    async def one_life() -> tuple[int, int, set[str]]:
        store = make_store()
        await store.start()
        await store.journal.append(samples.intent(1))
        store.writer.add(a_row(samples))
        await store.writer.flush()
        await store.lake.last_positions()
        await store.stop()
        await store.stop()
        names = {task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()}
        return process.num_fds(), threading.active_count(), names

    # Delta's own runtime opens its descriptors once a process, in the first life.
    before = asyncio.run(one_life())
    assert [asyncio.run(one_life()) for _ in range(3)] == [before] * 3
    assert before[1:] == (threading.active_count(), set())
    assert bounds.snapshot() == ()


def test_the_facts_say_how_far_behind_the_store_is(make_store: Callable[..., Store], samples: Any) -> None:
    """Queue lengths, commits, the lake's lag and its drops are there for the API, as plain numbers."""

    async def main() -> tuple[dict[str, Any], dict[str, Any]]:
        store = make_store(
            inline=True,
            journal=JournalSettings(note_delay_s=60.0),
            lake=LakeSettings(capacity=3, batch_max=2, interval_s=10.0),
        )
        await store.start()
        await store.journal.append(samples.intent(1))
        store.journal.note(samples.order(1))
        store.writer.add(*[a_row(samples)] * 5)
        await asyncio.sleep(7.0)
        busy = store.facts()
        await store.stop()
        return busy, store.facts()

    busy, stopped = run_virtual(main())
    assert (busy["journal"]["queue"], busy["journal"]["commits"], busy["journal"]["records"]) == (1, 1, 1)
    assert (busy["lake_lag_s"], busy["lake_dropped"], busy["lake"]["greeks"]["queue"]) == (7.0, 2, 3)
    assert (stopped["journal"]["queue"], stopped["journal"]["records"]) == (0, 2)
    assert (stopped["lake_lag_s"], stopped["lake"]["greeks"]["commits"]) == (0.0, 2)


def test_a_store_without_a_journal_does_not_start(
    make_store: Callable[..., Store], bounds: Bounds, tmp_path: Path
) -> None:
    """A damaged journal stops the start with its remedy, and nothing stays open behind it."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "journal.db").write_bytes(b"no database at all " * 500)

    async def main() -> None:
        await make_store().start()

    with pytest.raises(StoreError, match="Move the file aside"):
        asyncio.run(main())
    assert bounds.snapshot() == ()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("door-")]


def test_a_damaged_lake_does_not_stop_a_start(make_store: Callable[..., Store], samples: Any, tmp_path: Path) -> None:
    """History is not worth a day's trading: the bot starts, the journal works, and the facts tell of the lake."""
    log = tmp_path / "data" / "lake" / "greeks" / "_delta_log"
    log.mkdir(parents=True)
    (log / "00000000000000000000.json").write_text("garbage")

    async def main() -> dict[str, Any]:
        store = make_store(inline=True)
        await store.start()
        store.writer.add(a_row(samples))
        await store.journal.append(samples.intent(1))
        await asyncio.sleep(4.0)
        facts = store.facts()
        await store.stop()
        return facts

    facts = run_virtual(main())
    assert facts["journal"]["records"] == 1
    assert "move the folder aside" in facts["lake"]["greeks"]["error"]
