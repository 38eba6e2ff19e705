"""The ways to price one book that `compare_pricing` sets beside one another: ours, and what else Python has.

Each `Way` is handed the same `Sample` and returns a function of a spot. That function does what a tick asks for:
price, delta, gamma, theta, vega and rho of each option, and the six totals weighted by quantity; it returns the
figures, for their errors are measured too. What a peer could prepare beforehand is prepared beforehand. A peer that
is not installed raises ImportError and is reported as not measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from tradebot.domain.instruments import OptionContract, Right
from tradebot.pricing import slices
from tradebot.pricing.book import Book
from tradebot.pricing.european import price_and_greeks
from tradebot.pricing.formula import FIGURES, LN_STRIKE, SHARES, STRIKE
from tradebot.pricing.lanes import padding, table

Floats = NDArray[np.float64]
Tick = Callable[[float], Floats]  # spot -> six rows, a column an option

SPOT, RATE, DIVIDEND = 100.0, 0.04, 0.012
AT = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
AT_S = AT.timestamp()
EXPIRIES_DAYS = (21.0, 49.0, 84.0, 182.0, 364.0)
SQRT_TAU, SQRT_TWO = math.sqrt(2.0 * math.pi), math.sqrt(2.0)


@dataclass(frozen=True)
class Sample:
    """One underlying, five expiries; sorted by expiry."""

    strike: Floats
    years: Floats
    sigma: Floats
    sign: Floats  # 1 call, -1 put
    shares: Floats
    lengths: tuple[int, ...]

    @classmethod
    def of(cls, count: int, seed: int) -> Sample:
        rng = np.random.default_rng(seed)
        lengths = tuple(len(part) for part in np.array_split(np.arange(count), len(EXPIRIES_DAYS)))
        years = np.repeat(np.array(EXPIRIES_DAYS) / 365.0, lengths)
        sigma = rng.uniform(0.1, 0.6, count)
        strike = SPOT * np.exp(rng.normal(0.0, 1.0, count) * sigma * np.sqrt(years)).astype(np.float64)
        sign = np.where(rng.random(count) < 0.5, 1.0, -1.0)
        shares = (rng.integers(1, 10, count) * -100.0 * sign).astype(np.float64)
        return cls(strike, years, sigma, sign, shares, lengths)


def tables(sample: Sample) -> tuple[Floats, Floats, Floats, Floats, NDArray[np.int64]]:
    """The book's tables, filled by whole arrays (a million `add`s would take a minute), and each option's column."""
    room = [max(-(-length // slices.LANES) * slices.LANES, slices.LANES) for length in sample.lengths]
    inputs, outputs = table(slices.INPUTS, sum(room)), table(FIGURES, sum(room))
    inputs[:] = padding(inputs.shape[1])
    rows, underlyings = table(8, slices.SLICE_COLUMNS), table(8, slices.UNDERLYING_COLUMNS)
    underlyings[1, :5] = SPOT, RATE, DIVIDEND, SPOT, 0.0
    starts = np.concatenate([[0], np.cumsum(room)[:-1]])
    firsts = np.concatenate([[0], np.cumsum(sample.lengths)[:-1]])
    columns = np.concatenate([np.arange(n) + start for n, start in zip(sample.lengths, starts, strict=True)])
    for row, (start, first) in enumerate(zip(starts, firsts, strict=True)):
        rows[row, slices.EXPIRES_S] = AT_S + sample.years[first] * slices.SECONDS_PER_YEAR
        rows[row, slices.START], rows[row, slices.STOP] = start, start + room[row]
        rows[row, slices.NEXT] = row + 1 if row + 1 < len(room) else slices.NONE
    inputs[LN_STRIKE, columns] = np.log(sample.strike / SPOT)
    inputs[STRIKE, columns] = sample.strike * sample.sign
    inputs[slices.SIGMA, columns] = sample.sigma
    inputs[SHARES, columns] = sample.shares
    slices.revalue(inputs, outputs, rows, underlyings, 1, 2, AT_S)
    return inputs, outputs, rows, underlyings, columns


def book(count: int, underlyings: int) -> Book:
    """Through the public interface: strategies of four legs, five expiries an underlying."""
    made = Book(count)
    rng = np.random.default_rng(1)
    expiries = [date(2026, 12, 18) + timedelta(days=28 * month) for month in range(len(EXPIRIES_DAYS))]
    symbols = [f"U{number}" for number in range(underlyings)]
    for symbol in symbols:
        made.set_underlying(symbol, SPOT, RATE, DIVIDEND)
    made.revalue(AT)
    for number in range(count):
        symbol, place = symbols[number % underlyings], number // underlyings
        right = Right.CALL if place % 2 else Right.PUT
        contract = OptionContract(symbol, expiries[place // 2 % 5], Decimal(60 + place // 10), right)
        made.set_sigma(contract, float(rng.uniform(0.1, 0.6)))
        made.add(f"s{number // 4}", contract, int(rng.integers(1, 10)))
    return made


def ours(sample: Sample) -> Tick:
    inputs, outputs, rows, underlyings, _ = tables(sample)
    ticked = slices.tick.bind(inputs, outputs, rows, underlyings, 1)

    def tick(spot: float) -> Floats:
        ticked(spot)
        return outputs

    return tick


def ours_in_order(sample: Sample) -> Tick:
    """The same without the padding, for a look at the figures."""
    inputs, outputs, rows, underlyings, columns = tables(sample)
    ticked = slices.tick.bind(inputs, outputs, rows, underlyings, 1)

    def tick(spot: float) -> Floats:
        ticked(spot)
        figures: Floats = outputs[:, columns]
        return figures

    return tick


def ours_totals(sample: Sample) -> Tick:
    inputs, outputs, rows, underlyings, _ = tables(sample)
    totals = np.zeros((2, FIGURES))
    summed = slices.recomputed.bind(inputs, outputs, rows, underlyings, totals)

    def tick(spot: float) -> Floats:
        underlyings[1, slices.SPOT] = spot
        summed(2)
        return totals

    return tick


def ours_any(sample: Sample) -> Tick:
    is_call = sample.sign > 0

    def tick(spot: float) -> Floats:
        figures = price_and_greeks(spot, sample.strike, sample.years, sample.sigma, RATE, DIVIDEND, is_call)
        result = np.stack(figures)
        _ = result @ sample.shares
        return result

    return tick


def numpy_ndtr(sample: Sample) -> Tick:
    k, t, v, sign = sample.strike, sample.years, sample.sigma, sample.sign
    sqrt_t = np.sqrt(t)
    deviation = v * sqrt_t
    spot_discount, strike_discounted = np.exp(-DIVIDEND * t), k * np.exp(-RATE * t)
    drift = (RATE - DIVIDEND) * t + 0.5 * deviation * deviation

    def tick(spot: float) -> Floats:
        result = np.empty((FIGURES, len(k)))
        s = spot * spot_discount
        d1 = (np.log(spot / k) + drift) / deviation
        s_part = sign * s * ndtr(sign * d1)
        k_part = sign * strike_discounted * ndtr(sign * (d1 - deviation))
        density = s * np.exp(-0.5 * d1 * d1) / SQRT_TAU
        result[0] = s_part - k_part
        result[1] = s_part / spot
        result[2] = density / (spot * spot * deviation)
        result[3] = (DIVIDEND * s_part - RATE * k_part - density * v / (2.0 * sqrt_t)) / 365.0
        result[4] = density * sqrt_t
        result[5] = t * k_part
        _ = result @ sample.shares
        return result

    return tick


@numba.njit(error_model="numpy")
def _libm(  # noqa: PLR0917 - called by position
    spot: float, k: Floats, t: Floats, v: Floats, sign: Floats, shares: Floats, result: Floats, totals: Floats
) -> None:
    totals[:] = 0.0
    for i in range(len(k)):
        sqrt_t = math.sqrt(t[i])
        deviation = v[i] * sqrt_t
        s = spot * math.exp(-DIVIDEND * t[i])
        d1 = (math.log(spot / k[i]) + (RATE - DIVIDEND) * t[i]) / deviation + 0.5 * deviation
        d2 = d1 - deviation
        s_part = sign[i] * s * 0.5 * math.erfc(-sign[i] * d1 / SQRT_TWO)
        k_part = sign[i] * k[i] * math.exp(-RATE * t[i]) * 0.5 * math.erfc(-sign[i] * d2 / SQRT_TWO)
        density = s * math.exp(-0.5 * d1 * d1) / SQRT_TAU
        result[0, i] = s_part - k_part
        result[1, i] = s_part / spot
        result[2, i] = density / (spot * spot * deviation)
        result[3, i] = (DIVIDEND * s_part - RATE * k_part - density * v[i] / (2.0 * sqrt_t)) / 365.0
        result[4, i] = density * sqrt_t
        result[5, i] = t[i] * k_part
        for figure in range(6):
            totals[figure] += result[figure, i] * shares[i]


def numba_libm(sample: Sample) -> Tick:
    result, totals = np.empty((FIGURES, len(sample.strike))), np.zeros(FIGURES)

    def tick(spot: float) -> Floats:
        _libm(spot, sample.strike, sample.years, sample.sigma, sample.sign, sample.shares, result, totals)
        return result

    return tick


def quantlib(sample: Sample) -> Tick:
    """Objects built once; a tick goes through the spot's SimpleQuote."""
    import QuantLib

    today = QuantLib.Date(20, 11, 2026)
    QuantLib.Settings.instance().evaluationDate = today
    count = QuantLib.Actual365Fixed()
    quote = QuantLib.SimpleQuote(SPOT)
    spot_handle = QuantLib.QuoteHandle(quote)
    curves = [QuantLib.YieldTermStructureHandle(QuantLib.FlatForward(today, rate, count)) for rate in (DIVIDEND, RATE)]
    options: list[Any] = []
    for strike, years, sigma, sign in zip(sample.strike, sample.years, sample.sigma, sample.sign, strict=True):
        surface = QuantLib.BlackConstantVol(today, QuantLib.NullCalendar(), float(sigma), count)
        process = QuantLib.BlackScholesMertonProcess(
            spot_handle, *curves, QuantLib.BlackVolTermStructureHandle(surface)
        )
        payoff = QuantLib.PlainVanillaPayoff(QuantLib.Option.Call if sign > 0 else QuantLib.Option.Put, float(strike))
        option = QuantLib.VanillaOption(payoff, QuantLib.EuropeanExercise(today + round(float(years) * 365)))
        option.setPricingEngine(QuantLib.AnalyticEuropeanEngine(process))
        options.append(option)

    def tick(spot: float) -> Floats:
        quote.setValue(spot)
        rows = [(o.NPV(), o.delta(), o.gamma(), o.theta() / 365.0, o.vega(), o.rho()) for o in options]
        result = np.array(rows).T
        _ = result @ sample.shares
        return result

    return tick


def py_vollib_vectorized(sample: Sample) -> Tick:
    """Needs py_vollib 1.0.1: with later ones numba cannot type it."""
    import py_vollib_vectorized as vollib

    flag = np.where(sample.sign > 0, "c", "p")
    one = np.ones(len(flag))

    def tick(spot: float) -> Floats:
        inputs = (flag, spot * one, sample.strike, sample.years, RATE * one, sample.sigma, DIVIDEND * one)
        price = vollib.vectorized_black_scholes_merton(*inputs, return_as="numpy")
        greeks = vollib.get_all_greeks(*inputs, model="black_scholes_merton", return_as="dict")
        names = (("delta", 1.0), ("gamma", 1.0), ("theta", 1.0), ("vega", 100.0), ("rho", 100.0))
        result = np.stack([price.ravel(), *(scale * np.asarray(greeks[name]) for name, scale in names)])
        _ = result @ sample.shares
        return result

    return tick
