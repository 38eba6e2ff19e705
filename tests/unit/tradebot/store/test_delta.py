"""Delta itself: what is written is read, nothing twice, and the folder stays small."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import deltalake
import pyarrow as pa
import pytest

from tradebot.domain.errors import StoreError
from tradebot.domain.events import GreeksChanged
from tradebot.domain.greeks import FLAT
from tradebot.domain.orders import Position
from tradebot.store.delta import DeltaDirectory
from tradebot.store.tables import (
    GreeksRow,
    LakeRow,
    LakeTable,
    alert_row,
    from_arrow,
    greeks_rows,
    position_row,
    schema_of,
    table_of,
    transaction_row,
)


def rows_of(directory: DeltaDirectory, table: LakeTable, **filters: Any) -> list[Any]:
    schema = schema_of(table)
    batches = directory.scan(table, columns=schema.names, **filters)
    rows = from_arrow(table, pa.Table.from_batches(list(batches), schema=schema))
    return sorted(rows, key=lambda row: (row.symbol, row.at))


def files_of(directory: DeltaDirectory, table: LakeTable) -> list[Path]:
    return sorted((directory.path / table.value).rglob("symbol=*/*.parquet"))


def greeks(samples: Any, number: int, symbols: tuple[str, ...] = ("IWM", "SPY")) -> tuple[GreeksRow, ...]:
    at = samples.noon + timedelta(seconds=3 * number)
    return greeks_rows(GreeksChanged(at=at, portfolio=FLAT, by_symbol=dict.fromkeys(symbols, FLAT)))


@pytest.fixture
def directory(tmp_path: Path) -> DeltaDirectory:
    return DeltaDirectory(tmp_path / "lake")


@pytest.mark.parametrize("table", LakeTable)
def test_a_table_gives_back_its_rows_after_a_restart(directory: DeltaDirectory, samples: Any, table: LakeTable) -> None:
    """Rows of each table come back equal from Delta through a fresh handle, partitioned by symbol."""
    fact: dict[LakeTable, LakeRow] = {
        LakeTable.POSITIONS: position_row(Position(samples.contract, -2, samples.fill(1).fill.price), samples.noon),
        LakeTable.TRANSACTIONS: transaction_row(samples.fill(1).fill, "s-1"),
        LakeTable.GREEKS: greeks(samples, 1)[-1],
        LakeTable.ALERTS: alert_row(samples.alert("a-1").alert),
    }
    row = fact[table]
    assert table_of(row) is table
    assert directory.append(table, [row], 0)
    assert rows_of(DeltaDirectory(directory.path), table) == [row]
    assert [path.parent.name for path in files_of(directory, table)] == ["symbol=SPY"]
    assert deltalake.DeltaTable(directory.path / table.value).metadata().partition_columns == ["symbol"]


def test_a_version_is_written_once(directory: DeltaDirectory, samples: Any) -> None:
    """The same version again changes nothing, also through a fresh handle, and the next one is written."""
    table, rows = LakeTable.GREEKS, greeks(samples, 1)
    assert directory.version(table) == -1
    assert [directory.append(table, rows, version) for version in (0, 0, 1)] == [True, False, True]
    assert not DeltaDirectory(directory.path).append(table, rows, 1)
    assert directory.version(table) == 1
    assert len(rows_of(directory, table)) == 2 * len(rows)


def test_a_scan_opens_only_what_it_was_asked_for(directory: DeltaDirectory, samples: Any) -> None:
    """With a symbol, files of other symbols may even be missing; with an instant, older rows stay out."""
    for number in range(3):
        directory.append(LakeTable.GREEKS, greeks(samples, number), number)
    shutil.rmtree(directory.path / "greeks" / "symbol=IWM")
    found = rows_of(directory, LakeTable.GREEKS, symbol="SPY", since=samples.noon + timedelta(seconds=3))
    assert found == [greeks(samples, number)[-1] for number in (1, 2)]
    (batch, *_) = directory.scan(LakeTable.GREEKS, columns=["at", "delta"], symbol="SPY")
    assert batch.schema.names == ["at", "delta"]


def test_maintenance_leaves_few_files_all_rows_and_the_version(tmp_path: Path, samples: Any) -> None:
    """Many small commits become one file a symbol; files past their retention go from the disk, rows do not."""
    directory = DeltaDirectory(tmp_path / "lake", retention=timedelta(0))
    for number in range(20):
        directory.append(LakeTable.GREEKS, greeks(samples, number), number)
    before = rows_of(directory, LakeTable.GREEKS)
    assert len(files_of(directory, LakeTable.GREEKS)) == 60
    assert directory.maintain(LakeTable.GREEKS) == 3
    assert len(files_of(directory, LakeTable.GREEKS)) == 3
    assert rows_of(directory, LakeTable.GREEKS) == before
    assert DeltaDirectory(directory.path).version(LakeTable.GREEKS) == 19
    assert directory.append(LakeTable.GREEKS, greeks(samples, 20), 20)


def test_files_within_their_retention_stay(directory: DeltaDirectory, samples: Any) -> None:
    """By default a merged file stays on the disk for readers that still have it open."""
    for number in range(3):
        directory.append(LakeTable.GREEKS, greeks(samples, number), number)
    assert directory.maintain(LakeTable.GREEKS) == 3
    assert len(files_of(directory, LakeTable.GREEKS)) == 12


def test_a_table_with_other_columns_is_an_error_with_a_remedy(directory: DeltaDirectory, samples: Any) -> None:
    """A table that another program made is left alone, and works again once it was moved aside."""
    path = directory.path / "greeks"
    deltalake.write_deltalake(path, pa.table({"symbol": ["SPY"], "nonsense": [1]}), partition_by=["symbol"])
    for _ in range(2):
        with pytest.raises(StoreError, match=r"other columns.*Move the folder aside"):
            directory.append(LakeTable.GREEKS, greeks(samples, 1), 0)
    path.rename(directory.path / "aside")
    assert directory.append(LakeTable.GREEKS, greeks(samples, 1), 0)


@pytest.mark.parametrize("damage", ["log", "checkpoint", "data"])
def test_a_damaged_table_is_an_error_with_a_remedy(tmp_path: Path, samples: Any, damage: str) -> None:
    """Garbage in a log entry, a checkpoint or a data file raises StoreError, never a wrong answer."""
    directory = DeltaDirectory(tmp_path / "lake")
    directory.append(LakeTable.GREEKS, greeks(samples, 1), 0)
    if damage == "checkpoint":
        directory.maintain(LakeTable.GREEKS)
    pattern = {"log": "_delta_log/*1.json", "checkpoint": "_delta_log/*.parquet", "data": "symbol=*/*.parquet"}[damage]
    damaged = list((directory.path / "greeks").glob(pattern))
    assert damaged
    for path in damaged:
        path.write_bytes(b"garbage " * 50)
    with pytest.raises(StoreError, match="move the folder aside"):
        rows_of(DeltaDirectory(directory.path), LakeTable.GREEKS)


def test_what_somebody_else_committed_is_seen(directory: DeltaDirectory, samples: Any) -> None:
    """A handle follows the table: rows that another handle wrote are read, and written after."""
    other = DeltaDirectory(directory.path)
    directory.append(LakeTable.GREEKS, greeks(samples, 0), 0)
    other.append(LakeTable.GREEKS, greeks(samples, 1), 1)
    assert directory.version(LakeTable.GREEKS) == 1
    assert len(rows_of(directory, LakeTable.GREEKS)) == 6


def test_a_table_that_vanished_is_made_anew_after_one_failure(directory: DeltaDirectory, samples: Any) -> None:
    """A folder that was moved aside while the bot runs costs one failed write; the next one makes a new table."""
    directory.append(LakeTable.GREEKS, greeks(samples, 0), 0)
    (directory.path / "greeks").rename(directory.path / "aside")
    with pytest.raises(StoreError, match="greeks"):
        directory.append(LakeTable.GREEKS, greeks(samples, 1), 1)
    assert directory.append(LakeTable.GREEKS, greeks(samples, 1), 1)
    assert rows_of(directory, LakeTable.GREEKS) == sorted(greeks(samples, 1), key=lambda row: row.symbol)


def test_a_symbol_is_a_value_and_never_a_part_of_the_query(directory: DeltaDirectory, samples: Any) -> None:
    """A symbol with quotes finds its own rows and nothing else."""
    odd = "O'Neill' OR '1'='1"
    directory.append(LakeTable.GREEKS, greeks(samples, 0, (odd, "SPY")), 0)
    assert [row.symbol for row in rows_of(directory, LakeTable.GREEKS, symbol=odd)] == [odd]
    assert rows_of(directory, LakeTable.GREEKS, symbol="' OR '1'='1") == []


def test_maintenance_takes_a_fresh_handle(directory: DeltaDirectory, samples: Any) -> None:
    """The handle that has seen many commits is not kept, because its memory grows with every one of them."""
    directory.append(LakeTable.GREEKS, greeks(samples, 0), 0)
    before = directory._handles[LakeTable.GREEKS]
    directory.append(LakeTable.GREEKS, greeks(samples, 1), 1)
    assert directory._handles[LakeTable.GREEKS] is before
    directory.maintain(LakeTable.GREEKS)
    assert directory._handles[LakeTable.GREEKS] is not before
