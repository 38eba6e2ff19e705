"""One Householder step of `householder`, in four loops, and the scratch that all of its loops share.

With L = ln(b(s) / price), to be made zero, and primes for derivatives by ln s, all higher ones come for nothing:

    w = L' = s db/ds / b,    w' = w (1 + A - B - w),    A = (x / s)**2,    B = (s / 2)**2,    A' = -2 A,    B' = 2 B

Beyond the inflection point b is what the price lacks to its bound, and w is negative. So one evaluation of b feeds a
step of the eighth order: from 2 % off to the last digits, from 60 % off to 1e-5. By ln s, and not by s, because there
L's other zeros and its singularity are far away, and their distance is what the method's error depends on.

contract -> `_measure` (density, Mills' ratios) -> `_compare` (L, Newton's move) -> `_expand` (orders) -> `_advance`.
Each loop is short enough for the CPU to have several of its rounds under way at once; as one loop they take half as
long again, waiting for results.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from tradebot.pricing.formula import Floats
from tradebot.pricing.jit import relaxed
from tradebot.pricing.math64 import ONE_OVER_SQRT_2PI, TAIL_MAX, bell, log, mills_over, mills_under

CHUNK: Final = 128  # contracts
STRIDE: Final = CHUNK + 8  # fields a power of two apart would wait for one another's stores
FIELDS: Final = 21
PRICE, SPOT, STRIKE, YEARS, RATE, DIVIDEND, START, SIGN = (STRIDE * i for i in range(8))
S, X, BOUND, TARGET, NOISE, ROOT, STATE, OPEN, SLOPE = (STRIDE * i for i in range(8, 17))
_OVER, _PART, _UNDER, _FAR = (STRIDE * i for i in range(17, FIELDS))
# These take the places of what has been read; never that of an input, which may be spread once for all chunks.
SPOT_NOW, STRIKE_NOW, DOUBT = _OVER, _PART, _FAR
_NEWTON, _DISTANCE = _PART, _UNDER
_E5, _E6, _E7 = _DISTANCE, _OVER, OPEN

UNANSWERED: Final = 4.0  # the state of a contract that may have an answer
RELATIVE_ERROR_MAX: Final = 1e-6  # of sigma, from the rounding of the price alone
SLOPE_MIN: Final = 1e-290  # below, the price is near float64's own end
_EPS: Final = float(np.finfo(np.float64).eps)
_MOVE_MAX: Final = 0.025  # of ln s, in the step that settles,
_MOVE_MAX_DOUBTFUL: Final = 1e-4  # and where it takes an exact look to tell whether the price determines s at all:
_CLEAR: Final = 1e4  # where it does so with less than this to spare; at 19 deviations, what _MOVE_MAX makes of slope
_ORDERS_APART_MAX: Final = 1e-11  # between the last two orders of that step; the last is some 30 times closer
_PART_MIN: Final = 1.0  # of some 1e11 or more: the terms' difference has drowned in rounding
_TARGET_MIN: Final = 1e-300


@relaxed
def step(scratch: Floats, first: int, last: int) -> float:
    """One step; returns how many of the contracts that may have an answer have not settled."""
    _measure(scratch, first, last)
    _compare(scratch, first, last)
    _expand(scratch, first, last)
    return _advance(scratch, first, last)


@relaxed
def _measure(scratch: Floats, first: int, last: int) -> None:
    """The two terms of the price as parts of slope / under; `part` is their difference, negative for a lack."""
    for i in range(max(first, 0), min(last, CHUNK)):
        s, x = scratch[S + i], scratch[X + i]
        over = 1.0 / s
        ratio = x * over
        d_plus, d_minus = ratio + 0.5 * s, 0.5 * s - ratio
        near, far = min(abs(d_plus), TAIL_MAX), min(d_minus, TAIL_MAX)
        near_square, far_square = near * near, far * far
        near_under, far_under = mills_under(near, near_square), mills_under(far, far_square)
        near_part = mills_over(near, near_square) * far_under
        far_part = mills_over(far, far_square) * near_under
        above = d_plus > 0.0
        part = near_part + (far_part if above else -far_part)
        part = max(_PART_MIN, part)
        scratch[SLOPE + i] = ONE_OVER_SQRT_2PI * bell(min(TAIL_MAX * TAIL_MAX, ratio * ratio + 0.25 * s * s))
        scratch[_OVER + i] = over
        scratch[_PART + i] = -part if above else part
        scratch[_UNDER + i] = near_under * far_under
        scratch[_FAR + i] = far_part


@relaxed
def _compare(scratch: Floats, first: int, last: int) -> None:
    """How far off the logarithm is, Newton's move in ln s, and the rounding that the price's two terms bring."""
    for i in range(max(first, 0), min(last, CHUNK)):
        slope, part, under, price = scratch[SLOPE + i], scratch[_PART + i], scratch[_UNDER + i], scratch[TARGET + i]
        target = scratch[BOUND + i] - price if part < 0.0 else price
        target = max(_TARGET_MIN, target)
        inverse = 1.0 / (under * abs(part) * target)  # one division for three reciprocals
        per_under = inverse * abs(part) * target
        distance = -log(slope * abs(part) * (inverse * abs(part)))
        scratch[_NEWTON + i] = distance * scratch[_OVER + i] * (part * per_under)
        scratch[_DISTANCE + i] = distance
        rounding = _EPS * (price + 2.0 * slope * per_under * scratch[_FAR + i])
        scratch[DOUBT + i] = max(scratch[NOISE + i], rounding)


@relaxed
def _expand(scratch: Floats, first: int, last: int) -> None:
    """The Taylor coefficients of 1 / L in ln s, times powers of Newton's move: their quotients are the moves."""
    for i in range(max(first, 0), min(last, CHUNK)):
        s, newton, distance = scratch[S + i], scratch[_NEWTON + i], scratch[_DISTANCE + i]
        ratio = scratch[X + i] * scratch[_OVER + i]
        down, up = ratio * ratio, 0.25 * s * s
        # u: of 1 + A - B - w; v: of w / w(0); e: of 1 / L.
        square = newton * newton
        odd, even = newton * (down - up), square * (down + up)
        u0 = newton + odd - distance
        u1 = -2.0 * even - distance * u0
        v2 = 0.5 * (u1 + u0 * u0)
        u2 = 2.0 * square * odd - distance * v2
        v3 = (u2 + u0 * u1 + v2 * u0) * (1.0 / 3.0)
        u3 = (-4.0 / 3.0) * square * even - distance * v3
        v4 = (u3 + u0 * u2 + v2 * u1 + v3 * u0) * 0.25
        u4 = (2.0 / 3.0) * square * square * odd - distance * v4
        v5 = (u4 + u0 * u3 + v2 * u2 + v3 * u1 + v4 * u0) * 0.2
        u5 = (-4.0 / 15.0) * square * square * even - distance * v5
        v6 = (u5 + u0 * u4 + v2 * u3 + v3 * u2 + v4 * u1 + v5 * u0) * (1.0 / 6.0)
        g2, g3, g4 = (1.0 / 2.0) * u0, (1.0 / 3.0) * v2, (1.0 / 4.0) * v3
        g5, g6, g7 = (1.0 / 5.0) * v4, (1.0 / 6.0) * v5, (1.0 / 7.0) * v6
        e2 = 1.0 + g2
        e3 = e2 + g2 + g3
        e4 = e3 + g2 * e2 + g3 + g4
        e5 = e4 + g2 * e3 + g3 * e2 + g4 + g5
        e6 = e5 + g2 * e4 + g3 * e3 + g4 * e2 + g5 + g6
        e7 = e6 + g2 * e5 + g3 * e4 + g4 * e3 + g5 * e2 + g6 + g7
        scratch[_E5 + i], scratch[_E6 + i], scratch[_E7 + i] = e5, e6, e7


