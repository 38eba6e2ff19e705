"""The paper ledger: cash and positions follow fills, to the cent."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tradebot.domain.instruments import OptionContract, Right
from tradebot.domain.orders import Fill, Position, Side
from tradebot.venues.paper.ledger import Ledger

AT = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
PUT = OptionContract("SPY", date(2026, 4, 17), Decimal(550), Right.PUT)


def fill(signed: int, price: str) -> Fill:
    return Fill(
        execution_id="e",
        client_id="c",
        contract=PUT,
        side=Side.BUY if signed > 0 else Side.SELL,
        quantity=abs(signed),
        price=Decimal(price),
        commission=Decimal("0.65") * abs(signed),
        at=AT,
    )


def test_average_price_follows_what_is_still_held() -> None:
    """Adding averages, reducing keeps the price, going through zero starts anew, and flat is no position."""
    ledger = Ledger(Decimal(0))
    seen = []
    for step in (fill(1, "2.00"), fill(3, "4.00"), fill(-2, "9.00"), fill(-5, "1.00"), fill(3, "7.00")):
        ledger.book(step)
        seen.append(ledger.positions())
    assert seen == [
        (Position(PUT, 1, Decimal("2.00")),),
        (Position(PUT, 4, Decimal("3.50")),),
        (Position(PUT, 2, Decimal("3.50")),),
        (Position(PUT, -3, Decimal("1.00")),),
        (),
    ]


@given(steps=st.lists(st.tuples(st.integers(-5, 5).filter(bool), st.integers(1, 10_000)), max_size=30))
def test_money_is_conserved(steps: list[tuple[int, int]]) -> None:
    """Cash is the start plus every fill's cash, and equity adds the held quantity at its mark."""
    ledger = Ledger(Decimal(1000))
    fills = [fill(signed, str(Decimal(cents) / 100)) for signed, cents in steps]
    for each in fills:
        ledger.book(each)
    assert ledger.cash == 1000 + sum(each.cash for each in fills)
    held = sum(signed for signed, _ in steps)
    assert sum(position.quantity for position in ledger.positions()) == held
    assert ledger.equity(lambda _contract: Decimal("1.5")) == ledger.cash + held * 150
