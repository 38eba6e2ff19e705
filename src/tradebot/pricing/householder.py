"""The loops of `implied`: chunks of contracts in one flat scratch, whose fields lie at distances known to the compiler.

In normalised terms, x = -|ln(forward / strike)| and E = exp(x / 2), the out-of-the-money price is

    b(s) = E Phi(x/s + s/2) - Phi(x/s - s/2) / E,      b'(s) = phi(x/s) exp(-s s / 8),

and both terms of it share the one density b': b is a difference of Mills' ratios times b', with no digit lost.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tradebot.pricing.formula import Floats
from tradebot.pricing.math64 import ONE_OVER_SQRT_2PI, TAIL_MAX, bell, exp, log, mills_over, mills_under
from tradebot.pricing.relaxed import relaxed

FLAG_OK: Final = 0
_BELOW, _ABOVE, _EXPIRED, _NOT_CONVERGED = 1.0, 2.0, 3.0, 4.0
STEPS_TOGETHER: Final = 3  # what every contract of a chunk gets as long as one of them has not settled
STEPS_MORE: Final = 60  # for one that has not settled
RELATIVE_ERROR_MAX: Final = 1e-6  # of sigma, from the rounding of the price alone
DEVIATION_MAX: Final = 32.0  # here every price equals its upper bound to the last bit
START_MAX: Final = 20.0  # standard deviations that a warm start may put the strike away from the forward
_SETTLED: Final = 1e-4  # the last step, relative: what it leaves is its fourth power, and a constant
_SLOPE_MIN: Final = 1e-290  # below, the price is near float64's own end
_EPS: Final = float(np.finfo(np.float64).eps)

_CHUNK: Final = 128
_STRIDE: Final = _CHUNK + 8  # fields a power of two apart would wait for one another's stores
_FIELDS: Final = 13
_PRICE, _SPOT, _STRIKE, _YEARS, _RATE, _DIVIDEND, _START, _SIGN, _S, _X, _BOUND, _TARGET, _STATE = (
    _STRIDE * i for i in range(_FIELDS)
)
# These take the places of inputs that have been read.
_MOVED, _UPPER, _NOISE, _ROOT, _SLOPE, _WEIGHT, _INVERSE = (_PRICE, _SPOT, _STRIKE, _YEARS, _START, _DIVIDEND, _RATE)


@relaxed
def solve(  # noqa: PLR0917 - compiled code takes no keywords
    price: Floats,
    spot: Floats,
    strike: Floats,
    years: Floats,
    rate: Floats,
    dividend: Floats,
    start: Floats,
    is_call: NDArray[np.bool_],
    sigma: Floats,
    flag: NDArray[np.int8],
) -> bool:
    """Fills `sigma` and `flag`; false if an input is out of its domain. `start` is NaN where nothing is known."""
    scratch = np.ones(_FIELDS * _STRIDE)
    for first in range(0, sigma.size, _CHUNK):
        last = min(first + _CHUNK, sigma.size)
        count = last - first
        if count < _CHUNK:
            scratch[:] = 1.0  # rows past the end must be as harmless as the others
        _load(scratch, _PRICE, price, first, last)
        _load(scratch, _SPOT, spot, first, last)
        _load(scratch, _STRIKE, strike, first, last)
        _load(scratch, _YEARS, years, first, last)
        _load(scratch, _RATE, rate, first, last)
        _load(scratch, _DIVIDEND, dividend, first, last)
        _load(scratch, _START, start, first, last)
        calls, flags = is_call[first:last], flag[first:last]
        for i in range(count):
            scratch[_SIGN + i] = 1.0 if calls[i] else -1.0
        if not _valid(scratch):
            return False
        unknown, unsettled = _normalise(scratch), 1.0
        if unknown > 0.0:
            _guess(scratch)
        _take_sides(scratch)
        for _ in range(STEPS_TOGETHER):
            unsettled = _step(scratch, 0, _CHUNK)
            if unsettled == 0.0:
                break
        if unsettled > 0.0:
            _persist(scratch)
        _judge(scratch)
        sigma[first:last] = scratch[_S : _S + count]
        for i in range(count):
            flags[i] = np.int8(scratch[_STATE + i])
    return True


@relaxed
def _load(scratch: Floats, field: int, values: Floats, first: int, last: int) -> None:
    """A field's chunk; one value for all contracts is spread here, where it stays in the cache."""
    if values.size == 1:
        scratch[field : field + last - first] = values[0]
    else:
        scratch[field : field + last - first] = values[first:last]


