"""The journal's half behind the door: one SQLite file, written by whole batches, read in slices.

rows -> `insert` (one transaction, one fsync) -> the table `journal` -> `read` in order of `seq`. WAL with
synchronous=FULL: when `insert` returns, the batch outlives a power cut; a torn tail of the WAL fails its checksum and
is left out by SQLite itself. A unique index makes a second intent with the same client id, or a second fill with the
same execution id, impossible. The file is locked for one process, because two bots on one journal would double orders.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from tradebot.domain.errors import StoreError
from tradebot.store.records import Row

SCHEMA_VERSION = 1
LOCK_WAIT_S = 0.5

_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS journal(
        seq INTEGER PRIMARY KEY, at TEXT NOT NULL, kind TEXT NOT NULL, key TEXT NOT NULL,
        owner TEXT NOT NULL, final INTEGER NOT NULL, body BLOB NOT NULL)""",
    "CREATE UNIQUE INDEX IF NOT EXISTS journal_once ON journal(kind, key) WHERE kind IN ('intent', 'fill')",
    "CREATE INDEX IF NOT EXISTS journal_latest ON journal(kind, key) WHERE kind NOT IN ('intent', 'fill')",
    "CREATE INDEX IF NOT EXISTS journal_owner ON journal(owner) WHERE owner <> ''",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)
_INSERT = "INSERT INTO journal(at, kind, key, owner, final, body) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
# A record is superseded once a later one of the same thing is final; a late word after a final one is kept.
_FOLD = """DELETE FROM journal WHERE seq > ? AND seq <= ? AND kind NOT IN ('intent', 'fill') AND EXISTS (
    SELECT 1 FROM journal AS later WHERE later.kind = journal.kind AND later.key = journal.key
    AND later.kind NOT IN ('intent', 'fill') AND later.seq > journal.seq AND later.final)"""
_FINISHED = "SELECT key FROM journal WHERE kind = 'strategy' AND final AND at < ? LIMIT ?"
_DROP_ORDERS = """DELETE FROM journal WHERE kind = 'order' AND kind NOT IN ('intent', 'fill')
    AND key IN (SELECT key FROM journal WHERE owner = ? AND owner <> '' AND kind = 'intent')"""
_DROP_OWNED = "DELETE FROM journal WHERE owner = ? AND owner <> '' AND NOT (kind = 'workflow' AND NOT final)"
_DROP_ALONE = """DELETE FROM journal WHERE seq IN (
    SELECT seq FROM journal WHERE kind IN ('workflow', 'alert') AND final AND at < ? LIMIT ?)"""


class JournalFile:
    """Every method runs behind the journal's door, on the one thread that owns the connection."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = None

    def open(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            connection = sqlite3.connect(self.path, isolation_level=None, timeout=LOCK_WAIT_S)
            self._connection = connection
            with self._failures("open"):
                self._prepare(connection)
        except BaseException:
            self.close()
            raise

    def insert(self, rows: Sequence[Row]) -> int:
        """Make the rows durable together or not at all; how many of them were not there before."""
        with self._failures("write"), self._transaction() as connection:
            before = connection.total_changes
            connection.executemany(_INSERT, rows)
            return connection.total_changes - before

    def read(self, after: int, most: int) -> list[tuple[int, bytes]]:
        with self._failures("read"):
            return (
                self._open()
                .execute("SELECT seq, body FROM journal WHERE seq > ? ORDER BY seq LIMIT ?", (after, most))
                .fetchall()
            )

    def fold(self, after: int, most: int) -> tuple[int, int | None]:
        """Delete what is superseded among the next `most` rows; how many, and where to go on (None: the end)."""
        with self._failures("compact"), self._transaction() as connection:
            (until,) = connection.execute(
                "SELECT max(seq) FROM (SELECT seq FROM journal WHERE seq > ? ORDER BY seq LIMIT ?)", (after, most)
            ).fetchone()
            if until is None:
                return 0, None
            return connection.execute(_FOLD, (after, until)).rowcount, until

    def expire(self, before: str, most: int) -> int:
        """Delete up to `most` strategies that finished earlier, with all that is theirs, and as many lone records."""
        with self._failures("compact"), self._transaction() as connection:
            start = connection.total_changes
            finished = connection.execute(_FINISHED, (before, most)).fetchall()
            connection.executemany(_DROP_ORDERS, finished)
            connection.executemany(_DROP_OWNED, finished)
            connection.execute(_DROP_ALONE, (before, most))
            return connection.total_changes - start

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _prepare(self, connection: sqlite3.Connection) -> None:
        for pragma in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = FULL"):
            connection.execute(f"PRAGMA {pragma}")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > SCHEMA_VERSION:
            raise StoreError(
                f"the journal {self.path} has schema {version}, this program knows {SCHEMA_VERSION}",
                remedy="Start the newer program that wrote it",
            )
        # Also an up-to-date file is written once: this takes the lock now instead of at the first order.
        with self._transaction():
            for statement in _SCHEMA:
                connection.execute(statement)

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            raise StoreError(f"the journal {self.path} is not open", remedy="Start the store before it is used")
        return self._connection

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        connection = self._open()
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            # SQLite may have rolled back by itself, and on a full disk the rollback may fail as the commit did.
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise

    @contextlib.contextmanager
    def _failures(self, verb: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StoreError(f"cannot {verb} the journal {self.path}: {error}", remedy=_remedy(error)) from error


def _remedy(error: sqlite3.Error) -> str:
    # Errors of the binding itself (a closed connection) carry no code.
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:
        case sqlite3.SQLITE_FULL | sqlite3.SQLITE_IOERR:
            return "Free space on its disk: the journal goes on by itself"
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return "Stop the other process that has it open"
        case sqlite3.SQLITE_NOTADB | sqlite3.SQLITE_CORRUPT:
            return "Move the file aside and restore a copy, or start without: reconciling finds the venue's orders"
        case _:
            return "Check the file's permissions and its disk"
