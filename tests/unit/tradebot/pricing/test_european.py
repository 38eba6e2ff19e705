"""Prices and Greeks against QuantLib, against the laws they obey, and against their own differences."""

from __future__ import annotations

import itertools
import math

import mpmath
import numpy as np
import pytest
import QuantLib
from hypothesis import given, settings
from hypothesis import strategies as st

from tradebot.domain.errors import PricingError
from tradebot.pricing.european import GreekArrays, price_and_greeks

REPEATABLE = settings(derandomize=True, deadline=None)

GRID = list(
    itertools.product(
        (20.0, 60.0, 90.0, 99.0, 100.0, 101.0, 115.0, 160.0, 400.0),  # strike
        (1, 7, 45, 365, 1825),  # days
        (0.02, 0.16, 0.45, 1.8),  # sigma
        ((0.0, 0.0), (0.045, 0.012), (-0.01, 0.05)),  # rate, dividend
        (True, False),
    )
)

moderate = {
    "spot": st.floats(50, 200),
    "strike": st.floats(50, 200),
    "years": st.floats(0.01, 3),
    "sigma": st.floats(0.05, 1.0),
    "rate": st.floats(-0.05, 0.15),
    "dividend": st.floats(-0.05, 0.15),
}


def quantlib(  # noqa: PLR0917 - a row of the grid
    strike: float, days: int, sigma: float, rate: float, dividend: float, is_call: bool
) -> tuple[float, ...]:
    """QuantLib's analytic engine, in the conventions of `domain.greeks`."""
    today = QuantLib.Date(20, 11, 2026)
    QuantLib.Settings.instance().evaluationDate = today
    count = QuantLib.Actual365Fixed()

    def flat(level: float) -> QuantLib.YieldTermStructureHandle:
        return QuantLib.YieldTermStructureHandle(QuantLib.FlatForward(today, level, count))

    process = QuantLib.BlackScholesMertonProcess(
        QuantLib.QuoteHandle(QuantLib.SimpleQuote(100.0)),
        flat(dividend),
        flat(rate),
        QuantLib.BlackVolTermStructureHandle(QuantLib.BlackConstantVol(today, QuantLib.NullCalendar(), sigma, count)),
    )
    option = QuantLib.VanillaOption(
        QuantLib.PlainVanillaPayoff(QuantLib.Option.Call if is_call else QuantLib.Option.Put, strike),
        QuantLib.EuropeanExercise(today + days),
    )
    option.setPricingEngine(QuantLib.AnalyticEuropeanEngine(process))
    return option.NPV(), option.delta(), option.gamma(), option.theta() / 365, option.vega(), option.rho()


def one(  # noqa: PLR0917 - the textbook's order
    spot: float, strike: float, years: float, sigma: float, rate: float, dividend: float, is_call: bool
) -> GreekArrays:
    return price_and_greeks(spot, strike, years, sigma, rate, dividend, is_call)


def test_every_figure_agrees_with_quantlib() -> None:
    """Deep and near, short and long, calm and wild: all six figures are QuantLib's, to a part in ten billion."""
    strike, days, sigma, rates, is_call = zip(*GRID, strict=True)
    rate, dividend = zip(*rates, strict=True)
    ours = np.stack(price_and_greeks(100.0, strike, np.array(days) / 365.0, sigma, rate, dividend, is_call))
    theirs = np.array([quantlib(k, d, v, *rq, c) for k, d, v, rq, c in GRID]).T
    for name, mine, other in zip(GreekArrays._fields, ours, theirs, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-9, atol=1e-10, err_msg=name)


@REPEATABLE
@given(**moderate)
def test_put_call_parity(  # noqa: PLR0917 - the textbook's order
    spot: float, strike: float, years: float, sigma: float, rate: float, dividend: float
) -> None:
    """A call less a put is a forward, in price and in every Greek."""
    both = np.stack(price_and_greeks(spot, strike, years, sigma, rate, dividend, [True, False]))
    s, k = spot * math.exp(-dividend * years), strike * math.exp(-rate * years)
    forward = [s - k, s / spot, 0.0, (dividend * s - rate * k) / 365, 0.0, years * k]
    np.testing.assert_allclose(both[:, 0] - both[:, 1], forward, atol=1e-10)


@REPEATABLE
@given(**moderate, scale=st.floats(0.01, 100), is_call=st.booleans())
def test_price_scales_with_spot_and_strike(  # noqa: PLR0917 - the textbook's order
    spot: float,
    strike: float,
    years: float,
    sigma: float,
    rate: float,
    dividend: float,
    scale: float,
    is_call: bool,
) -> None:
    """Counting in cents instead of dollars changes the price by the same factor and leaves delta alone."""
    small = one(spot, strike, years, sigma, rate, dividend, is_call)
    large = one(spot * scale, strike * scale, years, sigma, rate, dividend, is_call)
    assert float(large.price) == pytest.approx(float(small.price) * scale, rel=1e-9, abs=1e-11 * scale)
    assert float(large.delta) == pytest.approx(float(small.delta), rel=1e-9, abs=1e-12)


