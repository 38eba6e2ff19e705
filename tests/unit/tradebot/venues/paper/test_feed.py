"""The random walk: the same seed is the same market, however time is cut."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from tradebot.domain.errors import UnknownContract
from tradebot.domain.instruments import OptionContract, Right
from tradebot.venues.paper.feed import RandomWalkFeed

START = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)


def feed(seed: int = 1) -> RandomWalkFeed:
    return RandomWalkFeed(seed=seed, start=START)


def test_equal_seeds_give_equal_prices_in_any_steps() -> None:
    """An hour walked in one step or in many ends at the same price; another seed ends elsewhere."""
    one, many, other = feed(), feed(), feed(seed=2)
    end = START + timedelta(hours=1)
    for second in range(0, 3600, 7):
        many.spot("SPY", START + timedelta(seconds=second))
    assert one.spot("SPY", end) == many.spot("SPY", end) != other.spot("SPY", end)
    assert one.spot("SPY", end) != 580.0


def test_options_cost_what_they_should() -> None:
    """Bids are below asks, puts below the spot carry more volatility than calls above it, and parity holds."""
    market = feed()
    expiry = market.chain("SPY", START).expiries[6]
    spot = market.spot("SPY", START)

    def option(strike: int, right: Right) -> tuple[float, float]:
        price = market.option(OptionContract("SPY", expiry, Decimal(strike), right), START)
        assert 0.0 <= price.bid < price.ask
        return (price.bid + price.ask) / 2, price.iv

    assert option(540, Right.PUT)[1] > option(580, Right.PUT)[1] > option(600, Right.CALL)[1]
    call, put = option(580, Right.CALL)[0], option(580, Right.PUT)[0]
    years = (datetime(expiry.year, expiry.month, expiry.day, 20, tzinfo=UTC) - START).total_seconds() / (365 * 86400)
    assert call - put == pytest.approx(spot - 580 * (1 - 0.04 * years), abs=0.1)


def test_an_expired_option_is_worth_what_it_is_in_the_money() -> None:
    """After expiry a position still has a price: its intrinsic value."""
    price = feed().option(OptionContract("SPY", date(2026, 2, 27), Decimal(570), Right.CALL), START)
    assert price.bid < 10.0 < price.ask


def test_the_chain_holds_what_a_condor_needs() -> None:
    """There is an expiry near 45 days, strikes ten apart far on both sides, and all of it ascending."""
    chain = feed().chain("SPY", START)
    assert min(abs((expiry - START.date()).days - 45) for expiry in chain.expiries) <= 4
    assert {Decimal(480), Decimal(490), Decimal(680), Decimal(690)} <= set(chain.strikes)
    assert list(chain.expiries) == sorted(chain.expiries)
    assert list(chain.strikes) == sorted(chain.strikes)


def test_the_volatility_index_is_quoted_and_strangers_are_not() -> None:
    """VIX starts calm; a symbol that is not traded is unknown by type."""
    assert feed().spot("VIX", START) == 16.0
    with pytest.raises(UnknownContract, match="NOPE"):
        feed().spot("NOPE", START)
