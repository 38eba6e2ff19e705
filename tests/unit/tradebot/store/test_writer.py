"""The lake's writer: in time, once, within its bounds, and again after every failure."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import deltalake
import msgspec
import pytest

from tradebot.domain.errors import StoreError
from tradebot.domain.events import GreeksChanged
from tradebot.domain.greeks import FLAT
from tradebot.kernel.bounds import Bounds
from tradebot.kernel.retry import Backoff
from tradebot.kernel.virtual import run_virtual
from tradebot.store import delta
from tradebot.store.delta import DeltaDirectory
from tradebot.store.tables import GreeksRow, LakeTable, alert_row, greeks_rows


def greeks(samples: Any, number: int) -> GreeksRow:
    at = samples.noon + timedelta(seconds=number)
    return greeks_rows(GreeksChanged(at=at, portfolio=FLAT, by_symbol={}))[0]


def seconds(tmp_path: Path, samples: Any, table: LakeTable = LakeTable.GREEKS) -> list[int]:
    """The instants in the lake, in seconds after noon."""
    batches = DeltaDirectory(tmp_path / "lake").scan(table, columns=["at"])
    return sorted(int((at - samples.noon).total_seconds()) for batch in batches for at in batch["at"].to_pylist())


class Disk:
    """Delta's write as it is on a disk that fails before or after the commit."""

    def __init__(self) -> None:
        self.fails = ""
        self.writes = 0

    def write(self, *args: Any, **kwargs: Any) -> None:
        self.writes += 1
        if self.fails == "before":
            raise OSError(28, "No space left on device")
        deltalake.write_deltalake(*args, **kwargs)
        if self.fails == "after":
            raise OSError(28, "No space left on device")


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk()
    monkeypatch.setattr(delta, "write_deltalake", disk.write)
    return disk


def test_rows_become_one_commit_a_table_every_interval(open_writer: Any, samples: Any, tmp_path: Path) -> None:
    """All rows of three seconds are one commit of their table; a table without rows gets none."""

    async def main() -> list[Any]:
        async with open_writer() as writer:
            seen = []
            await asyncio.sleep(0.1)
            for number in range(6):
                writer.add(greeks(samples, number))
                await asyncio.sleep(1.0)
                seen.append(writer.facts()["greeks"]["commits"])
            return [*seen, writer.facts()["alerts"]["commits"]]

    assert run_virtual(main()) == [0, 0, 1, 1, 1, 2, 0]
    assert seconds(tmp_path, samples) == list(range(6))


