"""The tables of a book, and the kernels that price them: a slice is what one underlying has at one expiry.

Three tables, and not an array a field: three arrays to look at and to keep track of, and not a score.

- `inputs` and `outputs`: a column an option, the rows of `formula` (and SIGMA). A slice's columns lie side by side
  and are filled up to whole vectors of LANES with options of which nobody holds any;
- `slices`: a row a slice, its shared terms and its totals; those of an underlying are chained by NEXT, by expiry;
- `underlyings`: a row an underlying, its market and its totals. Row 0 is the portfolio.

Row numbers are floats here, exact up to 2**53, for the sake of one table.

tick -> slice totals -> underlying totals -> the change of these is folded into the portfolio's. The running sum is
kept in two floats (the sum and what rounding took from it), so that after any number of ticks it is what a fresh sum
would be; `recomputed` proves it. No kernel allocates. What is not finite is reported and not folded: whoever changed
an input puts it back and prices again.
"""

from __future__ import annotations

import math
from typing import Final

from tradebot.pricing.formula import (
    DEVIATION,
    FIGURES,
    INVERSE,
    SHARES,
    STRIKE,
    Floats,
    Shared,
    figure_totals,
    price_slice,
    total_slice,
)
from tradebot.pricing.jit import inlined, kernel, routine
from tradebot.pricing.math64 import exp, log
from tradebot.pricing.signature import Table

LANES: Final = 8  # float64 in the widest vector of any CPU at hand
NONE: Final = -1.0
SECONDS_PER_YEAR: Final = 365 * 86_400.0

SIGMA: Final = 5
INPUTS: Final = 6

EXPIRES_S: Final = 0  # of the Unix epoch
YEARS: Final = 1
CARRY: Final = 2  # (rate - dividend) * years
SPOT_DISCOUNT: Final = 3
STRIKE_DISCOUNT: Final = 4
START: Final = 5
STOP: Final = 6  # START + a multiple of LANES
NEXT: Final = 7
SLICE_TOTALS: Final = 8
SLICE_COLUMNS: Final = SLICE_TOTALS + FIGURES

SPOT: Final = 0
RATE: Final = 1
DIVIDEND: Final = 2
REFERENCE: Final = 3  # strikes' logarithms are relative to this spot: near 0 they are exact to 1e-16, near 6 to 1e-15
FIRST: Final = 4
TOTALS: Final = 5
ROUNDED_OFF: Final = TOTALS + FIGURES  # of the portfolio only
UNDERLYING_COLUMNS: Final = ROUNDED_OFF + FIGURES
PORTFOLIO: Final = 0


@inlined
def fold(portfolio: Floats, figure: int, change: float) -> None:
    """Add to the running sum and keep what the addition rounds off (Knuth's two-sum)."""
    high = portfolio[TOTALS + figure]
    total = high + change
    back = total - high
    low = portfolio[ROUNDED_OFF + figure] + ((high - (total - back)) + (change - back))
    portfolio[TOTALS + figure] = total + low
    portfolio[ROUNDED_OFF + figure] = low - (portfolio[TOTALS + figure] - total)


@inlined
def settle(inputs: Floats, outputs: Floats, start: int, stop: int, spot: float) -> tuple[float, float]:
    """Past expiry an option is its intrinsic value; returns the slice's value and delta."""
    value = delta = 0.0
    for column in range(start, stop):
        strike = inputs[STRIKE, column]
        sign = math.copysign(1.0, strike)
        worth = sign * spot - strike
        outputs[:, column] = 0.0
        outputs[0, column] = max(0.0, worth)
        outputs[1, column] = sign * (1.0 if worth > 0.0 else (0.5 if worth == 0.0 else 0.0))
        value += inputs[SHARES, column] * outputs[0, column]
        delta += inputs[SHARES, column] * outputs[1, column]
    return value, delta


@inlined
def shared_terms(row: Floats, market: Floats, ln_spot: float) -> Shared:
    return Shared(
        market[SPOT],
        ln_spot + row[CARRY],
        market[SPOT] * row[SPOT_DISCOUNT],
        row[STRIKE_DISCOUNT],
        row[YEARS],
        market[RATE],
        market[DIVIDEND],
    )