@relaxed
def _advance(scratch: Floats, first: int, last: int) -> float:
    """s times e**move; settled where the last two orders agree."""
    unsettled = 0.0
    for i in range(max(first, 0), min(last, CHUNK)):
        s, newton = scratch[S + i], scratch[_NEWTON + i]
        e5, e6, e7 = scratch[_E5 + i], scratch[_E6 + i], scratch[_E7 + i]
        better = e6 / e7  # than Newton's move, as a multiple of it
        sound = (better >= 0.1) & (better <= 2.0)  # far off, the higher orders know nothing
        move = newton * better if sound else newton
        move = max(-1.0, move)
        move = min(1.0, move)
        apart = abs(newton * (e5 * e7 - e6 * e6))
        slope = scratch[SLOPE + i]
        clear = (_CLEAR * scratch[DOUBT + i] <= RELATIVE_ERROR_MAX * slope * s) & (slope > _CLEAR * SLOPE_MIN)
        move_max = _MOVE_MAX if clear else _MOVE_MAX_DOUBTFUL
        settled = sound & (apart <= _ORDERS_APART_MAX * abs(e6 * e7)) & (abs(move) <= move_max)
        unsettled += 0.0 if settled | (scratch[STATE + i] != UNANSWERED) else 1.0
        scratch[OPEN + i] = 0.0 if settled else 1.0
        grown = move * (1.0 / 120.0 + move * (1.0 / 720.0))
        scratch[S + i] = s + s * move * (1.0 + move * (0.5 + move * (1.0 / 6.0 + move * (1.0 / 24.0 + grown))))
    return unsettled
