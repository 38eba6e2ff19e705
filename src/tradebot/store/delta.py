"""The lake's half behind the door: one Delta table a folder, appended to, scanned and kept small.

rows -> `append` (Arrow -> one Delta commit) -> folder -> `scan` -> Arrow batches. A commit carries the writer's own
version as a Delta application transaction, kept in the table's log: the same version is never written twice, so a
batch may be tried again after any failure, also one that came after the commit.

A stream of small appends is known to eat memory, by the files and tombstones that a table's log and each checkpoint
list, and by one more chunk of state for every commit a handle has seen. Hence these numbers, for one commit in 3 s:
- `CHECKPOINT_COMMITS`: reading a log from scratch never replays more than 100 commits, and as a checkpoint lists only
  what `maintain` left plus at most 5 minutes of commits, it stays small.
- `MAINTAIN_COMMITS`: every 200 commits (10 minutes) small files are merged, dead ones deleted, the handle reopened.
- `COMPACT_BYTES`: files of 16 MiB are left alone, so that merging rewrites at most that much a symbol.
- `RETENTION`: dead files, tombstones and log entries go after an hour: long for any reader, short against Delta's week,
  in which 28 800 commits a day would be listed in every checkpoint.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, QueryBuilder, Transaction, write_deltalake

from tradebot.domain.errors import StoreError
from tradebot.store.tables import LakeRow, LakeTable, schema_of, to_arrow

WRITER = "tradebot"  # the application id of our transactions
CHECKPOINT_COMMITS = 100
MAINTAIN_COMMITS = 200
COMPACT_BYTES = 16 * 1024 * 1024
RETENTION = timedelta(hours=1)


class DeltaDirectory:
    """Every method runs behind the lake's door. One handle a table, dropped after any failure."""

    def __init__(self, path: Path, *, retention: timedelta = RETENTION) -> None:
        self.path = path
        self._retention = retention
        self._handles: dict[LakeTable, DeltaTable] = {}

    def version(self, table: LakeTable) -> int:
        """The last version that was written, -1 for none."""
        with self._failures("read", table):
            written = self._handle(table).transaction_version(WRITER)
        return -1 if written is None else written

    def append(self, table: LakeTable, rows: Sequence[LakeRow], version: int) -> bool:
        """Commit the rows as `version`; False when that version was written already."""
        with self._failures("write", table):
            handle = self._handle(table)
            written = handle.transaction_version(WRITER)
            if written is not None and written >= version:
                return False
            write_deltalake(
                handle,
                to_arrow(table, rows),
                mode="append",
                commit_properties=CommitProperties(app_transactions=[Transaction(WRITER, version)]),
            )
        return True

    def scan(
        self,
        table: LakeTable,
        *,
        columns: Sequence[str],
        symbol: str | None = None,
        since: datetime | None = None,
        newest: int | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """Batches of those columns, in no order; files of other symbols are not opened."""
        wanted = pa.schema([schema_of(table).field(column) for column in columns])
        with self._failures("read", table):
            # Delta's own engine: an Arrow dataset needs a second to plan over 1 600 small files, this one a tenth.
            query = QueryBuilder().register("lake", self._handle(table))
            for batch in query.execute(_select(columns, symbol, since, newest)):
                yield pa.record_batch(batch).cast(wanted)

    def maintain(self, table: LakeTable) -> int:
        """Merge small files, delete dead ones, forget old log entries; how many files the table has now."""
        with self._failures("maintain", table):
            handle = self._handle(table)
            handle.optimize.compact(target_size=COMPACT_BYTES)
            hours = int(self._retention.total_seconds() // 3600)
            handle.vacuum(retention_hours=hours, dry_run=False, enforce_retention_duration=False, full=True)
            handle.create_checkpoint()
            handle.cleanup_metadata()
            # A handle keeps one chunk for every commit it saw; a fresh one reads the checkpoint instead.
            del self._handles[table]
            return len(self._handle(table).file_uris())

    def _handle(self, table: LakeTable) -> DeltaTable:
        handle = self._handles.get(table)
        if handle is None:
            handle = self._handles[table] = self._open(table)
        else:
            handle.update_incremental()
        return handle

    def _open(self, table: LakeTable) -> DeltaTable:
        path = self.path / table.value
        schema = schema_of(table)
        path.parent.mkdir(parents=True, exist_ok=True)
        retention = f"interval {int(self._retention.total_seconds())} seconds"
        handle = DeltaTable.create(
            path,
            schema,
            mode="ignore",
            partition_by=["symbol"],
            configuration={
                "delta.checkpointInterval": str(CHECKPOINT_COMMITS),
                "delta.deletedFileRetentionDuration": retention,
                "delta.logRetentionDuration": retention,
                "delta.enableExpiredLogCleanup": "true",
            },
        )
        found = pa.schema(handle.schema().to_arrow())
        if not found.equals(schema):
            raise StoreError(
                f"the table {path} has other columns than this program writes",
                remedy="Move the folder aside: a new table is made in its place",
            )
        return handle

    @contextlib.contextmanager
    def _failures(self, verb: str, table: LakeTable) -> Iterator[None]:
        try:
            yield
        except StoreError:
            raise
        except Exception as error:  # the query engine raises a bare Exception for a file that it cannot read
            self._handles.pop(table, None)
            raise StoreError(
                f"cannot {verb} the table {self.path / table.value}: {error}",
                remedy="Free space on its disk; if it is damaged, move the folder aside and a new one is made",
            ) from error


def _select(columns: Sequence[str], symbol: str | None, since: datetime | None, newest: int | None) -> str:
    conditions = []
    if symbol is not None:
        conditions.append("symbol = '" + symbol.replace("'", "''") + "'")
    if since is not None:
        instant = since.astimezone(UTC).isoformat()
        conditions.append(f"\"at\" >= arrow_cast('{instant}', 'Timestamp(Microsecond, Some(\"UTC\"))')")
    names = ", ".join(f'"{column}"' for column in columns)
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    order = f' ORDER BY "at" DESC LIMIT {newest}' if newest is not None else ""
    return f"SELECT {names} FROM lake{where}{order}"  # noqa: S608 - names are ours, the one text from outside is quoted
