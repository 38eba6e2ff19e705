"""From the bus to the lake: the history that people read.

The recorder misses nothing while it runs (its queue refuses rather than drops), turns each fact into a row, and hands
it to the lake's writer, which batches off the loop. Greeks are history, not truth: one snapshot an interval is kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

import structlog

from tradebot.domain.errors import StoreError
from tradebot.domain.events import AlertChanged, Event, Filled, GreeksChanged
from tradebot.domain.orders import Fill
from tradebot.execution.orders import Order
from tradebot.execution.positions import Positions
from tradebot.kernel.bus import Bus, WhenFull
from tradebot.store.lake import Lake
from tradebot.store.tables import (
    LakeTable,
    TransactionRow,
    alert_row,
    greeks_rows,
    position_row,
    transaction_row,
)
from tradebot.store.writer import LakeWriter

log = structlog.get_logger(__name__)

CAPACITY = 10_000
BATCH = 256
CATCH_UP_ROWS_MAX = 10_000
GREEKS_EVERY = timedelta(seconds=10)


class Recorder:
    def __init__(self, bus: Bus[Event], positions: Positions, writer: LakeWriter) -> None:
        self._bus = bus
        self._positions = positions
        self._writer = writer
        self._subscription = bus.subscribe(
            "lake", capacity=CAPACITY, when_full=WhenFull.REFUSE, kinds=(Filled, AlertChanged, GreeksChanged)
        )
        self._greeks_at: datetime | None = None

    async def catch_up(self, lake: Lake, orders: Iterable[Order], *, since: datetime) -> None:
        """After a restart: rows that a crash took from the writer's queue, written from what the journal kept."""
        fills = [(fill, order) for order in orders for fill in order.fills.values() if fill.at >= since]
        if not fills:
            return
        try:
            rows = await lake.history(LakeTable.TRANSACTIONS, since=since, limit=CATCH_UP_ROWS_MAX)
        except StoreError as error:
            log.warning("lake_not_read", error=str(error))
            return
        known = {row.execution_id for row in rows if isinstance(row, TransactionRow)}
        for fill, order in fills:
            if fill.execution_id not in known:
                self._write_fill(fill, order.intent.strategy_id)

    async def serve(self) -> None:
        while events := await self._subscription.batch(BATCH):
            for event in events:
                self._record(event)

    def close(self) -> None:
        self._bus.unsubscribe(self._subscription)
        for event in self._subscription.drain():
            self._record(event)

    def _record(self, event: Event) -> None:
        match event:
            case Filled(fill=fill, strategy_id=strategy_id):
                self._write_fill(fill, strategy_id)
            case AlertChanged(alert=alert):
                self._writer.add(alert_row(alert))
            case GreeksChanged(at=at):
                if self._greeks_at is None or at - self._greeks_at >= GREEKS_EVERY:
                    self._greeks_at = at
                    self._writer.add(*greeks_rows(event))
            case _:
                pass

    def _write_fill(self, fill: Fill, strategy_id: str) -> None:
        self._writer.add(transaction_row(fill, strategy_id), position_row(self._positions.of(fill.contract), fill.at))
