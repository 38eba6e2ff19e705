"""The loops of `implied`: chunks of contracts in one flat scratch, whose fields lie at distances known to the compiler.

In normalised terms, x = -|ln(forward / strike)| and E = exp(x / 2), the out-of-the-money price is

    b(s) = E Phi(x/s + s/2) - Phi(x/s - s/2) / E,      b'(s) = phi(x/s) exp(-s s / 8),

and both terms of it share the one density b': b is a difference of Mills' ratios times b', with no digit lost.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from tradebot.pricing.formula import Floats
from tradebot.pricing.jit import kernel, relaxed
from tradebot.pricing.math64 import ONE_OVER_SQRT_2PI, exp, log, mills_over, mills_under
from tradebot.pricing.signature import Bytes, Given, GivenFlags, Vector
from tradebot.pricing.steps import (
    BOUND,
    CHUNK,
    DIVIDEND,
    DOUBT,
    NOISE,
    OPEN,
    PRICE,
    RATE,
    RELATIVE_ERROR_MAX,
    ROOT,
    SIGN,
    SLOPE,
    SLOPE_MIN,
    SPOT,
    SPOT_NOW,
    START,
    STATE,
    STRIKE,
    STRIKE_NOW,
    TARGET,
    UNANSWERED,
    YEARS,
    S,
    X,
    step,
)

FLAG_OK: Final = 0
_BELOW, _ABOVE, _EXPIRED = 1.0, 2.0, 3.0
STEPS_TOGETHER: Final = 3  # what every contract of a chunk gets as long as one of them has not settled
STEPS_MORE: Final = 60  # for one that has not settled
DEVIATION_MAX: Final = 32.0  # here every price equals its upper bound to the last bit
START_MAX: Final = 20.0  # standard deviations that a warm start may put the strike away from the forward
_EPS: Final = float(np.finfo(np.float64).eps)


@kernel
@relaxed
def solve(  # noqa: PLR0917 - compiled code takes no keywords
    price: Given,
    spot: Given,
    strike: Given,
    years: Given,
    rate: Given,
    dividend: Given,
    start: Given,
    is_call: GivenFlags,
    sigma: Vector,
    flag: Bytes,
    scratch: Vector,
) -> bool:
    """Fills `sigma` and `flag`; false if an input is out of its domain. `start` is NaN where nothing is known.

    `scratch` has room for FIELDS * STRIDE numbers.
    """
    scratch[:] = 1.0
    for first in range(0, sigma.size, CHUNK):
        last = min(first + CHUNK, sigma.size)
        count = last - first
        if count < CHUNK:
            scratch[:] = 1.0  # rows past the end must be as harmless as the others
        _load(scratch, PRICE, price, first, last)
        _load(scratch, SPOT, spot, first, last)
        _load(scratch, STRIKE, strike, first, last)
        _load(scratch, YEARS, years, first, last)
        _load(scratch, RATE, rate, first, last)
        _load(scratch, DIVIDEND, dividend, first, last)
        _load(scratch, START, start, first, last)
        calls, flags = is_call[first:last], flag[first:last]
        for i in range(count):
            scratch[SIGN + i] = 1.0 if calls[i] else -1.0
        if not _valid(scratch):
            return False
        _discount(scratch)
        unknown, unsettled = _normalise(scratch), 1.0
        if unknown > 0.0:
            _guess(scratch)
        for _ in range(STEPS_TOGETHER):
            unsettled = step(scratch, 0, CHUNK)
            if unsettled == 0.0:
                break
        if unsettled > 0.0:
            _persist(scratch)
        _judge(scratch)
        sigmas = sigma[first:last]
        for i in range(count):
            sigmas[i] = scratch[S + i]
            flags[i] = np.int8(scratch[STATE + i])
    return True


@relaxed
def _load(scratch: Floats, field: int, values: Floats, first: int, last: int) -> None:
    """A field's chunk. One value for all contracts is spread once, and again in a short chunk, which has lost it."""
    if values.size == 1:
        if first == 0 or last - first < CHUNK:
            for i in range(last - first):
                scratch[field + i] = values[0]
    else:
        for i in range(last - first):
            scratch[field + i] = values[first + i]


@relaxed
def _valid(scratch: Floats) -> bool:
    wrong = 0.0
    for i in range(CHUNK):
        spot, strike, years = scratch[SPOT + i], scratch[STRIKE + i], scratch[YEARS + i]
        total = spot + strike + years + abs(scratch[PRICE + i]) + abs(scratch[RATE + i]) + abs(scratch[DIVIDEND + i])
        good = (spot > 0.0) & (strike > 0.0) & (years >= 0.0) & (total < math.inf)
        wrong += 0.0 if good else 1.0
    return wrong == 0.0


