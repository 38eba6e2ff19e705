"""The formula of Black, Scholes and Merton as loops that become vector code as wide as the CPU has it.

`parts` has neither branch nor call: that is the whole secret. `price_slice` and `total_slice` run it over options of
one underlying and expiry that lie side by side, whose shared terms (`Shared`) are computed once for all of them;
`european.price_each` runs it over options that share nothing. Conventions are those of `domain.greeks`.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tradebot.pricing.jit import apart, inlined
from tradebot.pricing.math64 import (
    ONE_OVER_SQRT_2PI,
    TAIL_MAX,
    accumulated,
    aligned_stack,
    bell,
    bits,
    fma,
    from_bits,
    mills_over,
    mills_under,
    product,
)

Floats = NDArray[np.float64]

DAYS_PER_YEAR: Final = 365.0
SIGN_BIT: Final = -0x8000000000000000

# The rows of a slice's inputs. A put's strike is negative: its sign bit turns a call into a put.
LN_STRIKE: Final = 0  # less the logarithm of whatever `Shared.ln_forward` is relative to
STRIKE: Final = 1
DEVIATION: Final = 2  # sigma * sqrt(years)
INVERSE: Final = 3  # 1 / deviation: a tick of the spot divides by nothing but the spot
SHARES: Final = 4

FIGURES: Final = 6

BLOCK: Final = 256  # columns, of which all rows together fit the first-level cache


class Shared(NamedTuple):
    """What all options of one underlying and expiry have in common."""

    spot: float
    ln_forward: float
    spot_discounted: float
    strike_discount: float
    years: float
    rate: float
    dividend: float


class Sums(NamedTuple):
    """Figures times shares, summed; `figure_totals` makes the six totals of them."""

    spot_part: float
    strike_part: float
    density: float
    density_inverse: float
    density_deviation: float


@inlined
def parts(  # noqa: PLR0917 - kernels are called by position
    moneyness: float, deviation: float, inverse: float, strike: float, spot_discounted: float, strike_discount: float
) -> tuple[float, float, float]:
    """The two halves of the price, and spot_discounted * density(d1)."""
    d1 = fma(moneyness, inverse, 0.5 * deviation)
    density = density_at(d1, spot_discounted)
    spot_tail, strike_tail = tails(d1, deviation, density)
    spot_part, strike_part = halves(d1, deviation, strike, spot_tail, strike_tail, spot_discounted, strike_discount)
    return spot_part, strike_part, density


@inlined
def distance(d: float) -> float:
    size = math.fabs(d)
    return min(TAIL_MAX, size)


@inlined
def density_at(d1: float, spot_discounted: float) -> float:
    x1 = distance(d1)
    return spot_discounted * ONE_OVER_SQRT_2PI * bell(x1 * x1)


@inlined
def tails(d1: float, deviation: float, density: float) -> tuple[float, float]:
    """What the spot and the strike contribute on their short sides, where the normal CDF is below a half.

    Each of the two CDFs is density times Mills' ratio. One exponential serves both, because
    spot_discounted * density(d1) == strike_discounted * density(d2), and so does one division.
    """
    x1 = distance(d1)
    x2 = distance(d1 - deviation)
    square1 = x1 * x1
    square2 = x2 * x2
    under1 = mills_under(x1, square1)
    under2 = mills_under(x2, square2)
    ratio = density / (under1 * under2)
    return ratio * (mills_over(x1, square1) * under2), ratio * (mills_over(x2, square2) * under1)


@inlined
def halves(  # noqa: PLR0917 - kernels are called by position
    d1: float,
    deviation: float,
    strike: float,
    spot_tail: float,
    strike_tail: float,
    spot_discounted: float,
    strike_discount: float,
) -> tuple[float, float]:
    """The price's two halves from their tails: on the long side all but the tail, and negative for a put."""
    d2 = d1 - deviation
    put = bits(strike) & SIGN_BIT
    strike_discounted = math.fabs(strike) * strike_discount
    spot_half = spot_discounted - spot_tail if bits(d1) ^ put >= 0 else spot_tail
    strike_half = strike_discounted - strike_tail if bits(d2) ^ put >= 0 else strike_tail
    return from_bits(bits(spot_half) ^ put), from_bits(bits(strike_half) ^ put)


@inlined
def decay_rates(years: float, rate: float, dividend: float) -> tuple[float, float, float]:
    """What density * deviation, the spot's and the strike's part each contribute to theta."""
    return -0.5 / (years * DAYS_PER_YEAR), dividend / DAYS_PER_YEAR, -rate / DAYS_PER_YEAR


@inlined
def price_slice(inputs: Floats, outputs: Floats, start: int, stop: int, shared: Shared) -> Sums:
    """Price columns start to stop, which share underlying and expiry, with years > 0 and every deviation > 0.

    In three passes over BLOCK columns, for in one the CPU waits: an option's operations hang on one another, and it
    sees no further ahead than two vectors of options. The rows that hold the figures in the end hold what one pass
    leaves for the next, in the nearest cache.
    """
    aligned_stack()
    spot_sum = strike_sum = density_sum = inverse_sum = deviation_sum = 0.0
    for first in range(start, stop, BLOCK):
        last = min(stop, first + BLOCK)
        deviation, inverse = inputs[DEVIATION, first:last], inputs[INVERSE, first:last]
        strike, shares = inputs[STRIKE, first:last], inputs[SHARES, first:last]
        price, delta, gamma = outputs[0, first:last], outputs[1, first:last], outputs[2, first:last]
        theta, vega, rho = outputs[3, first:last], outputs[4, first:last], outputs[5, first:last]
        _densities(inputs[LN_STRIKE, first:last], deviation, inverse, shared, gamma, vega)
        _tails(deviation, gamma, vega, delta, rho)
        sums = _figures(strike, deviation, inverse, shares, shared, price, delta, gamma, theta, vega, rho)
        spot_sum += sums.spot_part
        strike_sum += sums.strike_part
        density_sum += sums.density
        inverse_sum += sums.density_inverse
        deviation_sum += sums.density_deviation
    return Sums(spot_sum, strike_sum, density_sum, inverse_sum, deviation_sum)