@routine
def reprice(inputs: Floats, outputs: Floats, slices: Floats, underlyings: Floats, underlying: int) -> bool:
    """One underlying at its present market and time; false, and nothing folded, where a total is not finite."""
    market = underlyings[underlying]
    ln_spot = log(market[SPOT] / market[REFERENCE])
    t0 = t1 = t2 = t3 = t4 = t5 = 0.0
    at = int(market[FIRST])
    while at >= 0:
        row = slices[at]
        start, stop = int(row[START]), int(row[STOP])
        if row[YEARS] > 0.0:
            shared = shared_terms(row, market, ln_spot)
            v0, v1, v2, v3, v4, v5 = figure_totals(price_slice(inputs, outputs, start, stop, shared), shared)
            if not math.isfinite(shared.spot_discounted + shared.strike_discount):
                return False
        else:
            v0, v1 = settle(inputs, outputs, start, stop, market[SPOT])
            v2 = v3 = v4 = v5 = 0.0
        row[SLICE_TOTALS] = v0
        row[SLICE_TOTALS + 1] = v1
        row[SLICE_TOTALS + 2] = v2
        row[SLICE_TOTALS + 3] = v3
        row[SLICE_TOTALS + 4] = v4
        row[SLICE_TOTALS + 5] = v5
        t0, t1, t2, t3, t4, t5 = t0 + v0, t1 + v1, t2 + v2, t3 + v3, t4 + v4, t5 + v5
        at = int(row[NEXT])
    if not math.isfinite(t0 + t1 + t2 + t3 + t4 + t5):
        return False
    totals = (t0, t1, t2, t3, t4, t5)
    for figure in range(FIGURES):
        fold(underlyings[PORTFOLIO], figure, totals[figure])
        fold(underlyings[PORTFOLIO], figure, -market[TOTALS + figure])
        market[TOTALS + figure] = totals[figure]
    return True


@inlined
def age_slice(inputs: Floats, row: Floats, market: Floats, at_s: float) -> None:
    """Bring a slice's shared terms and its options' deviations to the time."""
    remaining_s = row[EXPIRES_S] - at_s
    years = max(0.0, remaining_s) / SECONDS_PER_YEAR
    row[YEARS] = years
    row[CARRY] = (market[RATE] - market[DIVIDEND]) * years
    row[SPOT_DISCOUNT] = exp(-market[DIVIDEND] * years)
    row[STRIKE_DISCOUNT] = exp(-market[RATE] * years)
    sqrt_years = math.sqrt(years)
    start, stop = int(row[START]), int(row[STOP])
    sigma, deviation, inverse = inputs[SIGMA, start:stop], inputs[DEVIATION, start:stop], inputs[INVERSE, start:stop]
    for i in range(len(sigma)):
        deviation[i] = sigma[i] * sqrt_years
        inverse[i] = 1.0 / (sigma[i] * sqrt_years)


@kernel
def tick(  # noqa: PLR0917 - kernels are called by position
    inputs: Table, outputs: Table, slices: Table, underlyings: Table, underlying: int, spot: float
) -> bool:
    """Move one underlying's spot; false, and everything as it was, where a total would not be finite."""
    before = underlyings[underlying, SPOT]
    underlyings[underlying, SPOT] = spot
    if reprice(inputs, outputs, slices, underlyings, underlying):
        return True
    underlyings[underlying, SPOT] = before
    reprice(inputs, outputs, slices, underlyings, underlying)
    return False


@kernel
def revalue(  # noqa: PLR0917 - kernels are called by position
    inputs: Table, outputs: Table, slices: Table, underlyings: Table, first: int, last: int, at_s: float
) -> bool:
    """Bring the underlyings first <= row < last to the time, prices included; false where one has no finite total."""
    fine = True
    for underlying in range(first, last):
        at = int(underlyings[underlying, FIRST])
        while at >= 0:
            age_slice(inputs, slices[at], underlyings[underlying], at_s)
            at = int(slices[at, NEXT])
        fine &= reprice(inputs, outputs, slices, underlyings, underlying)
    return fine


@kernel
def recomputed(  # noqa: PLR0917 - kernels are called by position
    inputs: Table, outputs: Table, slices: Table, underlyings: Table, totals: Table, count: int
) -> None:
    """The portfolio's totals (into `totals[0]`) and their absolute sizes (`totals[1]`), from the inputs alone.

    Nothing of the running sums is read, and no figure of an option that lives is written.
    """
    totals[:] = 0.0
    for underlying in range(PORTFOLIO + 1, count):
        market = underlyings[underlying]
        ln_spot = log(market[SPOT] / market[REFERENCE])
        at = int(market[FIRST])
        while at >= 0:
            row = slices[at]
            start, stop = int(row[START]), int(row[STOP])
            if row[YEARS] > 0.0:
                shared = shared_terms(row, market, ln_spot)
                figures = figure_totals(total_slice(inputs, start, stop, shared), shared)
            else:
                value, delta = settle(inputs, outputs, start, stop, market[SPOT])
                figures = (value, delta, 0.0, 0.0, 0.0, 0.0)
            for figure in range(FIGURES):
                totals[0, figure] += figures[figure]
                totals[1, figure] += abs(figures[figure])
            at = int(row[NEXT])


@kernel
def place(inputs: Table, column: int, strike: float, reference: float, sigma: float) -> None:
    """Write one option, of which nobody holds any, into a column; a put's strike is negative."""
    inputs[0, column] = log(math.fabs(strike) / reference)
    inputs[STRIKE, column] = strike
    inputs[SIGMA, column] = sigma
    inputs[SHARES, column] = 0.0
