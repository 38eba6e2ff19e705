"""The lake's vocabulary: four tables, what a row of each holds, and how the bot's own words become rows.

position / fill / greeks / alert -> a row struct -> an Arrow table with an explicit schema -> Delta; and back. Money
is Decimal128(18, 4) and rounded to it here, where it enters, so that no batch fails later because of one number.
Every table is partitioned by symbol; what concerns no single symbol stands under `WHOLE_BOOK`, because Delta reads an
empty partition value as null.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any

import msgspec
import pyarrow as pa

from tradebot.domain.alerts import Alert, AlertState, Severity
from tradebot.domain.errors import StoreError
from tradebot.domain.events import GreeksChanged
from tradebot.domain.greeks import PositionGreeks
from tradebot.domain.orders import Fill, Position, Side
from tradebot.domain.units import Money

WHOLE_BOOK = "_book"

_CENTI_CENT = Decimal("0.0001")
_MONEY_END = Decimal(10) ** 14  # 18 digits, 4 of them behind the point


class UnwritableRows(StoreError):
    """Trying again cannot help: something in the rows themselves has no place in their columns."""


class LakeTable(enum.StrEnum):
    POSITIONS = "positions"
    TRANSACTIONS = "transactions"
    GREEKS = "greeks"
    ALERTS = "alerts"


class PositionRow(msgspec.Struct, frozen=True, gc=False):
    symbol: str
    at: datetime
    contract: str
    quantity: int
    average_price: Money


class TransactionRow(msgspec.Struct, frozen=True, gc=False):
    symbol: str
    at: datetime
    execution_id: str
    client_id: str
    strategy_id: str
    contract: str
    side: Side
    quantity: int
    price: Money
    commission: Money
    cash: Money


class GreeksRow(msgspec.Struct, frozen=True, gc=False):
    symbol: str
    at: datetime
    value: float
    delta: float
    gamma: float
    theta: float
    vega: float
    rho: float


class AlertRow(msgspec.Struct, frozen=True, gc=False):
    symbol: str
    at: datetime  # of this state, so that the newest row of an id is what the alert has become
    id: str
    severity: Severity
    state: AlertState
    source: str
    message: str
    raised_at: datetime
    changed_at: datetime | None


LakeRow = PositionRow | TransactionRow | GreeksRow | AlertRow

_ROWS: dict[LakeTable, type[LakeRow]] = {
    LakeTable.POSITIONS: PositionRow,
    LakeTable.TRANSACTIONS: TransactionRow,
    LakeTable.GREEKS: GreeksRow,
    LakeTable.ALERTS: AlertRow,
}
_TABLES: dict[type[LakeRow], LakeTable] = {row: table for table, row in _ROWS.items()}

_INSTANT = pa.timestamp("us", tz="UTC")
_MONEY = pa.decimal128(18, 4)
_KEYS = [pa.field("symbol", pa.string()), pa.field("at", _INSTANT)]
_SCHEMAS: dict[LakeTable, pa.Schema] = {
    LakeTable.POSITIONS: pa.schema(
        [*_KEYS, ("contract", pa.string()), ("quantity", pa.int64()), ("average_price", _MONEY)]
    ),
    LakeTable.TRANSACTIONS: pa.schema(
        [
            *_KEYS,
            *((name, pa.string()) for name in ("execution_id", "client_id", "strategy_id", "contract", "side")),
            ("quantity", pa.int64()),
            *((name, _MONEY) for name in ("price", "commission", "cash")),
        ]
    ),
    LakeTable.GREEKS: pa.schema(
        [*_KEYS, *((name, pa.float64()) for name in ("value", "delta", "gamma", "theta", "vega", "rho"))]
    ),
    LakeTable.ALERTS: pa.schema(
        [
            *_KEYS,
            *((name, pa.string()) for name in ("id", "severity", "state", "source", "message")),
            ("raised_at", _INSTANT),
            ("changed_at", _INSTANT),
        ]
    ),
}


def table_of(row: LakeRow) -> LakeTable:
    return _TABLES[type(row)]


def schema_of(table: LakeTable) -> pa.Schema:
    return _SCHEMAS[table]


def to_arrow(table: LakeTable, rows: Sequence[LakeRow]) -> pa.Table:
    schema = _SCHEMAS[table]
    columns = {name: [getattr(row, name) for row in rows] for name in schema.names}
    try:
        return pa.table(columns, schema=schema)
    except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
        raise UnwritableRows(f"rows of {table} cannot be written: {error}") from error


def from_arrow(table: LakeTable, rows: pa.Table) -> tuple[Any, ...]:
    """The table's own row structs, in the order given."""
    row_type = _ROWS[table]
    return tuple(msgspec.convert(row, row_type) for row in rows.to_pylist())


def position_row(position: Position, at: datetime) -> PositionRow:
    """A position as it is at this moment; quantity 0 says that it is gone."""
    return PositionRow(
        symbol=position.contract.symbol,
        at=at,
        contract=position.contract.key,
        quantity=position.quantity,
        average_price=_money(position.average_price, "average_price"),
    )


def transaction_row(fill: Fill, strategy_id: str) -> TransactionRow:
    return TransactionRow(
        symbol=fill.contract.symbol,
        at=fill.at,
        execution_id=fill.execution_id,
        client_id=fill.client_id,
        strategy_id=strategy_id,
        contract=fill.contract.key,
        side=fill.side,
        quantity=fill.quantity,
        price=_money(fill.price, "price"),
        commission=_money(fill.commission, "commission"),
        cash=_money(fill.cash, "cash"),
    )


def greeks_rows(snapshot: GreeksChanged) -> tuple[GreeksRow, ...]:
    """One row a symbol, and the portfolio under `WHOLE_BOOK`."""
    book = _greeks_row(WHOLE_BOOK, snapshot.at, snapshot.portfolio)
    return book, *(_greeks_row(symbol, snapshot.at, greeks) for symbol, greeks in sorted(snapshot.by_symbol.items()))


def alert_row(alert: Alert) -> AlertRow:
    return AlertRow(
        symbol=alert.symbol or WHOLE_BOOK,
        at=alert.changed_at or alert.at,
        id=alert.id,
        severity=alert.severity,
        state=alert.state,
        source=alert.source,
        message=alert.message,
        raised_at=alert.at,
        changed_at=alert.changed_at,
    )


def alert_of(row: AlertRow) -> Alert:
    return Alert(
        id=row.id,
        severity=row.severity,
        state=row.state,
        source=row.source,
        message=row.message,
        at=row.raised_at,
        symbol="" if row.symbol == WHOLE_BOOK else row.symbol,
        changed_at=row.changed_at,
    )


def _greeks_row(symbol: str, at: datetime, greeks: PositionGreeks) -> GreeksRow:
    return GreeksRow(symbol=symbol, at=at, **msgspec.structs.asdict(greeks))


def _money(amount: Money, name: str) -> Money:
    try:
        rounded = amount.quantize(_CENTI_CENT, rounding=ROUND_HALF_EVEN)
        if abs(rounded) < _MONEY_END:
            return rounded
    except InvalidOperation:
        pass
    raise StoreError(f"{name} {amount} does not fit the lake's 18 digits", remedy="Find out who made this number")
