"""From a price back to the volatility that explains it: vectorised, and never a silent number.

price -> the out-of-the-money twin's price (put-call parity takes the intrinsic value off, where all precision would
drown) -> the total deviation s = sigma * sqrt(years) by Householder's method of the eighth order on the logarithm of
the price, or of what the price lacks to its bound, whichever is the smaller -> sigma, or NaN with a flag that says why
there is none.

Cold, the first guess joins the two ends at the inflection point of the price, s = sqrt(2 |ln(forward / strike)|);
warm, it is the volatility of a moment ago. Every contract gets the same few steps, so that the loops have no branch;
the few that have not settled by then go on one by one.

A price may also fail to *determine* a volatility: deep in the money or far out, every volatility in a wide range
gives the same float64 price. Such an answer would be noise; it is NOT_CONVERGED.
"""

from __future__ import annotations

import enum
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tradebot.pricing.european import checked
from tradebot.pricing.formula import Floats
from tradebot.pricing.householder import FLAG_OK, solve
from tradebot.pricing.steps import FIELDS, STRIDE

Number = TypeVar("Number", np.float64, np.bool_)


class Flag(enum.IntEnum):
    OK = FLAG_OK
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
    *,
    warm: ArrayLike | None = None,
) -> ImpliedVolatility:
    """`warm` holds volatilities near the answers, or NaN where none is known."""
    named = {"price": price, "spot": spot, "strike": strike, "years": years, "rate": rate, "dividend": dividend}
    values = [np.asarray(value, dtype=np.float64) for value in named.values()]
    call = np.asarray(is_call, dtype=np.bool_)
    start = np.asarray(np.nan if warm is None else warm, dtype=np.float64)
    shape = np.broadcast_shapes(*(value.shape for value in values), call.shape, start.shape)
    p, s, k, t, r, q, near = (_flat(value, value.shape if value.size == 1 else shape) for value in (*values, start))
    calls = _flat(call, shape)
    sigma = np.empty(calls.size)
    flag = np.empty(calls.size, dtype=np.int8)
    scratch = np.empty(FIELDS * STRIDE)
    if not solve(p, s, k, t, r, q, near, calls, sigma, flag, scratch):
        for name, value in zip(named, values, strict=True):
            checked(
                name,
                value,
                least=0.0 if name == "years" else -np.inf,
                above=0.0 if name in {"spot", "strike"} else -np.inf,
            )
    return ImpliedVolatility(sigma=sigma.reshape(shape), flag=flag.reshape(shape))


def _flat(values: NDArray[Number], shape: tuple[int, ...]) -> NDArray[Number]:
    """Read-only whatever came in, as a broadcast is: to the compiler an array that may be written is another type."""
    flat = np.ascontiguousarray(np.broadcast_to(values, shape)).reshape(-1)
    flat.flags.writeable = False
    return flat
