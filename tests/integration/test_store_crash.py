"""The store against a real kernel: killed without warning, and on a disk that really takes no more bytes.

Each test runs the store in a process of its own. The full disk is the kernel's file size limit: writes beyond it
fail with EFBIG, for any user and on any machine, and lifting the limit is what freeing space is.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

PREAMBLE = """
import asyncio, resource, sys
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path

import structlog

from tradebot.domain.errors import StoreError
from tradebot.domain.instruments import OptionContract, Right
from tradebot.domain.orders import OrderIntent, OrderType, Side, TimeInForce
from tradebot.kernel.bounds import Bounds
from tradebot.kernel.clock import Clock
from tradebot.kernel.retry import Backoff
from tradebot.store.door import ThreadDoor
from tradebot.store.records import IntentRecorded
from tradebot.store.store import Store, StoreSettings
from tradebot.store.tables import GreeksRow, LakeTable
from tradebot.store.writer import LakeSettings

structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
CONTRACT = OptionContract("SPY", date(2026, 4, 17), Decimal(600), Right.CALL)


def intent(name):
    return IntentRecorded(OrderIntent(name, "w", "s", 0, CONTRACT, Side.BUY, 1, OrderType.MARKET, None,
                                      TimeInForce.DAY, NOON))


def make_store(**settings):
    bounds = Bounds()
    return Store(StoreSettings(data_dir=Path(sys.argv[1]), **settings), clock=Clock(asyncio.get_running_loop(), NOON),
                 bounds=bounds, doors=partial(ThreadDoor, bounds=bounds), seed=1)


async def names(store):
    return [record.intent.client_id async for record in store.journal.replay()]


def limit_files(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
"""

APPEND_FOR_EVER = """
async def main():
    store = make_store()
    await store.start()

    async def appender(number):
        for count in range(1_000_000):
            name = f"c-{number}-{count}"
            await store.journal.append(intent(name))
            print(name, flush=True)

    await asyncio.gather(*(appender(number) for number in range(50)))


asyncio.run(main())
"""

# Few enough that SQLite did not yet move the log into the database: all of it lies in the log.
APPEND_AND_DIE = """
import os, signal


async def main():
    store = make_store()
    await store.start()
    for count in range(0, 300, 10):
        await asyncio.gather(*(store.journal.append(intent(f"c-{count + each}")) for each in range(10)))
    os.kill(os.getpid(), signal.SIGKILL)


asyncio.run(main())
"""

REPLAY = """
async def main():
    store = make_store()
    await store.start()
    for name in await names(store):
        print(name)
    print("skipped", store.journal.skipped)
    await store.stop()


asyncio.run(main())
"""

FULL_DISK_UNDER_THE_JOURNAL = """
async def main():
    store = make_store()
    await store.start()
    await store.journal.append(intent("first"))
    limit_files(256 * 1024)
    kept, failed = ["first"], 0
    for count in range(60):
        batch = [f"c-{count}-{each}" for each in range(50)]
        results = await asyncio.gather(*(store.journal.append(intent(name)) for name in batch), return_exceptions=True)
        assert all(result is None or isinstance(result, StoreError) for result in results), results
        kept += [name for name, result in zip(batch, results) if result is None]
        failed += sum(result is not None for result in results)
    assert failed, "the disk never filled"
    limit_files(resource.RLIM_INFINITY)
    await store.journal.append(intent("last"))
    kept.append("last")
    await store.stop()
    store = make_store()
    await store.start()
    found = await names(store)
    await store.stop()
    assert sorted(found) == sorted(kept), (len(found), len(kept))
    print("failed", failed > 0, "kept", len(kept) > 2)


asyncio.run(main())
"""

FULL_DISK_UNDER_THE_LAKE = """
def row(count):
    return GreeksRow("SPY", NOON, float(count), 0.0, 0.0, 0.0, 0.0, 0.0)


async def main():
    store = make_store(lake=LakeSettings(interval_s=0.02, retry=Backoff(initial_s=0.02, max_s=0.05)))
    await store.start()
    store.writer.add(row(0))
    await store.writer.flush()
    limit_files(512)
    store.writer.add(*(row(count) for count in range(1, 2_000)))
    async with asyncio.timeout(20):
        while store.writer.facts()["greeks"]["failures"] < 3:
            await asyncio.sleep(0.01)
    assert store.writer.facts()["greeks"]["queue"] == 1_999
    limit_files(resource.RLIM_INFINITY)
    async with asyncio.timeout(20):
        while store.writer.facts()["greeks"]["queue"]:
            await asyncio.sleep(0.01)
    rows = await store.lake.history(LakeTable.GREEKS, limit=10_000)
    await store.stop()
    assert sorted(row.value for row in rows) == list(range(2_000)), len(rows)
    print("rows", len(rows))


asyncio.run(main())
"""


def run(script: str, data_dir: Path, *, status: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PREAMBLE + script, str(data_dir)],
        capture_output=True,
        text=True,
        timeout=45,
        check=False,
    )
    assert done.returncode == status, done.stderr[-4000:]
    return done.stdout


def test_every_acknowledged_record_outlives_a_kill(tmp_path: Path) -> None:
    """After SIGKILL amid concurrent appends the next process finds every acknowledged record, once, none damaged."""
    command = [sys.executable, "-c", PREAMBLE + APPEND_FOR_EVER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        acknowledged = [writer.stdout.readline().strip() for _ in range(3_000)]
        writer.kill()
        # What it said before it died counts too; its last line may be cut.
        acknowledged += [line.strip() for line in writer.stdout if line.endswith("\n")]
    assert writer.returncode == -signal.SIGKILL
    *found, skipped = run(REPLAY, tmp_path).splitlines()
    assert set(acknowledged) <= set(found)
    assert len(found) == len(set(found))
    assert skipped == "skipped 0"


def test_a_torn_tail_costs_only_what_was_in_it(tmp_path: Path) -> None:
    """With the log cut amid its last batches the journal opens and holds all that came before, in order."""
    run(APPEND_AND_DIE, tmp_path, status=-signal.SIGKILL)
    log = tmp_path / "journal.db-wal"
    os.truncate(log, log.stat().st_size - 50_007)
    *found, skipped = run(REPLAY, tmp_path).splitlines()
    assert skipped == "skipped 0"
    assert 100 < len(found) < 300
    assert found == [f"c-{number}" for number in range(len(found))]


def test_the_journal_outlives_a_full_disk(tmp_path: Path) -> None:
    """When the kernel refuses bytes appends fail; when it takes them again exactly what was acknowledged is there."""
    assert run(FULL_DISK_UNDER_THE_JOURNAL, tmp_path) == "failed True kept True\n"


def test_the_lake_outlives_a_full_disk(tmp_path: Path) -> None:
    """When the kernel refuses bytes rows wait and are retried; when it takes them again each row is there once."""
    assert run(FULL_DISK_UNDER_THE_LAKE, tmp_path) == "rows 2000\n"