@REPEATABLE
@given(**moderate, more=st.floats(1e-3, 1.0), is_call=st.booleans())
def test_price_is_monotonic(  # noqa: PLR0917 - the textbook's order
    spot: float,
    strike: float,
    years: float,
    sigma: float,
    rate: float,
    dividend: float,
    more: float,
    is_call: bool,
) -> None:
    """More volatility never makes an option cheaper; a higher strike never makes a call dearer or a put cheaper."""
    price = float(one(spot, strike, years, sigma, rate, dividend, is_call).price)
    assert float(one(spot, strike, years, sigma + more, rate, dividend, is_call).price) >= price - 1e-10
    change = float(one(spot, strike + more, years, sigma, rate, dividend, is_call).price) - price
    assert (change <= 1e-10) if is_call else (change >= -1e-10)


@REPEATABLE
@given(**moderate, is_call=st.booleans())
def test_greeks_are_the_derivatives_of_the_price(  # noqa: PLR0917 - the textbook's order
    spot: float, strike: float, years: float, sigma: float, rate: float, dividend: float, is_call: bool
) -> None:
    """Each Greek is the central difference of the price in its own unit: theta a day, vega and rho per 1.00."""
    base = {"spot": spot, "strike": strike, "years": years, "sigma": sigma, "rate": rate, "dividend": dividend}
    exact = price_and_greeks(**base, is_call=is_call)

    def moved(field: str, step: float) -> GreekArrays:
        return price_and_greeks(**(base | {field: base[field] + step}), is_call=is_call)

    def slope(field: str, step: float) -> float:
        return float(moved(field, step).price - moved(field, -step).price) / (2 * step)

    second = float(moved("spot", 1e-3).delta - moved("spot", -1e-3).delta) / 2e-3
    assert float(exact.delta) == pytest.approx(slope("spot", 1e-3), abs=1e-5)
    assert float(exact.gamma) == pytest.approx(second, abs=1e-5)
    assert float(exact.theta) == pytest.approx(-slope("years", 1e-6) / 365, abs=1e-4)
    assert float(exact.vega) == pytest.approx(slope("sigma", 1e-5), abs=1e-2)
    assert float(exact.rho) == pytest.approx(slope("rate", 1e-5), abs=1e-2)


@pytest.mark.parametrize(
    ("spot", "is_call", "price", "delta"),
    [(110, True, 10, 1), (90, True, 0, 0), (110, False, 0, 0), (90, False, 10, -1), (100, True, 0, 0.5)],
)
def test_at_expiry_only_the_intrinsic_value_is_left(spot: float, is_call: bool, price: float, delta: float) -> None:
    """With zero time an option is its intrinsic value: delta is all or nothing and every other Greek is 0."""
    result = one(spot, 100.0, 0.0, 0.2, 0.05, 0.01, is_call)
    assert [float(figure) for figure in result] == [price, delta, 0, 0, 0, 0]


def test_without_volatility_an_option_is_a_forward_or_nothing() -> None:
    """Zero volatility leaves the discounted intrinsic value of the forward and its carry."""
    result = one(100.0, 90.0, 1.0, 0.0, 0.05, 0.0, True)
    strike_discounted = 90 * math.exp(-0.05)
    expected = [100 - strike_discounted, 1.0, 0.0, -0.05 * strike_discounted / 365, 0.0, strike_discounted]
    assert [float(figure) for figure in result] == pytest.approx(expected)


def test_every_output_has_the_shape_of_all_inputs_together() -> None:
    """A figure that does not depend on the right still has one entry for each right."""
    result = price_and_greeks(100.0, [[90.0], [110.0]], 0.5, 0.2, 0.0, 0.0, [True, False, True])
    assert {figure.shape for figure in result} == {(2, 3)}


@pytest.mark.parametrize("bad", [math.nan, math.inf, -1.0])
@pytest.mark.parametrize("field", ["spot", "strike", "years", "sigma", "rate", "dividend"])
def test_a_bad_input_is_named(field: str, bad: float) -> None:
    """NaN, infinity and, where it has no meaning, a negative number raise an error that names the field."""
    inputs: dict[str, object] = {
        "spot": [100.0, 100.0],
        "strike": 100.0,
        "years": 0.5,
        "sigma": 0.2,
        "rate": 0.0,
        "dividend": 0.0,
    }
    inputs[field] = [100.0, bad]
    if field in {"rate", "dividend"} and bad == -1.0:
        inputs[field] = bad
        assert np.isfinite(price_and_greeks(**inputs, is_call=True).price).all()  # type: ignore[arg-type] # built above
        return
    with pytest.raises(PricingError, match=f"^{field} must be a finite number"):
        price_and_greeks(**inputs, is_call=True)  # type: ignore[arg-type] # built above