@relaxed
def _discount(scratch: Floats) -> None:
    """Apart from `_normalise` for the reason that a step has four loops."""
    for i in range(CHUNK):
        years = scratch[YEARS + i]
        scratch[SPOT_NOW + i] = scratch[SPOT + i] * exp(-scratch[DIVIDEND + i] * years)
        scratch[STRIKE_NOW + i] = scratch[STRIKE + i] * exp(-scratch[RATE + i] * years)


@relaxed
def _normalise(scratch: Floats) -> float:
    """The scaled price of the out-of-the-money twin; returns how many rows come without a guess."""
    unknown = 0.0
    for i in range(CHUNK):
        price, years, sign = scratch[PRICE + i], scratch[YEARS + i], scratch[SIGN + i]
        spot, strike = scratch[SPOT_NOW + i], scratch[STRIKE_NOW + i]
        intrinsic = sign * (spot - strike)
        rounding = 4.0 * _EPS * (spot + strike) if intrinsic > 0.0 else 0.0
        value = price - (max(0.0, intrinsic))
        least = min(strike, spot)
        most = max(strike, spot)
        state = _BELOW if value <= rounding else UNANSWERED
        state = _ABOVE if price >= (spot if sign > 0.0 else strike) else state
        state = _EXPIRED if years <= 0.0 else state
        # Rows without an answer go through the same steps with a harmless target.
        value = value if state == UNANSWERED else 0.5 * least
        x = log(least / most)
        bound = math.sqrt(least / most)
        scale = bound / least
        root = math.sqrt(years)
        known = scratch[START + i] * root
        near = (known < DEVIATION_MAX) & (-x < START_MAX * known)  # where a price says nothing, it cannot be mended
        known = known if near else 0.0
        unknown += 0.0 if known > 0.0 else 1.0
        scratch[S + i] = known
        scratch[X + i] = x
        scratch[BOUND + i] = bound
        scratch[TARGET + i] = value * scale
        scratch[STATE + i] = state
        scratch[NOISE + i] = rounding * scale
        scratch[ROOT + i] = root
    return unknown


@relaxed
def _guess(scratch: Floats) -> None:
    """For those of which nothing is known."""
    for i in range(CHUNK):
        x, bound, value = scratch[X + i], scratch[BOUND + i], scratch[TARGET + i]
        # At the inflection point d1 = 0: E Phi(0) less a Mills' ratio times the same density.
        turn = math.sqrt(-2.0 * x)
        inflection = bound * (0.5 - ONE_OVER_SQRT_2PI * mills_over(turn, turn * turn) / mills_under(turn, turn * turn))
        # Below: far down ln b is about -x x / (2 s s), hung up at the inflection point; near it, the tangent there.
        part = value / inflection if value < inflection else 1.0
        far = -x / math.sqrt(-2.0 * log(part) - 0.5 * x + 1e-300)
        near = turn - inflection * (1.0 - part) / (ONE_OVER_SQRT_2PI * bound)
        low = far + (near - far if near > far else 0.0) * math.sqrt(math.sqrt(part))
        # Above: the normal quantile (Abramowitz and Stegun 26.2.23) of what is left to the bound.
        lack = bound - inflection
        ratio = (bound - value) / lack if value > inflection else 1.0
        t = math.sqrt(-2.0 * log(0.5 * ratio))
        z = t - (2.515517 + t * (0.802853 + t * 0.010328)) / (1.0 + t * (1.432788 + t * (0.189269 + t * 0.001308)))
        high = turn + 2.0 * lack / bound * (max(1e-08, z))
        guess = high if value > inflection else low
        scratch[S + i] = scratch[S + i] if scratch[S + i] > 0.0 else guess


@relaxed
def _persist(scratch: Floats) -> None:
    """Those that have not settled start once more, from a guess of our own, and go on one by one."""
    for i in range(CHUNK):
        scratch[S + i] = scratch[S + i] if scratch[OPEN + i] == 0.0 else 0.0
    _guess(scratch)
    for i in range(CHUNK):
        for _ in range(STEPS_MORE):
            if scratch[OPEN + i] == 0.0 or scratch[STATE + i] != UNANSWERED:
                break
            step(scratch, i, i + 1)


@relaxed
def _judge(scratch: Floats) -> None:
    """An answer counts if it has settled, and if the rounding of the price's two terms does not decide it."""
    for i in range(CHUNK):
        s, slope = scratch[S + i], scratch[SLOPE + i]
        determined = (scratch[DOUBT + i] <= RELATIVE_ERROR_MAX * slope * s) & (slope > SLOPE_MIN) & (s < DEVIATION_MAX)
        settled = (scratch[OPEN + i] == 0.0) & determined
        answered = settled & (scratch[STATE + i] == UNANSWERED)
        scratch[STATE + i] = 0.0 if answered else scratch[STATE + i]
        scratch[S + i] = s / scratch[ROOT + i] if answered else math.nan
