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

from tradebot.pricing.jit import inlined
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
    """The two halves of the price, and spot_discounted * density(d1).

    Each normal CDF is density times Mills' ratio on its short side. One exponential serves both, because
    spot_discounted * density(d1) == strike_discounted * density(d2).
    """
    d1 = fma(moneyness, inverse, 0.5 * deviation)
    d2 = d1 - deviation
    x1 = math.fabs(d1)
    x1 = min(TAIL_MAX, x1)
    x2 = math.fabs(d2)
    x2 = min(TAIL_MAX, x2)
    square1 = x1 * x1
    square2 = x2 * x2
    under1 = mills_under(x1, square1)
    under2 = mills_under(x2, square2)
    density = spot_discounted * ONE_OVER_SQRT_2PI * bell(square1)
    ratio = density / (under1 * under2)
    spot_tail = ratio * (mills_over(x1, square1) * under2)
    strike_tail = ratio * (mills_over(x2, square2) * under1)
    put = bits(strike) & SIGN_BIT
    strike_discounted = math.fabs(strike) * strike_discount
    spot_half = spot_discounted - spot_tail if bits(d1) ^ put >= 0 else spot_tail
    strike_half = strike_discounted - strike_tail if bits(d2) ^ put >= 0 else strike_tail
    return from_bits(bits(spot_half) ^ put), from_bits(bits(strike_half) ^ put), density


@inlined
def decay_rates(years: float, rate: float, dividend: float) -> tuple[float, float, float]:
    """What density * deviation, the spot's and the strike's part each contribute to theta."""
    return -0.5 / (years * DAYS_PER_YEAR), dividend / DAYS_PER_YEAR, -rate / DAYS_PER_YEAR


@inlined
def price_slice(inputs: Floats, outputs: Floats, start: int, stop: int, shared: Shared) -> Sums:
    """Price columns start to stop, which share underlying and expiry, with years > 0 and every deviation > 0."""
    aligned_stack()
    # Slices first: LLVM gives up on vectors when the loop itself runs from start to stop.
    ln_strike, strike = inputs[LN_STRIKE, start:stop], inputs[STRIKE, start:stop]
    deviation, inverse = inputs[DEVIATION, start:stop], inputs[INVERSE, start:stop]
    shares = inputs[SHARES, start:stop]
    price, delta, gamma = outputs[0, start:stop], outputs[1, start:stop], outputs[2, start:stop]
    theta, vega, rho = outputs[3, start:stop], outputs[4, start:stop], outputs[5, start:stop]
    years = shared.years
    sqrt_years = math.sqrt(years)
    per_spot = 1.0 / shared.spot
    per_square = per_spot * per_spot
    decay, spot_carry, strike_carry = decay_rates(years, shared.rate, shared.dividend)
    sum_spot = sum_strike = sum_density = sum_inverse = sum_deviation = 0.0
    for i in range(len(price)):
        spot_part, strike_part, density = parts(
            shared.ln_forward - ln_strike[i],
            deviation[i],
            inverse[i],
            strike[i],
            shared.spot_discounted,
            shared.strike_discount,
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
