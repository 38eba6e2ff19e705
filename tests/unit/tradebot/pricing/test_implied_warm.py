"""Warm starts of the implied volatility: the same answers and flags, from wherever they begin."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradebot.pricing.european import price_and_greeks
from tradebot.pricing.implied import Flag, implied_volatility

SEED = 20261120


def book(n: int, *, width: float) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(SEED)
    years = rng.choice(np.array([1, 7, 45, 365, 1095]) / 365.0, n)
    sigma = np.exp(rng.uniform(np.log(0.03), np.log(3.0), n))
    is_call = rng.random(n) < 0.5
    strike = 100.0 * np.exp(rng.uniform(-width, width, n) * sigma * np.sqrt(years))
    price = price_and_greeks(100.0, strike, years, sigma, 0.03, 0.01, is_call).price
    return price, strike, years, sigma, is_call


def test_error_is_that_of_the_price() -> None:
    """Out of the money, where the price is known to its last digits, so is its volatility: to 1e-12."""
    price, strike, years, sigma, _ = book(20_000, width=2.5)
    is_call = strike > 100.0 * np.exp(0.02 * years)
    price = price_and_greeks(100.0, strike, years, sigma, 0.03, 0.01, is_call).price
    for warm in (None, sigma * 1.02):
        implied = implied_volatility(price, 100.0, strike, years, 0.03, 0.01, is_call, warm=warm)
        assert (implied.flag == Flag.OK).all()
        vega = price_and_greeks(100.0, strike, years, sigma, 0.03, 0.01, is_call).vega
        firm = vega * sigma > 1e-1
        np.testing.assert_allclose(implied.sigma[firm], sigma[firm], rtol=1e-12)


def test_error_in_volatility_holds_in_the_money_too() -> None:
    """Cold and warm: off by 1e-12 at most, where the last digit of a price stands for a tenth of that."""
    price, strike, years, sigma, is_call = book(20_000, width=2.5)
    vega = price_and_greeks(100.0, strike, years, sigma, 0.03, 0.01, is_call).vega
    firm = np.spacing(np.maximum(100.0, strike)) <= 2e-13 * vega
    assert firm.mean() > 0.9
    for warm in (None, sigma * 1.02):
        implied = implied_volatility(price, 100.0, strike, years, 0.03, 0.01, is_call, warm=warm)
        np.testing.assert_allclose(implied.sigma[firm], sigma[firm], rtol=0.0, atol=1e-12)


def test_warm_and_cold_agree() -> None:
    """A start off by up to 20 %, or none for some contracts, changes neither answers nor flags."""
    price, strike, years, sigma, is_call = book(5_000, width=4.0)
    cold = implied_volatility(price, 100.0, strike, years, 0.03, 0.01, is_call)
    start = sigma * np.random.default_rng(SEED).uniform(0.8, 1.2, sigma.size)
    start[::7] = np.nan
    warm = implied_volatility(price, 100.0, strike, years, 0.03, 0.01, is_call, warm=start)
    np.testing.assert_array_equal(warm.flag, cold.flag)
    np.testing.assert_allclose(warm.sigma, cold.sigma, rtol=1e-9)


@settings(derandomize=True, deadline=None)
@given(start=st.floats(1e-6, 100), sigma=st.floats(0.05, 2.0), strike=st.floats(70, 140))
def test_a_bad_start_costs_time_only(start: float, sigma: float, strike: float) -> None:
    """However far off the warm volatility is, the answer is that of the price."""
    price = price_and_greeks(100.0, strike, 0.5, sigma, 0.0, 0.0, strike > 100.0).price
    cold = implied_volatility(price, 100.0, strike, 0.5, 0.0, 0.0, strike > 100.0)
    warm = implied_volatility(price, 100.0, strike, 0.5, 0.0, 0.0, strike > 100.0, warm=start)
    assert warm.flag == cold.flag
    if cold.flag == Flag.OK:
        assert float(warm.sigma) == pytest.approx(float(cold.sigma), rel=1e-9)


@pytest.mark.parametrize("n", [1, 127, 128, 129, 300])
def test_chunks_do_not_show(n: int) -> None:
    """Any number of contracts gives what each of them gives alone."""
    price, strike, years, sigma, is_call = book(n, width=1.0)
    implied = implied_volatility(price, 100.0, strike, years, 0.03, 0.01, is_call)
    np.testing.assert_allclose(implied.sigma, sigma, rtol=1e-8)
    alone = implied_volatility(price[-1], 100.0, strike[-1], years[-1], 0.03, 0.01, is_call[-1])
    assert float(alone.sigma) == pytest.approx(float(implied.sigma[-1]), rel=1e-12)
