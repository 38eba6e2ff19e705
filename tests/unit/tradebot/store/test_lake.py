"""What people ask of the lake, over real Delta tables."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tradebot.domain.alerts import AlertState
from tradebot.domain.errors import StoreError
from tradebot.domain.orders import Position
from tradebot.store.delta import DeltaDirectory
from tradebot.store.door import InlineDoor
from tradebot.store.lake import Lake
from tradebot.store.tables import LakeRow, LakeTable, PositionRow, alert_row, position_row, table_of, transaction_row


@pytest.fixture
def directory(tmp_path: Path) -> DeltaDirectory:
    return DeltaDirectory(tmp_path / "lake")


@pytest.fixture
def lake(directory: DeltaDirectory) -> Lake:
    return Lake(directory, InlineDoor("lake"))


def write(directory: DeltaDirectory, *commits: Sequence[LakeRow]) -> None:
    for version, rows in enumerate(commits):
        directory.append(table_of(rows[0]), rows, version)


def position(samples: Any, minute: int, quantity: int, *, symbol: str = "SPY") -> PositionRow:
    row = position_row(Position(samples.contract, quantity, Decimal(1)), samples.noon + timedelta(minutes=minute))
    return PositionRow(symbol, row.at, f"{symbol}-C", quantity, row.average_price)


def test_an_empty_lake_answers_with_nothing(lake: Lake) -> None:
    """Before anything was written every question has an empty answer, not an error."""

    async def main() -> tuple[Any, ...]:
        return await lake.last_positions(), await lake.history(LakeTable.GREEKS), await lake.alerts()

    assert asyncio.run(main()) == ((), (), ())


@pytest.mark.parametrize("fold_rows", [1, 20_000])
def test_the_last_positions_are_each_contracts_newest_row(
    directory: DeltaDirectory, lake: Lake, samples: Any, monkeypatch: pytest.MonkeyPatch, fold_rows: int
) -> None:
    """Older rows and positions that are gone do not show, in whatever order and slices rows are read."""
    monkeypatch.setattr("tradebot.store.lake.FOLD_ROWS", fold_rows)
    write(
        directory,
        [position(samples, 5, 3), position(samples, 1, 9, symbol="IWM")],
        [position(samples, 2, 1), position(samples, 7, 4, symbol="QQQ")],
        [position(samples, 6, 0, symbol="IWM")],
    )
    found = asyncio.run(lake.last_positions())
    assert found == (position(samples, 7, 4, symbol="QQQ"), position(samples, 5, 3))


def test_history_is_the_newest_rows_oldest_first(directory: DeltaDirectory, lake: Lake, samples: Any) -> None:
    """Of 1 500 rows in several commits the newest 1 000 come back in time's order, exact to the cent."""
    fills = [
        transaction_row(samples.fill(number, at=samples.noon + timedelta(seconds=number)).fill, "s-1")
        for number in range(1_500)
    ]
    write(directory, fills[1_000:], fills[:500], fills[500:1_000])
    assert asyncio.run(lake.history(LakeTable.TRANSACTIONS, limit=1_000)) == tuple(fills[500:])
    assert asyncio.run(lake.history(LakeTable.TRANSACTIONS, limit=3)) == tuple(fills[-3:])
    assert asyncio.run(lake.history(LakeTable.TRANSACTIONS, limit=10_000)) == tuple(fills)


def test_history_can_be_asked_by_symbol_and_instant(directory: DeltaDirectory, lake: Lake, samples: Any) -> None:
    """Symbol and `since` narrow the answer; `since` itself is included."""
    write(directory, [position(samples, minute, minute, symbol=symbol) for minute in range(5) for symbol in "AB"])
    found = asyncio.run(lake.history(LakeTable.POSITIONS, symbol="B", since=samples.noon + timedelta(minutes=3)))
    assert found == tuple(position(samples, minute, minute, symbol="B") for minute in (3, 4))


@pytest.mark.parametrize("limit", [0, -1, 10_001])
def test_history_has_a_bound(lake: Lake, limit: int) -> None:
    """A limit beyond the bound is refused with the bound's number."""
    with pytest.raises(StoreError, match="10000"):
        asyncio.run(lake.history(LakeTable.GREEKS, limit=limit))


def test_an_alert_shows_what_it_has_become(directory: DeltaDirectory, lake: Lake, samples: Any) -> None:
    """Each alert appears once, in its last state, newest first, and can be asked for by that state."""
    resolved = samples.alert("a-1", AlertState.RESOLVED, minute=9, symbol="").alert
    raised = samples.alert("a-1", symbol="").alert
    active = samples.alert("a-2", minute=4).alert
    write(directory, [alert_row(resolved)], [alert_row(raised), alert_row(active)])
    assert asyncio.run(lake.alerts()) == (active, resolved)
    assert asyncio.run(lake.alerts(state=AlertState.ACTIVE)) == (active,)
    assert asyncio.run(lake.alerts(state=AlertState.RESOLVED)) == (resolved,)
    assert asyncio.run(lake.alerts(limit=1)) == (active,)