@pytest.mark.parametrize("field", ["spot", "strike"])
def test_a_price_of_zero_is_no_price(field: str) -> None:
    """Spot and strike must lie above 0, for their logarithm is part of every price."""
    inputs = {"spot": 100.0, "strike": 100.0, "years": 0.5, "sigma": 0.2, "rate": 0.0, "dividend": 0.0}
    with pytest.raises(PricingError, match=f"^{field} must be a finite number above 0, not 0.0"):
        price_and_greeks(**(inputs | {field: 0.0}), is_call=True)


def test_an_overflow_is_an_error_and_not_an_infinite_price() -> None:
    """Finite inputs whose price is beyond float64 raise instead of returning infinity."""
    with pytest.raises(PricingError, match="is not finite"):
        one(100.0, 100.0, 1000.0, 0.2, -50.0, 0.0, False)


def digits(  # noqa: PLR0917 - the textbook's order
    spot: float, strike: float, years: float, sigma: float, rate: float, dividend: float, is_call: bool
) -> tuple[mpmath.mpf, ...]:
    """The formula as the textbooks have it, in 40 digits."""
    s, k, t, v, r, q = (mpmath.mpf(each) for each in (spot, strike, years, sigma, rate, dividend))
    sign = 1 if is_call else -1
    d1 = (mpmath.log(s / k) + (r - q + v * v / 2) * t) / (v * mpmath.sqrt(t))
    d2 = d1 - v * mpmath.sqrt(t)
    s_part = sign * s * mpmath.exp(-q * t) * mpmath.ncdf(sign * d1)
    k_part = sign * k * mpmath.exp(-r * t) * mpmath.ncdf(sign * d2)
    density = s * mpmath.exp(-q * t) * mpmath.npdf(d1)
    theta = (q * s_part - r * k_part - density * v / (2 * mpmath.sqrt(t))) / 365
    vega = density * mpmath.sqrt(t)
    return s_part - k_part, s_part / s, density / (s * s * v * mpmath.sqrt(t)), theta, vega, t * k_part


def test_figures_are_those_of_40_digits_out_to_6_deviations() -> None:
    """A day to 3 years, 2 % to 300 %: price to 1e-15 of the larger of spot and strike, Greeks to 1e-13 of scale."""
    worst = np.zeros(6)
    grid = itertools.product(
        np.linspace(-6.0, 6.0, 13).tolist(),
        (1 / 365, 30 / 365, 1.0, 3.0),
        (0.02, 0.2, 1.0, 3.0),
        ((0.0, 0.0), (0.05, 0.01), (-0.01, 0.04)),
        (True, False),
    )
    for deviations, years, sigma, (rate, dividend), is_call in grid:
        strike = 100.0 * math.exp(deviations * sigma * math.sqrt(years))
        inputs = (100.0, strike, years, sigma, rate, dividend)
        with mpmath.workdps(40):
            exact = digits(*inputs, is_call)
            errors = [
                float(abs(mpmath.mpf(float(mine)) - true))
                for mine, true in zip(one(*inputs, is_call), exact, strict=True)
            ]
        size = max(100.0, strike)  # deep in the money a price is of the spot's size, however small the strike
        decay = (size * sigma / math.sqrt(years) + abs(rate) * size + abs(dividend) * size) / 365
        scale = [size, 1.0, 1 / (100 * sigma * math.sqrt(years)), decay, 100 * math.sqrt(years), size * years]
        worst = np.maximum(worst, np.array(errors) / scale)
    assert worst[0] < 1e-15
    assert worst.max() < 1e-13


def test_far_tails_are_small_and_ordered_and_never_nan() -> None:
    """Beyond every table an option is worth nothing, or its forward, and its Greeks vanish."""
    strikes = np.array([1e-12, 1e-3, 1e3, 1e12])
    calls = price_and_greeks(1.0, strikes, 0.01, 0.05, 0.0, 0.0, is_call=True)
    np.testing.assert_allclose(calls.price, [1.0, 1.0 - 1e-3, 0.0, 0.0], atol=1e-15)
    np.testing.assert_allclose(calls.delta, [1.0, 1.0, 0.0, 0.0], atol=1e-15)
    for vanishing in (calls.gamma, calls.vega):
        np.testing.assert_allclose(vanishing, 0.0, atol=1e-200)
