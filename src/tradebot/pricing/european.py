"""Black-Scholes-Merton for arrays of European options: price and Greeks of one unit of each.

Conventions are those of `domain.greeks`: theta is per calendar day (a 365th of the derivative by the year), vega per
1.00 of volatility, rho per 1.00 of the rate. `rate` and `dividend` are continuously compounded and may be negative.

`price_and_greeks` takes inputs that broadcast against one another like any numpy operands, checks them, and prices
what may differ in everything; a book goes through `slices`. The formula is the same, `formula.parts`.

Where no randomness is left, because time or volatility is zero, an option is worth its discounted intrinsic value
and has that value's Greeks: delta is all or nothing (half exactly at the money, the limit from before), gamma and
vega are 0. At expiry theta is 0 too: what is over does not decay.

Errors against 40 digits, out to 6 standard deviations, a day to 3 years, volatility 2 % to 300 %: 1e-15 of the larger
of spot and strike in price; 1e-13 in Greeks, each in its natural scale.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from tradebot.domain.errors import PricingError
from tradebot.pricing.formula import DAYS_PER_YEAR, FIGURES, Floats, decay_rates, parts
from tradebot.pricing.jit import kernel
from tradebot.pricing.math64 import aligned_stack, exp, fma, log
from tradebot.pricing.signature import Table

DEVIATION_MIN: Final = 1e-300  # below, the reciprocal overflows: no randomness is left


class GreekArrays(NamedTuple):
    """One array a figure, in the order of `domain.greeks.UnitGreeks`."""

    price: Floats
    delta: Floats
    gamma: Floats
    theta: Floats
    vega: Floats
    rho: Floats


@kernel
def price_each(inputs: Table, outputs: Table) -> None:
    """Rows of inputs: spot, strike (negative for a put), years, sigma, rate, dividend. Columns share nothing."""
    aligned_stack()
    spots, strikes, terms = inputs[0], inputs[1], inputs[2]
    sigmas, rates, dividends = inputs[3], inputs[4], inputs[5]
    price, delta, gamma, theta, vega, rho = outputs[0], outputs[1], outputs[2], outputs[3], outputs[4], outputs[5]
    for i in range(len(spots)):
        spot, years, rate, dividend = spots[i], terms[i], rates[i], dividends[i]
        sqrt_years = math.sqrt(years)
        deviation = sigmas[i] * sqrt_years
        inverse = 1.0 / deviation
        moneyness = (rate - dividend) * years - log(math.fabs(strikes[i]) / spot)
        spot_part, strike_part, density = parts(
            moneyness, deviation, inverse, strikes[i], spot * exp(-dividend * years), exp(-rate * years)
        )
        per_spot = 1.0 / spot
        decay, spot_carry, strike_carry = decay_rates(years, rate, dividend)
        value = spot_part - strike_part
        price[i] = max(0.0, value)
        delta[i] = spot_part * per_spot
        gamma[i] = density * inverse * (per_spot * per_spot)
        theta[i] = fma(density * deviation, decay, fma(spot_part, spot_carry, strike_part * strike_carry))
        vega[i] = density * sqrt_years
        rho[i] = strike_part * years


def price_and_greeks(  # noqa: PLR0917 - the order in which every textbook writes them
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    sigma: ArrayLike,
    rate: ArrayLike,
    dividend: ArrayLike,
    is_call: ArrayLike,
) -> GreekArrays:
    fields = (
        checked("spot", spot, above=0.0),
        np.where(is_call, 1.0, -1.0) * checked("strike", strike, above=0.0),
        checked("years", years, least=0.0),
        checked("sigma", sigma, least=0.0),
        checked("rate", rate),
        checked("dividend", dividend),
    )
    shape = np.broadcast_shapes(*(field.shape for field in fields))
    inputs = np.empty((len(fields), *shape))
    for row, field in enumerate(fields):
        inputs[row] = field
    inputs = inputs.reshape(len(fields), -1)
    outputs = np.empty((FIGURES, inputs.shape[1]))
    price_each(inputs, outputs)
    certain = inputs[3] * np.sqrt(inputs[2]) <= DEVIATION_MIN
    if certain.any():
        outputs[:, certain] = _intrinsic(*inputs[:, certain])
    result = GreekArrays(*outputs.reshape(FIGURES, *shape))
    if not np.isfinite(outputs).all():
        name = GreekArrays._fields[int(np.argmin(np.isfinite(outputs).all(axis=1)))]
        raise PricingError(f"{name} is not finite", remedy="Check the size of spot, strike, rate and sigma")
    return result


def _intrinsic(  # noqa: PLR0917 - a column of `price_each`
    spot: Floats, strike: Floats, years: Floats, sigma: Floats, rate: Floats, dividend: Floats
) -> Floats:
    """Without randomness the forward's side of the strike is known: all, half or nothing of each part."""
    del sigma
    sign = np.copysign(1.0, strike)
    with np.errstate(all="ignore"):  # what overflows is found, and named, by the caller
        moneyness = np.log(spot / np.abs(strike)) + (rate - dividend) * years
        weight = np.where(moneyness == 0.0, 0.5, (sign * moneyness > 0.0).astype(np.float64))
        spot_part = sign * weight * spot * np.exp(-dividend * years)
        strike_part = weight * strike * np.exp(-rate * years)
        theta = np.where(years > 0.0, dividend * spot_part - rate * strike_part, 0.0) / DAYS_PER_YEAR
        nothing = np.zeros_like(spot)
        price = np.maximum(spot_part - strike_part, 0.0)
        return np.stack([price, spot_part / spot, nothing, theta, nothing, years * strike_part])


def checked(name: str, values: ArrayLike, *, least: float = -np.inf, above: float = -np.inf) -> Floats:
    """The field as float64, or the error that names it: one NaN let in here would spread to every total."""
    array = np.asarray(values, dtype=np.float64)
    bad = ~(np.isfinite(array) & (array >= least) & (array > above))
    if bad.any():
        bounds = f" above {above:g}" if above > -np.inf else f" of at least {least:g}" if least > -np.inf else ""
        raise PricingError(f"{name} must be a finite number{bounds}, not {array[bad].flat[0]!s}")
    return array
