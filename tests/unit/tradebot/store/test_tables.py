"""The lake's words: rows of the bot's own facts, exact in money, and back."""

from __future__ import annotations

from datetime import UTC, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradebot.domain.alerts import AlertState
from tradebot.domain.errors import StoreError
from tradebot.domain.events import GreeksChanged
from tradebot.domain.greeks import FLAT
from tradebot.domain.orders import Position
from tradebot.store.tables import (
    WHOLE_BOOK,
    LakeTable,
    PositionRow,
    alert_of,
    alert_row,
    from_arrow,
    greeks_rows,
    position_row,
    table_of,
    to_arrow,
    transaction_row,
)

INSTANTS = st.datetimes(timezones=st.just(UTC))


@given(
    st.lists(
        st.builds(
            PositionRow,
            symbol=st.text(max_size=8),
            at=INSTANTS,
            contract=st.text(max_size=8),
            quantity=st.integers(-(2**63), 2**63 - 1),
            average_price=st.decimals(-(10**13), 10**13, places=4),
        ),
        max_size=5,
    )
)
def test_rows_survive_arrow(rows: list[PositionRow]) -> None:
    """Money, instants and text come back from Arrow exactly as they went in."""
    assert from_arrow(LakeTable.POSITIONS, to_arrow(LakeTable.POSITIONS, rows)) == tuple(rows)


def test_a_fill_becomes_a_transaction(samples: Any) -> None:
    """A transaction holds the fill, its strategy, and the cash it moved, commission included."""
    row = transaction_row(samples.fill(3).fill, "s-1")
    assert table_of(row) is LakeTable.TRANSACTIONS
    assert (row.symbol, row.contract, row.strategy_id) == ("SPY", "SPY-20260417-C-600", "s-1")
    assert row.cash == Decimal("249.35")


def test_a_snapshot_of_greeks_is_a_row_a_symbol_and_one_for_the_book(samples: Any) -> None:
    """The portfolio stands beside its symbols under a name that no symbol has, in a stable order."""
    some = msgspec.structs.replace(FLAT, theta=-3.5)
    rows = greeks_rows(GreeksChanged(at=samples.noon, portfolio=some, by_symbol={"SPY": FLAT, "IWM": some}))
    assert [(row.symbol, row.theta) for row in rows] == [(WHOLE_BOOK, -3.5), ("IWM", -3.5), ("SPY", 0.0)]


@pytest.mark.parametrize("symbol", ["SPY", ""])
@pytest.mark.parametrize("state", AlertState)
def test_an_alert_survives_its_row(samples: Any, state: AlertState, symbol: str) -> None:
    """An alert's row is dated by its last change and gives back the alert, also one of no symbol."""
    alert = samples.alert("a-1", state, minute=5, symbol=symbol).alert
    row = alert_row(alert)
    assert row.at == samples.noon + timedelta(minutes=5)
    assert alert_of(row) == alert


def test_money_is_rounded_where_it_enters(samples: Any) -> None:
    """An average with endless digits is rounded half even to a hundredth of a cent."""
    rows = [
        position_row(Position(samples.contract, 3, price), samples.noon)
        for price in (Decimal(10) / 3, Decimal("1.00005"), Decimal("1.00015"))
    ]
    assert [str(row.average_price) for row in rows] == ["3.3333", "1.0000", "1.0002"]


@pytest.mark.parametrize("price", ["NaN", "Infinity", "1E+14", "-1E+30", "99999999999999.99999"])
def test_money_that_does_not_fit_is_refused_where_it_enters(samples: Any, price: str) -> None:
    """One impossible number is an error to who brings it, not to the batch it would be written with."""
    with pytest.raises(StoreError, match="average_price"):
        position_row(Position(samples.contract, 1, Decimal(price)), samples.noon)
