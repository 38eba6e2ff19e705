"""American prices and Greeks against QuantLib, against the laws they obey, and against their own differences."""

from __future__ import annotations

import gc
import itertools
import math
import sys

import llvmlite.binding
import numpy as np
import pytest
import QuantLib
from hypothesis import given, settings
from hypothesis import strategies as st

from tradebot.domain.errors import DoubleBoundary, PricingError
from tradebot.pricing import european, exercise
from tradebot.pricing.american import Chain, Solver, price_and_greeks
from tradebot.pricing.compiler import assembly
from tradebot.pricing.european import GreekArrays

REPEATABLE = settings(derandomize=True, deadline=None, max_examples=60)
CARRIES = (
    (0.05, 0.0),
    (0.05, 0.02),
    (0.05, 0.05),
    (0.02, 0.08),
    (0.0, 0.04),
    (0.04, -0.03),
    (0.0, -0.04),
    (0.15, 0.15),
)
GRID = [
    (strike, days, sigma, rate, dividend, is_call)
    for strike, days, sigma, (rate, dividend), is_call in itertools.product(
        (60.0, 95.0, 100.0, 108.0, 150.0), (1, 30, 365, 1095), (0.05, 0.2, 0.6, 1.5), CARRIES, (True, False)
    )
]
SOLVER = Solver()

moderate = {
    "strike": st.floats(60, 160),
    "years": st.floats(0.02, 3),
    "sigma": st.floats(0.08, 1.0),
    "rate": st.floats(0.0, 0.12),
    "dividend": st.floats(0.0, 0.12),
}


def priced(  # noqa: PLR0917 - the order in which every textbook writes them
    spot: float, strike: float, years: float, sigma: float, rate: float, dividend: float, is_call: bool
) -> GreekArrays:
    return price_and_greeks(SOLVER, spot, strike, years, sigma, rate, dividend, is_call)


class Oracle:
    """QuantLib's QdFp engine in its high-precision scheme, one contract at a time."""

    def __init__(self) -> None:
        ql = QuantLib
        self.today = ql.Date(20, 11, 2026)
        ql.Settings.instance().evaluationDate = self.today
        self.quotes = [ql.SimpleQuote(value) for value in (100.0, 0.2, 0.0, 0.0)]
        spot, sigma, rate, dividend = (ql.QuoteHandle(quote) for quote in self.quotes)
        count = ql.Actual365Fixed()
        process = ql.BlackScholesMertonProcess(
            spot,
            ql.YieldTermStructureHandle(ql.FlatForward(self.today, dividend, count)),
            ql.YieldTermStructureHandle(ql.FlatForward(self.today, rate, count)),
            ql.BlackVolTermStructureHandle(ql.BlackConstantVol(self.today, ql.NullCalendar(), sigma, count)),
        )
        self.engine = ql.QdFpAmericanEngine(process, ql.QdFpAmericanEngine.highPrecisionScheme())

    def price(  # noqa: PLR0917 - a row of the grid
        self, strike: float, days: int, sigma: float, rate: float, dividend: float, is_call: bool
    ) -> float:
        for quote, value in zip(self.quotes, (100.0, sigma, rate, dividend), strict=True):
            quote.setValue(value)
        kind = QuantLib.Option.Call if is_call else QuantLib.Option.Put
        exercise = QuantLib.AmericanExercise(self.today, self.today + days)
        option = QuantLib.VanillaOption(QuantLib.PlainVanillaPayoff(kind, strike), exercise)
        option.setPricingEngine(self.engine)
        return float(option.NPV())


def test_prices_agree_with_quantlib_over_a_grid() -> None:
    """Every carry with one boundary, one day to three years, 5 % to 150 %: the error stays at 1e-5 per 100 of spot."""
    oracle = Oracle()
    expected = np.array([oracle.price(*row) for row in GRID])
    strike, days, sigma, rate, dividend, is_call = np.array(GRID).T
    error = price_and_greeks(SOLVER, 100.0, strike, days / 365.0, sigma, rate, dividend, is_call).price - expected
    assert math.sqrt(float(np.mean(error * error))) < 1e-5
    assert np.abs(error).max() < 2e-4