def test_rows_that_come_during_a_commit_wait_for_the_next_interval(
    open_writer: Any, samples: Any, tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However fast rows come, a table is committed once an interval: a busy bot never commits without a pause."""

    async def main() -> list[int]:
        async with open_writer() as writer:

            def write_while_more_comes(*args: Any, **kwargs: Any) -> None:
                if disk.writes < 20:
                    writer.add(greeks(samples, 1 + disk.writes))
                disk.write(*args, **kwargs)

            monkeypatch.setattr(delta, "write_deltalake", write_while_more_comes)
            writer.add(greeks(samples, 0))
            commits = []
            for _ in range(3):
                await asyncio.sleep(3.1)
                commits.append(writer.facts()["greeks"]["commits"])
            return commits

    assert run_virtual(main()) == [1, 2, 3]
    assert seconds(tmp_path, samples) == [0, 1, 2, 3]


def test_stop_writes_what_waits_and_the_next_writer_goes_on(open_writer: Any, samples: Any, tmp_path: Path) -> None:
    """Nothing waits for the interval at the end, and versions go on after a restart so that nothing is skipped."""

    async def main() -> None:
        for number in range(3):
            async with open_writer() as writer:
                writer.add(greeks(samples, number), alert_row(samples.alert("a").alert))

    run_virtual(main())
    assert seconds(tmp_path, samples) == [0, 1, 2]
    assert DeltaDirectory(tmp_path / "lake").version(LakeTable.GREEKS) == 2
    assert len(seconds(tmp_path, samples, LakeTable.ALERTS)) == 3


@pytest.mark.parametrize("fails", ["before", "after"])
def test_a_batch_is_retried_until_it_is_written_and_never_doubled(
    open_writer: Any, samples: Any, tmp_path: Path, disk: Disk, fails: str
) -> None:
    """Whether a write failed before its commit or after it, each row is in the lake once, without anybody's help."""

    async def main() -> list[Any]:
        async with open_writer(retry=Backoff(initial_s=1.0, max_s=8.0, jitter=0.0)) as writer:
            disk.fails = fails
            writer.add(greeks(samples, 0), greeks(samples, 1))
            await asyncio.sleep(3.5)
            writer.add(greeks(samples, 2))
            facts = writer.facts()["greeks"]
            lag_s = writer.lag_s()
            disk.fails = ""
            await asyncio.sleep(5.0)
            return [facts["failures"], facts["error"], lag_s, writer.facts()["greeks"], writer.lag_s()]

    failures, error, lag_s, facts, lag_later_s = run_virtual(main())
    assert failures == 1
    assert "No space left" in error
    assert (lag_s, lag_later_s) == (3.5, 0.0)
    assert facts == {"queue": 0, "commits": 2, "failures": 1, "dropped": 0, "error": ""}
    assert seconds(tmp_path, samples) == [0, 1, 2]


def test_retries_back_off(open_writer: Any, samples: Any, disk: Disk) -> None:
    """A disk that stays full is asked less and less often, and asked every interval again after a success."""

    async def main() -> list[int]:
        async with open_writer(retry=Backoff(initial_s=1.0, max_s=30.0, jitter=0.0)) as writer:
            disk.fails = "before"
            writer.add(greeks(samples, 0))
            await asyncio.sleep(60.0)
            tries = disk.writes
            disk.fails = ""
            await asyncio.sleep(30.0)
            writer.add(greeks(samples, 1))
            await asyncio.sleep(3.0)
            return [tries, disk.writes]

    assert run_virtual(main()) == [6, 8]  # at 3, 4, 6, 10, 18 and 34 s, then at 64 s and in the next interval


def test_a_full_queue_drops_its_oldest_rows_and_counts_them(
    open_writer: Any, samples: Any, tmp_path: Path, disk: Disk, bounds: Bounds
) -> None:
    """While the disk fails a queue stays at its bound, its own drops are counted, and the newest rows survive."""

    async def main() -> list[Any]:
        async with open_writer(capacity=5, batch_max=2) as writer:
            disk.fails = "before"
            writer.add(*(greeks(samples, number) for number in range(4)))
            await asyncio.sleep(3.1)  # two rows are a batch now: it keeps its version, so it is never dropped
            writer.add(*(greeks(samples, number) for number in range(4, 10)), alert_row(samples.alert("a").alert))
            lengths = {bound.name: (bound.length, bound.capacity) for bound in bounds.snapshot()}
            disk.fails = ""
            await asyncio.sleep(60.0)
            facts = writer.facts()
            return [lengths["lake.greeks"], facts["greeks"]["dropped"], facts["alerts"]["dropped"]]

    assert run_virtual(main()) == [(5, 5), 5, 0]
    assert seconds(tmp_path, samples) == [0, 1, 7, 8, 9]
    assert bounds.snapshot() == ()


def test_one_damaged_table_does_not_hold_up_the_others(open_writer: Any, samples: Any, tmp_path: Path) -> None:
    """A table that cannot be written keeps its rows and says why; the others are written in their time."""
    path = tmp_path / "lake" / "greeks"
    (path / "_delta_log").mkdir(parents=True)
    (path / "_delta_log" / "00000000000000000000.json").write_text("garbage")

    async def main() -> list[Any]:
        async with open_writer() as writer:
            writer.add(greeks(samples, 0), alert_row(samples.alert("a").alert))
            await asyncio.sleep(3.1)
            facts = writer.facts()
            path.rename(tmp_path / "aside")
            await asyncio.sleep(60.0)
            return [facts["alerts"]["commits"], facts["greeks"]["queue"], facts["greeks"]["error"]]

    commits, queue, error = run_virtual(main())
    assert (commits, queue) == (1, 1)
    assert "move the folder aside" in error
    assert seconds(tmp_path, samples) == [0]


def test_rows_that_can_never_be_written_are_dropped_and_counted(open_writer: Any, samples: Any, tmp_path: Path) -> None:
    """Text that no encoding holds costs its own batch, not the table: what comes after it is written."""

    async def main() -> dict[str, Any]:
        async with open_writer() as writer:
            writer.add(msgspec.structs.replace(alert_row(samples.alert("a").alert), message="\ud800"))
            await asyncio.sleep(3.5)
            writer.add(alert_row(samples.alert("b", minute=1).alert))
            await asyncio.sleep(3.5)
            return dict(writer.facts()["alerts"])

    assert run_virtual(main()) == {"queue": 0, "commits": 1, "failures": 0, "dropped": 1, "error": ""}
    assert seconds(tmp_path, samples, LakeTable.ALERTS) == [60]


def test_numbers_that_are_none_are_kept(open_writer: Any, samples: Any, tmp_path: Path) -> None:
    """Greeks that could not be computed (NaN, infinity) are history too, and do not hurt a table's statistics."""

    async def main() -> None:
        async with open_writer() as writer:
            for value in (float("nan"), float("inf"), 1.0):
                writer.add(msgspec.structs.replace(greeks(samples, 0), value=value))
                await writer.flush()

    run_virtual(main())
    batches = DeltaDirectory(tmp_path / "lake").scan(LakeTable.GREEKS, columns=["value"])
    assert sorted(str(value) for batch in batches for value in batch["value"].to_pylist()) == ["1.0", "inf", "nan"]


def test_flush_writes_now_or_says_why_not(open_writer: Any, samples: Any, tmp_path: Path, disk: Disk) -> None:
    """After `flush()` every row is in the lake; on a full disk it raises, and the rows stay for the next time."""

    async def main() -> None:
        async with open_writer() as writer:
            disk.fails = "before"
            writer.add(greeks(samples, 0))
            with pytest.raises(StoreError, match="No space left"):
                await writer.flush()
            disk.fails = ""
            await writer.flush()
            assert seconds(tmp_path, samples) == [0]

    run_virtual(main())


def test_stop_counts_the_rows_it_could_not_write(open_writer: Any, samples: Any, disk: Disk) -> None:
    """With a full disk `stop()` tries once and returns; the rows are counted as dropped."""

    async def main() -> list[Any]:
        async with open_writer() as writer:
            disk.fails = "before"
            writer.add(greeks(samples, 0), greeks(samples, 1))
        return [writer.facts()["greeks"]["dropped"], disk.writes]

    assert run_virtual(main()) == [2, 1]


def test_tables_are_maintained_every_so_many_commits(
    open_writer: Any, samples: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Housekeeping runs after the first commit and then every `maintain_commits`; its failure loses no row."""
    maintained: list[LakeTable] = []

    def maintain(_: DeltaDirectory, table: LakeTable) -> int:
        maintained.append(table)
        raise StoreError("no space to merge into")

    monkeypatch.setattr(DeltaDirectory, "maintain", maintain)

    async def main() -> list[Any]:
        async with open_writer(maintain_commits=4) as writer:
            for number in range(9):
                writer.add(greeks(samples, number))
                await asyncio.sleep(5.0)
            facts = writer.facts()["greeks"]
            return [facts["commits"], facts["failures"], facts["queue"]]

    assert run_virtual(main()) == [9, 3, 0]
    assert maintained == [LakeTable.GREEKS] * 3


def test_a_batch_must_leave_room_in_its_queue(open_writer: Any) -> None:
    """Settings under which a batch would fill the queue, so that nothing could be dropped, are refused."""

    async def main() -> None:
        async with open_writer(capacity=5, batch_max=5):
            pass

    with pytest.raises(ValueError, match="leave room"):
        run_virtual(main())