@apart
def _densities(  # noqa: PLR0917 - kernels are called by position
    ln_strike: Floats, deviation: Floats, inverse: Floats, shared: Shared, d1: Floats, density: Floats
) -> None:
    for i in range(len(d1)):
        d1[i] = fma(shared.ln_forward - ln_strike[i], inverse[i], 0.5 * deviation[i])
        density[i] = density_at(d1[i], shared.spot_discounted)


@apart
def _tails(deviation: Floats, d1: Floats, density: Floats, spot_tail: Floats, strike_tail: Floats) -> None:
    for i in range(len(d1)):
        spot_tail[i], strike_tail[i] = tails(d1[i], deviation[i], density[i])


@apart
def _figures(  # noqa: PLR0917 - kernels are called by position
    strike: Floats,
    deviation: Floats,
    inverse: Floats,
    shares: Floats,
    shared: Shared,
    price: Floats,
    delta: Floats,
    gamma: Floats,
    theta: Floats,
    vega: Floats,
    rho: Floats,
) -> Sums:
    """What the passes before left in `gamma` (d1), `vega` (density), `delta` and `rho` (tails) becomes the figures."""
    years = shared.years
    sqrt_years = math.sqrt(years)
    per_spot = 1.0 / shared.spot
    per_square = per_spot * per_spot
    decay, spot_carry, strike_carry = decay_rates(years, shared.rate, shared.dividend)
    sum_spot = sum_strike = sum_density = sum_inverse = sum_deviation = 0.0
    for i in range(len(price)):
        density = vega[i]
        spot_part, strike_part = halves(
            gamma[i], deviation[i], strike[i], delta[i], rho[i], shared.spot_discounted, shared.strike_discount
        )
        value = spot_part - strike_part
        by_inverse = density * inverse[i]
        by_deviation = density * deviation[i]
        price[i] = max(0.0, value)
        delta[i] = spot_part * per_spot
        gamma[i] = by_inverse * per_square
        theta[i] = fma(by_deviation, decay, fma(spot_part, spot_carry, strike_part * strike_carry))
        vega[i] = density * sqrt_years
        rho[i] = strike_part * years
        held = shares[i]
        sum_spot = accumulated(sum_spot, product(held, spot_part))
        sum_strike = accumulated(sum_strike, product(held, strike_part))
        sum_density = accumulated(sum_density, product(held, density))
        sum_inverse = accumulated(sum_inverse, product(held, by_inverse))
        sum_deviation = accumulated(sum_deviation, product(held, by_deviation))
    return Sums(sum_spot, sum_strike, sum_density, sum_inverse, sum_deviation)


@inlined
def total_slice(inputs: Floats, start: int, stop: int, shared: Shared) -> Sums:
    """`price_slice` without the figures of each option: what remains is nearly all arithmetic.

    It divides where the other reads INVERSE: of a book beyond the caches, memory is the slower of the two.
    """
    aligned_stack()
    ln_strike, strike = inputs[LN_STRIKE, start:stop], inputs[STRIKE, start:stop]
    deviation, shares = inputs[DEVIATION, start:stop], inputs[SHARES, start:stop]
    sum_spot = sum_strike = sum_density = sum_inverse = sum_deviation = 0.0
    for i in range(len(shares)):
        inverse = 1.0 / deviation[i]
        spot_part, strike_part, density = parts(
            shared.ln_forward - ln_strike[i],
            deviation[i],
            inverse,
            strike[i],
            shared.spot_discounted,
            shared.strike_discount,
        )
        held = shares[i]
        by_shares = density * held
        sum_spot = accumulated(sum_spot, product(held, spot_part))
        sum_strike = accumulated(sum_strike, product(held, strike_part))
        sum_density = accumulated(sum_density, by_shares)
        sum_inverse = accumulated(sum_inverse, product(by_shares, inverse))
        sum_deviation = accumulated(sum_deviation, product(by_shares, deviation[i]))
    return Sums(sum_spot, sum_strike, sum_density, sum_inverse, sum_deviation)


@inlined
def figure_totals(sums: Sums, shared: Shared) -> tuple[float, float, float, float, float, float]:
    decay, spot_carry, strike_carry = decay_rates(shared.years, shared.rate, shared.dividend)
    return (
        sums.spot_part - sums.strike_part,
        sums.spot_part / shared.spot,
        sums.density_inverse / (shared.spot * shared.spot),
        fma(sums.density_deviation, decay, fma(sums.spot_part, spot_carry, sums.strike_part * strike_carry)),
        sums.density * math.sqrt(shared.years),
        sums.strike_part * shared.years,
    )
