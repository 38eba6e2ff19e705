"""The market: repeatable, independent of how it is stepped, and shaped like one."""

import itertools
import math
from datetime import datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simvenues import instruments, surface
from simvenues.instruments import UNDERLYINGS
from simvenues.market import REGIMES, Market, UnknownSymbolError
from simvenues.sessions import Phase

SYMBOLS = [row.symbol for row in UNDERLYINGS]


def prices(market: Market) -> list[float]:
    return [market.spot(symbol) for symbol in SYMBOLS]


def test_same_seed_same_prices(start: datetime) -> None:
    """Two markets with one seed agree in every price and option quote, another seed's does not."""
    first, second, other = Market(3, start), Market(3, start), Market(4, start)
    for market in (first, second, other):
        market.advance(5_000.0)
    option = instruments.option("SPY", instruments.expiries(first.today)[3], 580.0, "C")
    assert option is not None
    assert prices(first) == prices(second)
    assert first.option_quote(option) == second.option_quote(option)
    assert prices(first) != prices(other)


@settings(deadline=None)
@given(parts=st.lists(st.floats(0.0, 3_000.0), max_size=12))
def test_any_partition_of_time_gives_the_same_market(parts: list[float]) -> None:
    """Stepping to a time at once or in any pieces gives the same prices, level and regime."""
    start = datetime.fromisoformat("2026-03-06T15:30:00+00:00")
    piecewise, at_once = Market(5, start), Market(5, start)
    for now_s in sorted(parts):
        piecewise.advance(now_s)
    piecewise.advance(3_000.0)
    at_once.advance(3_000.0)
    assert (prices(piecewise), piecewise.vix, piecewise.regime) == (prices(at_once), at_once.vix, at_once.regime)


def test_time_never_goes_back(market: Market) -> None:
    """Advancing to an earlier time changes nothing and says so."""
    assert market.advance(100.0)
    before = prices(market)
    assert not market.advance(50.0)
    assert prices(market) == before


def test_puts_cost_more_volatility_than_calls(market: Market) -> None:
    """The surface is skewed: far below the money volatility is higher than at and above it."""
    expiry = instruments.expiries(market.today)[6]
    volatility = {}
    for strike in (520.0, 580.0, 610.0):
        option = instruments.option("SPY", expiry, strike, "P")
        assert option is not None
        volatility[strike] = market.option_quote(option).volatility
    assert volatility[520.0] > volatility[580.0] > volatility[610.0]


def test_a_call_and_a_put_respect_parity_within_their_spreads(market: Market) -> None:
    """Call mid minus put mid is forward minus strike, discounted, up to both half spreads."""
    market.advance(1_500.0)
    for expiry in instruments.expiries(market.today)[1:]:
        for strike in (480.0, 560.0, 580.0, 600.0, 680.0):
            call, put = (instruments.option("SPY", expiry, strike, right) for right in ("C", "P"))
            assert call is not None
            assert put is not None
            c, p = market.option_quote(call), market.option_quote(put)
            years = (expiry - market.today).days / 365.0
            forward = market.spot("SPY") * math.exp(-0.012 * years) - strike * math.exp(-surface.RATE * years)
            gap = (c.bid + c.ask) / 2 - (p.bid + p.ask) / 2 - forward
            # Intraday time and the tick grid add a few cents.
            assert abs(gap) <= (c.ask - c.bid + p.ask - p.bid) / 2 + 0.15


def test_jumps_and_every_regime_occur(start: datetime) -> None:
    """Over some weeks of trading the chain visits each regime, and single steps far outside the diffusion occur."""
    market = Market(11, start, step_s=10.0)
    seen, moves, last = set(), [], market.spot("AAPL")
    for step in range(1, 30_000):
        market.advance(step * 10.0)
        seen.add(market.regime)
        price = market.spot("AAPL")
        moves.append(math.log(price / last))
        last = price
    assert seen == set(REGIMES)
    assert np.max(np.abs(moves)) > 8 * np.median(np.abs(moves)) / 0.6745


def test_stress_raises_vix_and_widens_spreads(market: Market) -> None:
    """A volatility shock lifts VIX, option prices and the distance from bid to ask."""
    option = instruments.option("SPY", instruments.expiries(market.today)[6], 560.0, "P")
    assert option is not None
    before, vix = market.option_quote(option), market.vix
    market.shock("SPY", vol_factor=3.0)
    after = market.option_quote(option)
    assert market.vix == pytest.approx(3 * vix)
    assert after.price > before.price
    assert after.ask - after.bid > before.ask - before.bid


