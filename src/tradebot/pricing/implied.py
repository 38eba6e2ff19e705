"""From a price back to the volatility that explains it: vectorised, and never a silent number.

price -> the out-of-the-money twin's price (put-call parity takes the intrinsic value off, where all precision would
drown) -> the total deviation sigma * sqrt(years) by Newton's method on the logarithm of the price, kept inside a
bracket that halves whenever Newton would leave it -> sigma, or NaN with a flag that says why there is none.

A price may also fail to *determine* a volatility: deep in the money or far out, every volatility in a wide range
gives the same float64 price. Such an answer would be noise; it is NOT_CONVERGED.
"""

from __future__ import annotations

import enum
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from tradebot.pricing.european import checked
from tradebot.pricing.formula import Floats

STEPS_MAX: Final = 100  # Newton needs about 6, halving alone 55; what has not settled by then is flagged
DEVIATION_MAX: Final = 32.0  # here every price equals its upper bound to the last bit
RELATIVE_ERROR_MAX: Final = 1e-6  # of sigma, from the rounding of the price alone
_EPS: Final = float(np.finfo(np.float64).eps)
_ONE_OVER_SQRT_2PI: Final = 0.3989422804014327


class Flag(enum.IntEnum):
    OK = 0
    BELOW_INTRINSIC = 1  # at or below what immediate certainty is worth: no volatility is that low
    ABOVE_BOUND = 2  # at or above the discounted spot (call) or strike (put): no volatility is that high
    EXPIRED = 3
    NOT_CONVERGED = 4


class ImpliedVolatility(NamedTuple):
    sigma: Floats  # NaN wherever the flag is not OK
    flag: NDArray[np.int8]  # values of `Flag`


def implied_volatility(  # noqa: PLR0917 - the order in which every textbook writes them
    price: ArrayLike,
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    dividend: ArrayLike,
    is_call: ArrayLike,
) -> ImpliedVolatility:
    p, s, k, t, r, q, call = np.broadcast_arrays(
        checked("price", price),
        checked("spot", spot, above=0.0),
        checked("strike", strike, above=0.0),
        checked("years", years, least=0.0),
        checked("rate", rate),
        checked("dividend", dividend),
        np.asarray(is_call, dtype=np.bool_),
    )
    with np.errstate(over="ignore"):  # an infinite bound leaves its row NOT_CONVERGED
        spot_discounted = s * np.exp(-q * t)
        strike_discounted = k * np.exp(-r * t)
    intrinsic = np.where(call, 1.0, -1.0) * (spot_discounted - strike_discounted)
    in_the_money = intrinsic > 0.0
    rounding = np.where(in_the_money, 4.0 * _EPS * (spot_discounted + strike_discounted), 0.0)
    time_value = p - np.maximum(intrinsic, 0.0)

    flag = np.full(p.shape, Flag.NOT_CONVERGED, dtype=np.int8)
    flag[time_value <= rounding] = Flag.BELOW_INTRINSIC
    flag[p >= np.where(call, spot_discounted, strike_discounted)] = Flag.ABOVE_BOUND
    flag[t <= 0.0] = Flag.EXPIRED
    open_ = flag == Flag.NOT_CONVERGED

    sigma = np.full(p.shape, np.nan)
    with np.errstate(all="ignore"):  # rows that go wrong stay NaN and NOT_CONVERGED
        deviation = _solve(
            time_value[open_],
            spot_discounted[open_],
            strike_discounted[open_],
            np.where(call ^ in_the_money, 1.0, -1.0)[open_],
            rounding[open_],
        )
        sigma[open_] = deviation / np.sqrt(t[open_])
    flag[open_ & np.isfinite(sigma)] = Flag.OK
    return ImpliedVolatility(sigma=sigma, flag=flag)


def _solve(target: Floats, spot: Floats, strike: Floats, sign: Floats, rounding: Floats) -> Floats:
    """Total deviations that give the out-of-the-money prices `target`; NaN where none is determined."""
    moneyness = np.log(spot / strike)
    low = np.zeros_like(target)
    high = np.full_like(target, DEVIATION_MAX)
    # The inflection point: from here Newton on the price cannot overshoot; at the money any start will do.
    x = np.clip(np.sqrt(2.0 * np.abs(moneyness)), 0.05, 8.0)
    for _ in range(STEPS_MAX):
        value, vega, _ = _value(x, moneyness, spot, strike, sign)
        above = value > target
        high = np.where(above, x, high)
        low = np.where(above, low, x)
        newton = x - np.log(value / target) * value / vega
        inside = (newton > low) & (newton < high)
        following = np.where(inside, newton, 0.5 * (low + high))
        moved = np.abs(following - x)
        x = following
        if (moved <= 4.0 * _EPS * x).all():
            break
    value, vega, noise = _value(x, moneyness, spot, strike, sign)
    uncertainty = np.maximum(noise, rounding) / (vega * x)
    settled = np.abs(value - target) <= np.maximum(1e-9 * target, 4.0 * np.maximum(noise, rounding))
    return np.where(settled & (uncertainty <= RELATIVE_ERROR_MAX), x, np.nan)


def _value(x: Floats, moneyness: Floats, spot: Floats, strike: Floats, sign: Floats) -> tuple[Floats, Floats, Floats]:
    """Price at total deviation x, its derivative by x, and the rounding that both terms' difference carries."""
    d1 = moneyness / x + 0.5 * x
    spot_part = spot * ndtr(sign * d1)
    strike_part = strike * ndtr(sign * (d1 - x))
    vega = spot * _ONE_OVER_SQRT_2PI * np.exp(-0.5 * d1 * d1)
    return sign * (spot_part - strike_part), vega, _EPS * (spot_part + strike_part)
