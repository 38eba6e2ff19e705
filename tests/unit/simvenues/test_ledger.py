"""The ledger: average cost, realised profit and what shorts tie up."""

from decimal import Decimal

import pytest

from simvenues.instruments import Instrument, by_con_id
from simvenues.ledger import Ledger


@pytest.fixture
def spy() -> Instrument:
    found = by_con_id(1_001)
    assert found is not None
    return found


def test_average_cost_and_realised_profit(spy: Instrument) -> None:
    """Adding averages the cost, reducing realises against it, crossing zero starts a new one."""
    ledger = Ledger(Decimal(100_000))
    realised = [
        ledger.fill(spy, Decimal(quantity), Decimal(price), Decimal(1))
        for quantity, price in ((10, 100), (10, 110), (-5, 115), (-25, 95))
    ]
    assert realised == [Decimal(profit) for profit in (-1, -1, 49, -151)]
    held = ledger.positions[spy.con_id]
    assert (held.quantity, held.average_price) == (Decimal(-10), Decimal(95))
    assert ledger.cash == Decimal(100_000 - 1_000 - 1_100 + 575 + 2_375 - 4)


def test_margin_comes_and_goes_with_the_short(spy: Instrument) -> None:
    """A short share ties up one and a half times its price until it is bought back."""
    ledger = Ledger(Decimal(100_000))

    def price(symbol: str) -> float:
        assert symbol == "SPY"
        return 200.0

    asked = ledger.margin_change(spy, Decimal(-10), Decimal(200), 200.0)
    ledger.fill(spy, Decimal(-10), Decimal(200), Decimal(0))
    assert ledger.requirement(price) == asked == Decimal(3_000)
    ledger.fill(spy, Decimal(10), Decimal(210), Decimal(0))
    assert ledger.requirement(price) == 0
