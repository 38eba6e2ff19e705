"""Positions from fills: quantity, average price, and what is forgotten."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.facts import contract, fill
from tradebot.domain.orders import Fill, Side
from tradebot.execution.positions import Positions
from tradebot.pricing.calendar import expiry_instant


def booked(*trades: tuple[int, str]) -> Positions:
    """(signed quantity, price)."""
    positions = Positions()
    for number, (signed, price) in enumerate(trades):
        side = Side.BUY if signed > 0 else Side.SELL
        positions.on_fill(fill(f"e{number}", abs(signed), side=side, price=price))
    return positions


@pytest.mark.parametrize(
    ("trades", "quantity", "average"),
    [
        ([(2, "1.00"), (2, "2.00")], 4, "1.50"),
        ([(-2, "1.00"), (-2, "2.00")], -4, "1.50"),
        ([(4, "1.00"), (-1, "9.00")], 3, "1.00"),
        ([(-4, "1.00"), (1, "9.00")], -3, "1.00"),
        ([(1, "1.00"), (-3, "2.00")], -2, "2.00"),
        ([(-1, "1.00"), (3, "2.00")], 2, "2.00"),
        ([(1, "1.00"), (-1, "3.00"), (2, "5.00")], 2, "5.00"),
    ],
    ids=["grows", "grows_short", "shrinks", "shrinks_short", "turns_short", "turns_long", "starts_anew"],
)
def test_the_average_price_moves_only_while_a_position_grows(
    trades: list[tuple[int, str]], quantity: int, average: str
) -> None:
    """Growing averages, shrinking keeps, turning and starting anew take the fill's price."""
    held = booked(*trades).of(contract())
    assert (held.quantity, held.average_price) == (quantity, Decimal(average))


def test_what_is_flat_is_forgotten() -> None:
    """A contract that is flat takes no room and has no price."""
    positions = booked((2, "1.00"), (-2, "1.50"))
    assert positions.all() == ()
    assert positions.of(contract()).average_price == 0


@given(st.lists(st.integers(-5, 5).filter(bool), max_size=12))
def test_the_quantity_is_the_sum_of_all_fills(quantities: list[int]) -> None:
    """Whatever the trades, the net quantity is their sum and the average lies between the prices paid."""
    positions = booked(*((signed, f"{1 + index}.00") for index, signed in enumerate(quantities)))
    held = positions.of(contract())
    assert held.quantity == sum(quantities)
    assert bool(positions.all()) == (sum(quantities) != 0)
    assert not held.quantity or 1 <= held.average_price <= len(quantities)


def test_expired_contracts_are_forgotten_a_day_after_their_expiry() -> None:
    """Not before the venue has settled them, and nothing that still lives."""
    positions = Positions()
    soon, later = contract(0, date(2026, 11, 20)), contract(1, date(2026, 12, 18))
    for number, each in enumerate((soon, later)):
        positions.on_fill(Fill(f"e{number}", "w", each, Side.BUY, 1, Decimal(1), Decimal(0), datetime.now(UTC)))
    expiry = expiry_instant(soon.expiry)
    positions.expire(expiry.replace(day=21))
    assert [each.contract for each in positions.all()] == [soon, later]
    positions.expire(expiry.replace(day=22))
    assert [each.contract for each in positions.all()] == [later]