@relaxed
def _valid(scratch: Floats) -> bool:
    wrong = 0.0
    for i in range(_CHUNK):
        spot, strike, years = scratch[_SPOT + i], scratch[_STRIKE + i], scratch[_YEARS + i]
        total = spot + strike + years + abs(scratch[_PRICE + i]) + abs(scratch[_RATE + i]) + abs(scratch[_DIVIDEND + i])
        good = (spot > 0.0) & (strike > 0.0) & (years >= 0.0) & (total < math.inf)
        wrong += 0.0 if good else 1.0
    return wrong == 0.0


@relaxed
def _normalise(scratch: Floats) -> float:
    """The scaled price of the out-of-the-money twin; returns how many rows come without a guess."""
    unknown = 0.0
    for i in range(_CHUNK):
        price, years, sign = scratch[_PRICE + i], scratch[_YEARS + i], scratch[_SIGN + i]
        spot = scratch[_SPOT + i] * exp(-scratch[_DIVIDEND + i] * years)
        strike = scratch[_STRIKE + i] * exp(-scratch[_RATE + i] * years)
        intrinsic = sign * (spot - strike)
        rounding = 4.0 * _EPS * (spot + strike) if intrinsic > 0.0 else 0.0
        value = price - (max(0.0, intrinsic))
        least = min(strike, spot)
        most = max(strike, spot)
        state = _BELOW if value <= rounding else _NOT_CONVERGED
        state = _ABOVE if price >= (spot if sign > 0.0 else strike) else state
        state = _EXPIRED if years <= 0.0 else state
        # Rows without an answer go through the same steps with a harmless target.
        value = value if state == _NOT_CONVERGED else 0.5 * least
        x = log(least / most)
        bound = math.sqrt(least / most)
        scale = bound / least
        root = math.sqrt(years)
        known = scratch[_START + i] * root
        near = (known < DEVIATION_MAX) & (-x < START_MAX * known)  # where a price says nothing, it cannot be mended
        known = known if near else 0.0
        unknown += 0.0 if known > 0.0 else 1.0
        scratch[_S + i] = known
        scratch[_X + i] = x
        scratch[_BOUND + i] = bound
        scratch[_TARGET + i] = value * scale
        scratch[_STATE + i] = state
        scratch[_NOISE + i] = rounding * scale
        scratch[_ROOT + i] = root
    return unknown


@relaxed
def _take_sides(scratch: Floats) -> None:
    """Which of the two logarithms to work on: a good guess tells."""
    for i in range(_CHUNK):
        s = scratch[_S + i]
        upper = 1.0 if 0.5 * s * s > -scratch[_X + i] else 0.0
        scratch[_UPPER + i] = upper
        target = scratch[_BOUND + i] - scratch[_TARGET + i] if upper > 0.0 else scratch[_TARGET + i]
        scratch[_INVERSE + i] = 1.0 / target


@relaxed
def _guess(scratch: Floats) -> None:
    """For those of which nothing is known."""
    for i in range(_CHUNK):
        x, bound, value = scratch[_X + i], scratch[_BOUND + i], scratch[_TARGET + i]
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
        scratch[_S + i] = scratch[_S + i] if scratch[_S + i] > 0.0 else guess


