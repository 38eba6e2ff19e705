"""The American price as one short sum: a table row for each exercise boundary, and a spot tick over it.

With the boundary B known, an American put is the European one and the integral, over the time u until expiry, of the
interest won less the dividends lost while the spot is below B (Kim, 1990). The quadrature makes that integral 15 terms
of the European price's own form, so that the European part is merely the sixteenth. Whatever in a term does not
depend on spot is a column of the row: a tick is a logarithm, and then one exponential and two normal tails a term.

Vega and rho hold the boundary's own movement: its sensitivities come with the solution.

Near the boundary the first instants of the integral are a step that the 15 points cannot resolve; they would lose up to
half of gamma. What they miss has a closed form, which completes the sums of a spot that is near (`_missed`).

A row serves every strike (the put is that of strike 1) and is a flat array: its fields lie `TABLE` apart, at distances
known to the compiler, without which it would not vectorise the loops.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tradebot.pricing.boundary import FLOOR, Work, follow, solve
from tradebot.pricing.collocation import NODES, TABLE, Scheme
from tradebot.pricing.formula import DAYS_PER_YEAR, Floats
from tradebot.pricing.jit import kernel, relaxed
from tradebot.pricing.math64 import ONE_OVER_SQRT_2PI, TAIL_MAX, bell, exp, log, mills_over, mills_under
from tradebot.pricing.signature import Given, GivenIndices, GivenTable, Table
from tradebot.pricing.trigger import Put, put

Indices = NDArray[np.int64]

_SLOPE, _OFFSET, _WIDTH, _PUT, _SHARE, _RATIO, _GAIN, _RHO_PUT, _RHO_SHARE, _VEGA, _RHO, _FLAT = (
    TABLE * i for i in range(12)
)
_INTEREST_MIN: Final = 1e-8
_REACH: Final = 0.928  # deviations: what the points miss of gamma is 0 there, and 3e-5 of its peak at most beyond
_STATE: Final = 12 * TABLE
SIGMA, RATE, DIVIDEND, YEARS, IS_CALL, EXERCISED, STEPS, _LEVEL, _NEAR, _DRIFT = range(_STATE, _STATE + 10)
KEYS: Final = 5
KEY: Final = slice(_STATE, _STATE + KEYS)  # what a row depends on: the put's own sigma, rate, dividend, years and kind
_Y: Final = _STATE + 16  # y at the nodes, its derivative by sigma, by rho: where a neighbour's solution starts
ROW: Final = _Y + 3 * NODES


@relaxed
def _is_european(market: Put) -> bool:
    """Nothing is won by exercise before expiry, or less than 1e-8 of strike: no more than the interest on it."""
    never = market.rate <= 0.0 and market.dividend >= market.rate
    return never or (market.dividend >= 0.0 and market.rate * market.years < _INTEREST_MIN)


@kernel
@relaxed
def build(rows: Table, which: GivenIndices, plan: Scheme, scratch: Work) -> int:
    """Fill these rows, each from its `KEY`; the number of the first that has no solution, or -1."""
    for i in which:
        if not _filled(rows[i], plan, scratch):
            return int(i)
    return -1


@relaxed
def _filled(row: Floats, plan: Scheme, scratch: Work) -> bool:
    market = put(row[SIGMA], row[RATE], row[DIVIDEND], row[YEARS], row[IS_CALL])
    row[STEPS] = 0.0
    if _is_european(market):
        row[:_STATE] = 0.0
        row[EXERCISED], row[_LEVEL], row[_NEAR], row[_DRIFT] = 0.0, 0.0, -math.inf, 0.0
    else:
        y = row[_Y : _Y + NODES]
        row[STEPS] = solve(market, y, plan, scratch)
        if row[STEPS] == 0.0:
            return False
        _tabulate(market, row, plan, scratch)
    _european(market, row)
    return True


@kernel
@relaxed
def rebuild(rows: Table, keys: GivenTable, plan: Scheme, scratch: Work) -> int:
    """As `build`, each row starting from the boundary that it holds, moved along its sensitivities to the new key."""
    for i in range(rows.shape[0]):
        row, key = rows[i], keys[i]
        sigma_move = key[0] - row[SIGMA]
        rate_move, dividend_move = key[1] - row[RATE], key[2] - row[DIVIDEND]
        before = row[EXERCISED]
        for j in range(KEYS):
            row[SIGMA + j] = key[j]
        market = put(row[SIGMA], row[RATE], row[DIVIDEND], row[YEARS], row[IS_CALL])
        row[STEPS] = 0.0
        if before > 0.0 and not _is_european(market):
            y = row[_Y : _Y + NODES]
            rho_move = rate_move * market.rate_step + dividend_move * market.dividend_step
            for j in range(NODES):
                moved = y[j] + sigma_move * row[_Y + NODES + j] + rho_move * row[_Y + 2 * NODES + j]
                y[j] = min(max(moved, 0.5 * y[j]), 2.0 * y[j])
            row[STEPS] = follow(market, y, plan, scratch)
        if row[STEPS] > 0.0:
            _tabulate(market, row, plan, scratch)
            _european(market, row)
        elif not _filled(row, plan, scratch):
            return i
    return -1


@relaxed
def _tabulate(market: Put, row: Floats, plan: Scheme, scratch: Work) -> None:
    sigma, rate, dividend, root = market.sigma, market.rate, market.dividend, math.sqrt(market.years)
    y, spread = row[_Y : _Y + NODES], scratch.table
    spread[:] = 0.0
    for j in range(NODES):
        by_sigma, by_rho = -scratch.system[j, NODES + 1], -scratch.system[j, NODES + 2]
        row[_Y + NODES + j], row[_Y + 2 * NODES + j] = by_sigma, by_rho
        weights, at = plan.spread[j], y[j]
        for k in range(TABLE):
            weight = weights[k] * at
            spread[k] += weight * at
            spread[TABLE + k] += weight * by_sigma
            spread[2 * TABLE + k] += weight * by_rho
    row[_LEVEL] = market.limit - y[0]
    row[EXERCISED], row[_NEAR] = math.exp(row[_LEVEL]), row[_LEVEL] + _REACH * sigma * root
    turn, flat = market.rate_step - market.dividend_step, 0.5 * ONE_OVER_SQRT_2PI * sigma * root
    for k in range(TABLE):
        sine = plan.price_rule[k]
        depth = math.sqrt(max(spread[k], FLOOR * (1.0 - sine * sine) * y[0] * y[0]))
        x = market.limit - depth
        x_sigma, x_rho = -spread[TABLE + k] / depth, market.limit_step - spread[2 * TABLE + k] / depth
        time_root = root * sine
        time, weight = time_root * time_root, plan.price_rule[TABLE + k] * market.years
        slope = 1.0 / (sigma * time_root)
        put_part, share_part = exp(-rate * time) * weight, exp(-dividend * time) * weight
        gain = (rate - dividend * exp(x)) * put_part
        row[_SLOPE + k] = slope
        row[_OFFSET + k] = ((rate - dividend) * time - x) * slope - 0.5 * sigma * time_root
        row[_WIDTH + k] = sigma * time_root
        row[_PUT + k] = rate * put_part
        row[_SHARE + k] = dividend * share_part
        row[_RATIO + k] = exp(x + (dividend - rate) * time)
        row[_GAIN + k] = gain
        row[_RHO_PUT + k] = market.rate_step * (1.0 - rate * time) * put_part
        row[_RHO_SHARE + k] = market.dividend_step * (1.0 - dividend * time) * share_part
        row[_VEGA + k] = gain * slope * x_sigma + rate * put_part * time_root
        row[_RHO + k] = gain * (slope * x_rho - turn * time_root / sigma)
        row[_FLAT + k] = flat * plan.price_rule[TABLE + k] * slope
    row[_DRIFT] = (row[_OFFSET] + row[_LEVEL] * row[_SLOPE]) / row[_WIDTH]


@relaxed
def _european(market: Put, row: Floats) -> None:
    """The last term, whose 'boundary' is the strike and whose weight is 1."""
    k, years, root = TABLE - 1, market.years, math.sqrt(market.years)
    slope = 1.0 / (market.sigma * root)
    put_part, share_part = math.exp(-market.rate * years), math.exp(-market.dividend * years)
    row[_SLOPE + k] = slope
    row[_OFFSET + k] = (market.rate - market.dividend) * years * slope - 0.5 * market.sigma * root
    row[_WIDTH + k] = market.sigma * root
    row[_PUT + k] = put_part
    row[_SHARE + k] = share_part
    row[_RATIO + k] = math.exp((market.dividend - market.rate) * years)
    row[_GAIN + k] = 0.0
    row[_RHO_PUT + k] = -market.rate_step * years * put_part
    row[_RHO_SHARE + k] = -market.dividend_step * years * share_part
    row[_VEGA + k] = put_part * root
    row[_RHO + k] = 0.0
    row[_FLAT + k] = 0.0


@kernel
@relaxed
def tick(rows: GivenTable, which: GivenIndices, strikes: Given, out: Table, spot: float) -> None:
    """Price and Greeks at `spot` of every contract, a column each; theta is what the pricing equation leaves."""
    for i in range(strikes.size):
        row = rows[which[i]]
        is_call = row[IS_CALL] > 0.0
        unit = spot if is_call else strikes[i]
        s = strikes[i] / spot if is_call else spot / strikes[i]
        if s > row[EXERCISED]:
            price, slope, curve, vega, rho = _terms(row, s)
            rate, dividend, sigma = row[RATE], row[DIVIDEND], row[SIGMA]
            theta = rate * price - (rate - dividend) * s * slope - 0.5 * sigma * sigma * s * s * curve
        else:
            price, slope, curve, vega, rho, theta = 1.0 - s, -1.0, 0.0, 0.0, 0.0, 0.0
        out[0, i] = unit * price
        out[1, i] = price - s * slope if is_call else slope
        out[2, i] = (s * s if is_call else 1.0) * curve / unit
        out[3, i] = unit * theta / DAYS_PER_YEAR
        out[4, i] = unit * vega
        out[5, i] = unit * rho


@relaxed
def _terms(row: Floats, s: float) -> tuple[float, float, float, float, float]:
    """Of strike 1: price, its first and second derivative by spot, vega and rho."""
    x, inverse = log(s), 1.0 / s
    price = shares = lift = curve = vega = tilt = rho = 0.0
    for k in range(TABLE):
        slope = row[_SLOPE + k]
        d_minus = x * slope + row[_OFFSET + k]
        d_plus = d_minus + row[_WIDTH + k]
        far_minus, far_plus = min(abs(d_minus), TAIL_MAX), min(abs(d_plus), TAIL_MAX)
        square_minus, square_plus = far_minus * far_minus, far_plus * far_plus
        density = ONE_OVER_SQRT_2PI * bell(square_minus)
        under_minus, under_plus = mills_under(far_minus, square_minus), mills_under(far_plus, square_plus)
        common = density / (under_minus * under_plus)
        below_minus = common * mills_over(far_minus, square_minus) * under_plus
        below_plus = common * mills_over(far_plus, square_plus) * under_minus * row[_RATIO + k] * inverse
        below_minus = 1.0 - below_minus if d_minus < 0.0 else below_minus
        below_plus = 1.0 - below_plus if d_plus < 0.0 else below_plus
        gain, put_part = density * row[_GAIN + k], row[_PUT + k]
        price += put_part * below_minus
        shares += row[_SHARE + k] * below_plus
        lift += gain * slope
        curve += slope * (put_part * density + gain * slope * d_minus)
        vega += density * row[_VEGA + k]
        tilt += gain * d_minus
        rho += row[_RHO_PUT + k] * below_minus - s * row[_RHO_SHARE + k] * below_plus + density * row[_RHO + k]
    if x < row[_NEAR]:
        away, slope = x - row[_LEVEL], row[_SLOPE]
        missed, missed_curve = _missed(row, away)
        gain = missed * row[_GAIN]
        lift += gain * slope
        curve += slope * (missed * row[_PUT] + gain * row[_DRIFT] + missed_curve * row[_GAIN])
        vega += missed * row[_VEGA]
        tilt += gain * slope * away
        rho += missed * row[_RHO]
    return (
        price - s * shares,
        -lift * inverse - shares,
        curve * inverse * inverse,
        vega + tilt / row[SIGMA],
        rho,
    )


@relaxed
def _missed(row: Floats, away: float) -> tuple[float, float]:
    """How many times the first term's density, and its derivative by -ln(s), the sums lack at ln(s / B) = `away`.

    With v = sqrt(u / years) and z deviations above the boundary, a density is phi(z / v) times what is smooth in v
    squared. So the sums lack of it what the points' own sums of phi(z / v), and of its derivative by -z, lack of the
    integrals over v from 0 to 1: phi(z) - z (1 - Phi(z)), and 1 - Phi(z).
    """
    deviations = row[_SLOPE + TABLE - 1]
    summed = summed_curve = 0.0
    for k in range(TABLE):
        slope = row[_SLOPE + k]
        distance = min(away * slope, TAIL_MAX)
        flat = row[_FLAT + k] * bell(distance * distance)
        summed += flat
        summed_curve += flat * slope * slope
    z = away * deviations
    square = z * z
    # Their power series: seven terms leave 2e-8 at z = _REACH, for less than a bell and a quotient cost.
    even = 1.0 / 240.0 + square * (-1.0 / 2688.0 + square * (1.0 / 34560.0 + square * (-1.0 / 506880.0)))
    even = 1.0 + square * (0.5 + square * (-1.0 / 24.0 + square * even))
    odd = -1.0 / 336.0 + square * (1.0 / 3456.0 + square * (-1.0 / 42240.0 + square * (1.0 / 599040.0)))
    odd = z * (1.0 + square * (-1.0 / 6.0 + square * (1.0 / 40.0 + square * odd)))
    whole, whole_curve = ONE_OVER_SQRT_2PI * even - 0.5 * z, 0.5 - ONE_OVER_SQRT_2PI * odd
    # At v = 0 what is smooth is exp(-turn), for d = away * slope + drift * width. The series of its inverse is large on
    # both sides, where the drift leaves no step.
    turn = row[_DRIFT] * away
    fade = 1.0 + turn * (1.0 + turn * (1.0 / 2.0 + turn * (1.0 / 6.0 + turn * (1.0 / 24.0))))
    share = ONE_OVER_SQRT_2PI / (row[_FLAT] * fade)
    return share * (whole - summed), share * (deviations * whole_curve - away * summed_curve)