def test_a_price_shock_moves_one_name_for_good(market: Market, start: datetime) -> None:
    """A shock multiplies one path from then on and leaves the others as they would have been."""
    untouched = Market(7, start)
    market.shock("SPY", price_factor=0.9)
    for each in (market, untouched):
        each.advance(2_000.0)
    assert market.spot("SPY") == pytest.approx(0.9 * untouched.spot("SPY"))
    assert market.spot("QQQ") == untouched.spot("QQQ")


def test_quotes_stand_on_the_tick_grid_and_never_cross(market: Market) -> None:
    """Bids are below asks and both are whole cents, for the stock and for every strike of one expiry."""
    expiry = instruments.expiries(market.today)[2]
    quotes = [market.two_sided(c) for c in instruments.chain("SPY", market.today) if c.expiry == expiry]
    quotes.append((market.quote("SPY").bid, market.quote("SPY").ask))
    for bid, ask in quotes:
        assert 0 <= bid < ask
        assert bid == round(bid, 2)
        assert ask == round(ask, 2)


def test_option_greeks_are_the_slopes_of_its_price() -> None:
    """Delta, gamma, vega and theta agree with finite differences of the price at constant volatility."""

    def price(spot: float = 100.0, years: float = 0.25, base: float = 0.2) -> float:
        return surface.value(
            # At this strike the smile's slope does not enter: the strike moves with the spot's forward.
            spot=spot,
            strike=100.0,
            years=years,
            dividend_yield=0.01,
            base=base,
            level=1.0,
            call=True,
        ).price

    model = surface.value(spot=100.0, strike=100.0, years=0.25, dividend_yield=0.01, base=0.2, level=1.0, call=True)
    # The smile moves with the spot, so the slopes of the surface differ a little from those of the formula.
    assert model.delta == pytest.approx((price(spot=100.01) - price(spot=99.99)) / 0.02, abs=0.06)
    assert model.vega == pytest.approx((price(base=0.201) - price(base=0.199)) / 0.002, rel=0.05)
    assert model.theta == pytest.approx((price(years=0.249) - price(years=0.251)) / 0.002, rel=0.05)
    assert 0 < model.gamma < 0.1


def test_every_listed_contract_is_found_by_its_id(market: Market) -> None:
    """A contract's id unpacks to the same contract, and no two contracts share one."""
    listed = list(instruments.chain("SPY", market.today)) + list(instruments.chain("NVDA", market.today))
    assert len({contract.con_id for contract in listed}) == len(listed)
    assert all(market.listed(contract.con_id) == contract for contract in listed)


@settings(deadline=None)
@given(con_id=st.integers(-(2**33), 2**33))
def test_an_unknown_id_is_no_contract(con_id: int) -> None:
    """An arbitrary number either is a contract's own id or names nothing."""
    found = instruments.by_con_id(con_id)
    assert found is None or found.con_id == con_id


def test_expiries_are_weekly_then_monthly_for_a_year(market: Market) -> None:
    """Fridays for about two months, then third Fridays out to a year."""
    listed = instruments.expiries(market.today)
    assert all(day.weekday() == 4 for day in listed)
    assert [(b - a).days for a, b in itertools.pairwise(listed[:9])] == [7] * 8
    assert 330 <= (listed[-1] - market.today).days <= 380


def test_regular_sessions_stop_the_prices_overnight(start: datetime) -> None:
    """Prices move in trading hours only; the phase follows New York's clock."""
    market = Market(7, start, sessions="regular")
    at_open = prices(market)
    seen = []
    # Friday 16:00 and Saturday; Monday 09:00 and 09:31, clocks having gone forward that Sunday.
    for days, hours, minutes in ((0, 5, 30), (0, 21, 30), (2, 21, 30), (2, 22, 1)):
        market.advance(timedelta(days=days, hours=hours, minutes=minutes).total_seconds())
        seen.append((market.phase, prices(market)))
    phases, found = zip(*seen, strict=True)
    assert phases == (Phase.CLOSED, Phase.CLOSED, Phase.PRE_OPEN, Phase.REGULAR)
    assert at_open != found[0] == found[1] == found[2] != found[3]


def test_an_unknown_symbol_is_refused_by_name(market: Market) -> None:
    """Asking for a name that is not in the table says which ones are."""
    with pytest.raises(UnknownSymbolError, match=r"'NOPE'.*SPY"):
        market.spot("NOPE")
