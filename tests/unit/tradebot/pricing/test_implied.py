"""From a price back to its volatility, or to the flag that says why there is none."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradebot.domain.errors import PricingError
from tradebot.pricing.european import price_and_greeks
from tradebot.pricing.implied import Flag, implied_volatility


def test_volatility_makes_the_round_trip_over_a_grid() -> None:
    """Wherever a price still depends on volatility in float64, the volatility that made it comes back."""
    grid = np.meshgrid(
        np.linspace(40, 250, 22),
        np.array([1, 7, 45, 365, 1095]) / 365,
        np.array([0.03, 0.1, 0.2, 0.5, 1.0, 3.0]),
        np.array([0.0, 0.05]),
        np.array([True, False]),
        indexing="ij",
    )
    strike, years, sigma, rate, is_call = (axis.ravel() for axis in grid)
    priced = price_and_greeks(100.0, strike, years, sigma, rate, 0.02, is_call)
    implied = implied_volatility(priced.price, 100.0, strike, years, rate, 0.02, is_call)
    ok = implied.flag == Flag.OK
    np.testing.assert_allclose(implied.sigma[ok], sigma[ok], rtol=1e-6)
    well_determined = priced.vega * sigma > 1e-5
    assert ok[well_determined].all()
    np.testing.assert_allclose(implied.sigma[well_determined], sigma[well_determined], rtol=1e-7)
    assert np.isnan(implied.sigma[~ok]).all()


@settings(derandomize=True, deadline=None)
@given(
    strike=st.floats(70, 140),
    years=st.floats(0.02, 2),
    sigma=st.floats(0.15, 2.0),
    rate=st.floats(-0.02, 0.1),
    is_call=st.booleans(),
)
def test_the_answer_reprices_to_the_price(
    strike: float, years: float, sigma: float, rate: float, is_call: bool
) -> None:
    """Whatever is flagged OK gives the price it came from; nothing else carries a number."""
    price = price_and_greeks(100.0, strike, years, sigma, rate, 0.0, is_call).price
    implied = implied_volatility(price, 100.0, strike, years, rate, 0.0, is_call)
    if implied.flag == Flag.OK:
        again = price_and_greeks(100.0, strike, years, implied.sigma, rate, 0.0, is_call).price
        assert float(again) == pytest.approx(float(price), rel=1e-9, abs=1e-11)
    else:
        assert np.isnan(implied.sigma)


@pytest.mark.parametrize(
    ("price", "strike", "years", "is_call", "flag"),
    [
        (12.0, 100.0, 0.5, True, Flag.OK),
        (9.0, 90.0, 0.5, True, Flag.BELOW_INTRINSIC),
        (10.0, 90.0, 0.5, True, Flag.BELOW_INTRINSIC),  # exactly intrinsic: no volatility at all
        (0.0, 110.0, 0.5, True, Flag.BELOW_INTRINSIC),
        (-1.0, 110.0, 0.5, False, Flag.BELOW_INTRINSIC),
        (100.0, 90.0, 0.5, True, Flag.ABOVE_BOUND),
        (90.0, 90.0, 0.5, False, Flag.ABOVE_BOUND),
        (12.0, 100.0, 0.0, True, Flag.EXPIRED),
        (60.0 + 1e-12, 40.0, 7 / 365, True, Flag.NOT_CONVERGED),  # only rounding is left of its time value
    ],
)
def test_each_flag(price: float, strike: float, years: float, is_call: bool, flag: Flag) -> None:
    """Each reason for having no volatility has its own flag, and only OK comes with a number."""
    implied = implied_volatility(price, 100.0, strike, years, 0.0, 0.0, is_call)
    assert Flag(int(implied.flag)) is flag
    assert np.isnan(implied.sigma) == (flag is not Flag.OK)


def test_one_bad_contract_does_not_spoil_its_neighbours() -> None:
    """Flags are by contract: the good rows of a batch keep their numbers."""
    implied = implied_volatility([5.0, 200.0, 5.0], 100.0, 100.0, [0.5, 0.5, 0.0], 0.0, 0.0, True)
    assert implied.flag.tolist() == [Flag.OK, Flag.ABOVE_BOUND, Flag.EXPIRED]
    assert np.isfinite(implied.sigma).tolist() == [True, False, False]


def test_an_empty_batch_is_answered_with_an_empty_batch() -> None:
    """No contracts, no volatilities, no error."""
    implied = implied_volatility([], 100.0, [], 0.5, 0.0, 0.0, [])
    assert implied.sigma.shape == implied.flag.shape == (0,)


@pytest.mark.parametrize("field", ["price", "spot", "strike", "years", "rate", "dividend"])
def test_a_nan_is_named(field: str) -> None:
    """NaN is not a price that has no volatility but a mistake, and raises with the field's name."""
    inputs = {"price": 5.0, "spot": 100.0, "strike": 100.0, "years": 0.5, "rate": 0.0, "dividend": 0.0}
    with pytest.raises(PricingError, match=f"^{field} must be"):
        implied_volatility(**(inputs | {field: math.nan}), is_call=True)
