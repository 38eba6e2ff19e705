"""Black-Scholes-Merton for arrays of European options: price and Greeks of one unit of each.

Inputs broadcast against one another like any numpy operands. Conventions are those of `domain.greeks`: theta is per
calendar day (a 365th of the derivative by the year), vega per 1.00 of volatility, rho per 1.00 of the rate. `rate`
and `dividend` are continuously compounded and may be negative.

Where no randomness is left, because time or volatility is zero, an option is worth its discounted intrinsic value
and has that value's Greeks: delta is all or nothing (half exactly at the money, the limit from before), gamma and
vega are 0. At expiry theta is 0 too: what is over does not decay.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from tradebot.domain.errors import PricingError

Floats = NDArray[np.float64]

DAYS_PER_YEAR: Final = 365.0
_ONE_OVER_SQRT_2PI: Final = 0.3989422804014327


class GreekArrays(NamedTuple):
    """One array a figure, in the order of `domain.greeks.UnitGreeks`."""

    price: Floats
    delta: Floats
    gamma: Floats
    theta: Floats
    vega: Floats
    rho: Floats


def price_and_greeks(  # noqa: PLR0917 - the order in which every textbook writes them
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    sigma: ArrayLike,
    rate: ArrayLike,
    dividend: ArrayLike,
    is_call: ArrayLike,
) -> GreekArrays:
    s, k, t, v, r, q, sign = np.broadcast_arrays(
        checked("spot", spot, above=0.0),
        checked("strike", strike, above=0.0),
        checked("years", years, least=0.0),
        checked("sigma", sigma, least=0.0),
        checked("rate", rate),
        checked("dividend", dividend),
        np.where(is_call, 1.0, -1.0),
    )
    with np.errstate(all="ignore"):  # what overflows is found below, and named
        spot_discounted = s * np.exp(-q * t)
        strike_discounted = k * np.exp(-r * t)
        sqrt_t = np.sqrt(t)
        deviation = v * sqrt_t
        random = deviation > 0.0
        safe = np.where(random, deviation, 1.0)
        moneyness = np.log(s / k) + (r - q) * t
        # Without randomness d1 and d2 meet at the end they were heading for.
        certain = np.where(moneyness == 0.0, 0.0, np.copysign(np.inf, moneyness))
        d1 = np.where(random, moneyness / safe + 0.5 * safe, certain)
        d2 = np.where(random, d1 - safe, certain)
        density = np.where(random, _ONE_OVER_SQRT_2PI * np.exp(-0.5 * d1 * d1), 0.0)

        spot_part = sign * spot_discounted * ndtr(sign * d1)
        strike_part = sign * strike_discounted * ndtr(sign * d2)
        decay = -spot_discounted * density * v / (2.0 * np.where(random, sqrt_t, 1.0))
        carry = q * spot_part - r * strike_part
        result = GreekArrays(
            price=np.maximum(spot_part - strike_part, 0.0),
            delta=spot_part / s,
            gamma=spot_discounted * density / (s * s * safe),
            theta=np.where(t > 0.0, decay + carry, 0.0) / DAYS_PER_YEAR,
            vega=spot_discounted * density * sqrt_t,
            rho=t * strike_part,
        )
    for name, values in zip(GreekArrays._fields, result, strict=True):
        if not np.isfinite(values).all():
            raise PricingError(f"{name} is not finite", remedy="Check the size of spot, strike, rate and sigma")
    return result


def checked(name: str, values: ArrayLike, *, least: float = -np.inf, above: float = -np.inf) -> Floats:
    """The field as float64, or the error that names it: one NaN let in here would spread to every total."""
    array = np.asarray(values, dtype=np.float64)
    bad = ~(np.isfinite(array) & (array >= least) & (array > above))
    if bad.any():
        bounds = f" above {above:g}" if above > -np.inf else f" of at least {least:g}" if least > -np.inf else ""
        raise PricingError(f"{name} must be a finite number{bounds}, not {array[bad].flat[0]!s}")
    return array