def test_zero_interest_and_tiny_rates_have_an_answer() -> None:
    """Rates next to nothing, whose boundary is far away or meaningless, agree with QuantLib all the same."""
    oracle = Oracle()
    for sigma, rate, dividend in itertools.product((0.1, 1.0, 3.0), (1e-6, 1e-4, 1e-3), (0.0, 1e-6, 1e-3, 0.05)):
        expected = oracle.price(110.0, 200, sigma, rate, dividend, False)
        assert float(priced(100.0, 110.0, 200 / 365, sigma, rate, dividend, False).price) == pytest.approx(
            expected, abs=2e-4
        )


@REPEATABLE
@given(**moderate, is_call=st.booleans())
def test_greeks_are_the_differences_of_the_price(  # noqa: PLR0917 - by keyword
    strike: float, years: float, sigma: float, rate: float, dividend: float, is_call: bool
) -> None:
    """Each Greek is the central difference of the price, away from the exercise region and from r = q."""
    if abs(rate - dividend) < 2e-3 or min(rate, dividend) < 2e-3:
        return
    base = (100.0, strike, years, sigma, rate, dividend, is_call)
    greeks = priced(*base)
    critical = float(Chain(SOLVER, *base[1:]).exercised_at[0])
    if (critical * 1.03 > 100.0) if not is_call else (critical < 103.0):
        return

    def difference(field: int, step: float) -> float:
        moved = np.repeat(np.array([base], dtype=np.float64), 2, axis=0)
        moved[:, field] += (step, -step)
        up, down = price_and_greeks(SOLVER, *moved.T).price
        return float(up - down) / (2.0 * step)

    scale = 100.0 * math.sqrt(years)
    up, down = (priced(100.0 + h, *base[1:]) for h in (0.02, -0.02))
    # Near the boundary the Greeks are completed and the price is not: there its slope is what is less right.
    near = abs(math.log(critical / 100.0)) < sigma * math.sqrt(years)
    assert float(greeks.delta) == pytest.approx(difference(0, 0.02), abs=1e-4 if near else 1e-5)
    assert float(greeks.gamma) == pytest.approx(float(up.delta - down.delta) / 0.04, abs=2e-4 / (sigma * scale) + 1e-6)
    assert float(greeks.vega) == pytest.approx(difference(3, 1e-3), abs=1e-3 * scale)
    assert float(greeks.rho) == pytest.approx(difference(4, 5e-4), abs=3e-3 * 100.0 * years)
    assert float(greeks.theta) * 365.0 == pytest.approx(-difference(2, years * 1e-3), abs=2e-3 * 100.0 * sigma)


@REPEATABLE
@given(**moderate, is_call=st.booleans())
def test_early_exercise_is_worth_something_and_never_less_than_exercise(  # noqa: PLR0917 - by keyword
    strike: float, years: float, sigma: float, rate: float, dividend: float, is_call: bool
) -> None:
    """An American option is worth no less than the European one, and no less than exercise now."""
    american = float(priced(100.0, strike, years, sigma, rate, dividend, is_call).price)
    other = float(european.price_and_greeks(100.0, strike, years, sigma, rate, dividend, is_call).price)
    intrinsic = 100.0 - strike if is_call else strike - 100.0
    assert american >= other - 1e-4
    assert american >= intrinsic - 1e-4


@REPEATABLE
@given(**moderate)
def test_a_call_is_the_put_with_spot_and_strike_and_both_rates_exchanged(
    strike: float, years: float, sigma: float, rate: float, dividend: float
) -> None:
    """Put-call symmetry holds to the last digits, for both are solved as the same put."""
    call = priced(100.0, strike, years, sigma, rate, dividend, True).price
    put = priced(strike, 100.0, years, sigma, dividend, rate, False).price
    assert float(call) == pytest.approx(float(put), rel=1e-12, abs=1e-12)