@relaxed
def _step(scratch: Floats, first: int, last: int) -> float:
    """One step; returns how many of the contracts that may have an answer still moved."""
    unsettled = 0.0
    for i in range(max(first, 0), min(last, _CHUNK)):
        s, x, bound, upper = scratch[_S + i], scratch[_X + i], scratch[_BOUND + i], scratch[_UPPER + i]
        over = 1.0 / s
        ratio = x * over
        d_plus, d_minus = ratio + 0.5 * s, 0.5 * s - ratio
        near, far = min(abs(d_plus), TAIL_MAX), min(d_minus, TAIL_MAX)
        near_square, far_square = near * near, far * far
        square = ratio * ratio + 0.25 * s * s
        slope = ONE_OVER_SQRT_2PI * bell(min(TAIL_MAX * TAIL_MAX, square))
        near_under, far_under = mills_under(near, near_square), mills_under(far, far_square)
        common = 1.0 / (near_under * far_under)
        near_tail = slope * common * mills_over(near, near_square) * far_under
        far_tail = slope * common * mills_over(far, far_square) * near_under
        above = d_plus > 0.0
        tails = near_tail + far_tail if above else near_tail - far_tail
        value = tails if above == (upper > 0.0) else bound - tails
        value = max(1e-300, value)
        w = (-slope if upper > 0.0 else slope) / value
        second = ratio * ratio * over - 0.25 * s
        third = second * second - 3.0 * ratio * ratio * over * over - 0.25
        newton = -log(value * scratch[_INVERSE + i]) * value / (-slope if upper > 0.0 else slope)
        gamma, delta = second - w, third + w * (2.0 * w - 3.0 * second)
        move = newton * (1.0 + 0.5 * newton * gamma) / (1.0 + newton * (gamma + newton * delta * 0.16666666666666666))
        move = move if abs(move) < 2.0 * abs(newton) else newton  # far off, the higher orders know nothing
        following = s + move
        following = max(0.4 * s, following)
        following = min(2.5 * s + 0.1, following)
        moved = abs(following - s) * over
        unsettled += 0.0 if (moved <= _SETTLED) | (scratch[_STATE + i] != _NOT_CONVERGED) else 1.0
        scratch[_MOVED + i] = moved
        scratch[_S + i] = following
        scratch[_SLOPE + i] = slope
        scratch[_WEIGHT + i] = far_tail + (bound - near_tail if above else near_tail)
    return unsettled


@relaxed
def _persist(scratch: Floats) -> None:
    """Those that have not settled start once more, from a guess of our own, and go on one by one."""
    for i in range(_CHUNK):
        scratch[_S + i] = scratch[_S + i] if scratch[_MOVED + i] <= _SETTLED else 0.0
    _guess(scratch)
    _take_sides(scratch)
    for i in range(_CHUNK):
        for _ in range(STEPS_MORE):
            if scratch[_MOVED + i] <= _SETTLED or scratch[_STATE + i] != _NOT_CONVERGED:
                break
            _step(scratch, i, i + 1)


@relaxed
def _judge(scratch: Floats) -> None:
    """An answer counts if it has settled, and if the rounding of the price's two terms does not decide it."""
    for i in range(_CHUNK):
        s, slope = scratch[_S + i], scratch[_SLOPE + i]
        noise = _EPS * scratch[_WEIGHT + i]
        noise = max(scratch[_NOISE + i], noise)
        determined = (noise <= RELATIVE_ERROR_MAX * slope * s) & (slope > _SLOPE_MIN) & (s < DEVIATION_MAX)
        settled = (scratch[_MOVED + i] <= _SETTLED) & determined
        answered = settled & (scratch[_STATE + i] == _NOT_CONVERGED)
        scratch[_STATE + i] = 0.0 if answered else scratch[_STATE + i]
        scratch[_S + i] = s / scratch[_ROOT + i] if answered else math.nan
