"""One small market and exchange for the unit tests; each test gets its own."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from simvenues import instruments
from simvenues.exchange import Exchange
from simvenues.instruments import Instrument, Right
from simvenues.market import Market
from simvenues.orders import OrderRequest, Side

# A Friday, 10:30 in New York: the market is open under either kind of session.
START = datetime(2026, 3, 6, 15, 30, tzinfo=UTC)
CASH = Decimal(1_000_000)


@pytest.fixture
def start() -> datetime:
    return START


@pytest.fixture
def market() -> Market:
    return Market(seed=7, start=START)


@pytest.fixture
def exchange(market: Market) -> Exchange:
    return Exchange(market, {"DU1": CASH}, seed=7)


Ask = Callable[..., OrderRequest]


@pytest.fixture
def spy_option(market: Market) -> Callable[[float, Right], Instrument]:
    """The SPY option with that strike and right, some weeks out."""

    def option(strike: float, right: Right = "P") -> Instrument:
        found = instruments.option("SPY", instruments.expiries(market.today)[6], strike, right)
        assert found is not None
        return found

    return option


@pytest.fixture
def ask() -> Ask:
    """An order request with the usual answers filled in; order ids count up."""
    count = 0

    def build(con_id: int, side: Side = "BUY", quantity: str = "1", kind: str = "MKT", **more: object) -> OrderRequest:
        nonlocal count
        count += 1
        fields = {"account": "DU1", "client_id": 1, "client_order_id": count, "order_ref": f"ref-{count}", **more}
        return OrderRequest(con_id=con_id, side=side, quantity=Decimal(quantity), kind=kind, **fields)  # type: ignore[arg-type]  # the test names the field

    return build
