"""What people ask of the lake: the last positions, a table's history, the alerts.

question -> door -> `DeltaDirectory.scan` -> batches folded as they come -> row structs. A scan is never held as a
whole: the newest rows of all, or the newest row of each thing and `FOLD_ROWS` more, are all that is in memory.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pyarrow as pa

from tradebot.domain.alerts import Alert, AlertState
from tradebot.domain.errors import StoreError
from tradebot.store.delta import DeltaDirectory
from tradebot.store.door import Door
from tradebot.store.tables import LakeRow, LakeTable, PositionRow, alert_of, from_arrow, schema_of

HISTORY_ROWS_MAX = 10_000
# Small commits come as small batches; folding them one by one would cost more than reading them.
FOLD_ROWS = 20_000


class Lake:
    def __init__(self, directory: DeltaDirectory, door: Door) -> None:
        self._directory = directory
        self._door = door

    async def last_positions(self) -> tuple[PositionRow, ...]:
        """Every contract's newest row, by contract, without those that are gone."""
        found: tuple[PositionRow, ...] = await self._door.run(self._newest_of_each, LakeTable.POSITIONS, "contract")
        return tuple(row for row in found if row.quantity != 0)

    async def history(
        self,
        table: LakeTable,
        *,
        symbol: str | None = None,
        since: datetime | None = None,
        limit: int = 1_000,
    ) -> tuple[LakeRow, ...]:
        """The newest `limit` rows, oldest first."""
        if not 0 < limit <= HISTORY_ROWS_MAX:
            raise StoreError(f"{limit} rows of history at once", remedy=f"Ask for 1 to {HISTORY_ROWS_MAX}")
        return await self._door.run(self._newest, table, symbol, since, limit)

    async def alerts(self, *, state: AlertState | None = None, limit: int = 1_000) -> tuple[Alert, ...]:
        """What the newest alerts have become, newest first; only those in `state`, if one is given."""
        rows = await self._door.run(self._newest_of_each, LakeTable.ALERTS, "id")
        alerts = [alert_of(row) for row in rows]
        wanted = [alert for alert in alerts if state is None or alert.state is state]
        return tuple(sorted(wanted, key=lambda alert: alert.at, reverse=True)[:limit])

    def _newest(self, table: LakeTable, symbol: str | None, since: datetime | None, limit: int) -> tuple[Any, ...]:
        schema = schema_of(table)
        batches = self._directory.scan(table, columns=schema.names, symbol=symbol, since=since, newest=limit)
        rows = pa.Table.from_batches(batches, schema)
        return from_arrow(table, rows.sort_by([("at", "ascending"), ("symbol", "ascending")]))

    def _newest_of_each(self, table: LakeTable, key: str) -> tuple[Any, ...]:
        schema = schema_of(table)
        kept, more = schema.empty_table(), []
        rows = 0
        for batch in self._directory.scan(table, columns=schema.names):
            more.append(batch)
            rows += batch.num_rows
            if rows >= FOLD_ROWS:
                kept, more, rows = _last_by(key, kept, more), [], 0
        return from_arrow(table, _last_by(key, kept, more).sort_by(key))


def _last_by(key: str, kept: pa.Table, more: list[pa.RecordBatch]) -> pa.Table:
    """The row with the latest `at` for each value of `key`."""
    rows = pa.concat_tables([kept, pa.Table.from_batches(more, kept.schema)]).sort_by("at")
    places = rows.select([key]).append_column("place", pa.array(range(rows.num_rows), pa.int64()))
    return rows.take(places.group_by(key).aggregate([("place", "max")])["place_max"])