@REPEATABLE
@given(**moderate, is_call=st.booleans(), factor=st.floats(0.01, 100))
def test_price_is_homogeneous_and_monotonic(  # noqa: PLR0917 - by keyword
    strike: float, years: float, sigma: float, rate: float, dividend: float, is_call: bool, factor: float
) -> None:
    """Spot and strike in another currency scale the price; more volatility or more time never lowers it."""
    price = float(priced(100.0, strike, years, sigma, rate, dividend, is_call).price)
    scaled = float(priced(100.0 * factor, strike * factor, years, sigma, rate, dividend, is_call).price)
    assert scaled == pytest.approx(price * factor, rel=1e-10, abs=1e-10)
    assert float(priced(100.0, strike, years, sigma * 1.1, rate, dividend, is_call).price) >= price - 1e-4
    assert float(priced(100.0, strike, years * 1.1, sigma, rate, dividend, is_call).price) >= price - 1e-4


@pytest.mark.parametrize(
    ("rate", "dividend", "is_call"),
    [
        (0.05, 0.0, True),
        (0.05, -0.02, True),
        (0.0, 0.0, False),
        (0.0, 0.03, False),
        (-0.02, 0.0, False),
        (0.0, 0.0, True),
    ],
)
def test_without_a_reason_to_exercise_the_price_is_the_european(rate: float, dividend: float, is_call: bool) -> None:
    """Where early exercise is worth nothing all six figures are the closed form's."""
    american = priced(100.0, 105.0, 0.7, 0.3, rate, dividend, is_call)
    closed = european.price_and_greeks(100.0, 105.0, 0.7, 0.3, rate, dividend, is_call)
    np.testing.assert_allclose(np.array(american), np.array(closed), rtol=1e-11)


@pytest.mark.parametrize(("rate", "dividend", "is_call"), [(-0.01, -0.03, False), (-0.03, -0.01, True)])
def test_two_boundaries_are_refused_by_name(rate: float, dividend: float, is_call: bool) -> None:
    """The carry for which the method has no answer raises its own error instead of giving a number."""
    with pytest.raises(DoubleBoundary, match="between two boundaries"):
        priced(100.0, 105.0, 0.7, 0.3, rate, dividend, is_call)


def test_deep_in_the_money_is_exercised() -> None:
    """Beyond the boundary an option is its intrinsic value, moves with spot and with nothing else."""
    put = priced(50.0, 100.0, 1.0, 0.2, 0.08, 0.0, False)
    assert [float(figure) for figure in put] == [50.0, -1.0, 0.0, 0.0, 0.0, 0.0]
    call = priced(200.0, 100.0, 1.0, 0.2, 0.0, 0.08, True)
    assert [float(figure) for figure in call] == pytest.approx([100.0, 1.0, 0.0, 0.0, 0.0, 0.0], abs=1e-12)


@pytest.mark.parametrize(
    ("years", "sigma", "rate", "dividend", "is_call", "price"),
    [
        (0.0, 0.2, 0.05, 0.0, False, 10.0),
        (1.0, 0.0, 0.05, 0.0, False, 10.0),  # at once: waiting costs interest
        (1.0, 0.0, 0.0, 0.05, False, 110.0 - 100.0 * math.exp(-0.05)),  # at expiry: waiting takes the dividend off
        (1.0, 0.0, 0.05, 0.0, True, 0.0),
        (4.0, 0.0, 0.05, 0.0, True, 100.0 - 110.0 * math.exp(-0.2)),
    ],
)
def test_without_randomness_the_best_moment_is_known(  # noqa: PLR0917 - by keyword
    years: float, sigma: float, rate: float, dividend: float, is_call: bool, price: float
) -> None:
    """At zero time or volatility the price is the best of the discounted intrinsic values."""
    greeks = priced(100.0, 110.0, years, sigma, rate, dividend, is_call)
    assert float(greeks.price) == pytest.approx(price, abs=1e-12)
    assert float(greeks.gamma) == float(greeks.vega) == 0.0


def test_a_followed_boundary_is_the_solved_one() -> None:
    """After a volatility, rate or time move the chain agrees with one built anew, in price and in Greeks."""
    strike, is_call = np.tile([80.0, 95.0, 100.0, 110.0], 2), np.repeat([True, False], 4)
    chain = Chain(SOLVER, strike, 0.5, 0.3, 0.05, 0.03, is_call)
    for move, anew in (
        ({"scale_sigma": 1.01}, (0.5, 0.303, 0.05, 0.03)),
        ({"sigma": 0.2}, (0.5, 0.5, 0.05, 0.03)),
        ({"rate": 0.0025}, (0.5, 0.3, 0.0525, 0.03)),
        ({"rate": -0.03}, (0.5, 0.3, 0.02, 0.03)),  # past r = q, where the boundary starts elsewhere
        ({"years": -1 / 365, "dividend": 0.001}, (0.5 - 1 / 365, 0.3, 0.05, 0.031)),
    ):
        followed = chain.moved(**move).tick(101.0)
        solved = Chain(Solver(), strike, *anew, is_call).tick(101.0)
        np.testing.assert_allclose(followed[:3], solved[:3], atol=2e-5)
        np.testing.assert_allclose(followed[3:], solved[3:], atol=2e-2)


def test_a_chain_shares_boundaries_and_a_tick_allocates_nothing() -> None:
    """One boundary for each distinct volatility, expiry and kind; ticks write into the same block."""
    strike = np.linspace(70.0, 130.0, 50)
    chain = Chain(SOLVER, strike, 0.4, np.repeat([0.2, 0.25], 25), 0.04, 0.01, False)
    assert chain.boundaries == 2
    first = chain.tick(100.0)
    gc.collect()
    before = sys.getallocatedblocks()
    for spot in (99.0, 100.5, 101.0):
        assert chain.tick(spot) is first
    assert sys.getallocatedblocks() - before <= 4  # the loop's own
    np.testing.assert_allclose(
        first, np.array(price_and_greeks(SOLVER, 101.0, strike, 0.4, np.repeat([0.2, 0.25], 25), 0.04, 0.01, False))
    )


@pytest.mark.timeout(120)
def test_the_tick_is_vectorised() -> None:
    """The loop over a boundary's terms runs in wide registers: on some Intel CPUs LLVM prefers those of 256 bits."""
    features = llvmlite.binding.get_host_cpu_features()
    widths = (("avx512f", ("zmm", "ymm")), ("avx", ("ymm",)), ("sse2", ("xmm",)), ("neon", (".2d",)))
    wide = next(registers for feature, registers in widths if features.get(feature))
    told = assembly(exercise.__name__, ["tick"])["tick"]
    assert sum(told.count(register) for register in wide) > 100


def test_the_cache_is_bounded_and_forgets_the_oldest() -> None:
    """Hits and misses are counted, the bound holds, and what was used last survives."""
    solver = Solver(maxsize=3)
    for sigma in (0.2, 0.3, 0.4, 0.2, 0.5):
        price_and_greeks(solver, 100.0, 100.0, 0.5, sigma, 0.05, 0.0, False)
    assert solver.info() == (1, 4, 1, 3, 3)
    price_and_greeks(solver, 100.0, 90.0, 0.5, [0.2, 0.4, 0.5], 0.05, 0.0, False)
    assert solver.info() == (4, 4, 1, 3, 3)
    with pytest.raises(PricingError, match="maxsize"):
        price_and_greeks(solver, 100.0, 100.0, 0.5, [0.1, 0.2, 0.3, 0.4], 0.05, 0.0, False)


@pytest.mark.parametrize("field", ["spot", "strike", "years", "sigma", "rate", "dividend"])
def test_a_nan_is_named(field: str) -> None:
    """A NaN raises with the name of the field it came in by."""
    inputs = {"spot": 100.0, "strike": 100.0, "years": 0.5, "sigma": 0.2, "rate": 0.05, "dividend": 0.0}
    with pytest.raises(PricingError, match=f"^{field} must be"):
        price_and_greeks(SOLVER, **(inputs | {field: math.nan}), is_call=True)
