"""The put of strike 1 that stands for a contract, and a first guess of its exercise boundary.

A call is the put of spot strike, strike spot, rate dividend and dividend rate: rho then moves the put's dividend.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from tradebot.pricing.formula import Floats
from tradebot.pricing.jit import relaxed


class Put(NamedTuple):
    sigma: float
    rate: float
    dividend: float
    years: float
    rate_step: float  # what rho moves: the rate of a put (1, 0), the dividend of what was a call (0, 1)
    dividend_step: float
    limit: float  # ln B(0+)
    limit_step: float


@relaxed
def put(sigma: float, rate: float, dividend: float, years: float, is_call: float) -> Put:
    """`rate` and `dividend` are the put's own: exchanged already if it was a call."""
    limit = 0.0
    step = 0.0
    if 0.0 < rate < dividend:  # below it the dividend saved is worth more than the interest won
        limit = math.log(rate / dividend)
        step = -1.0 / dividend if is_call > 0.0 else 1.0 / rate
    return Put(sigma, rate, dividend, years, 1.0 - is_call, is_call, limit, step)


@relaxed
def deepest(market: Put) -> float:
    """y of the perpetual option's boundary, below which no other lies."""
    variance = market.sigma * market.sigma
    drift = (market.rate - market.dividend) / variance - 0.5
    root = -drift - math.sqrt(drift * drift + 2.0 * market.rate / variance)
    return market.limit - math.log(root / (root - 1.0)) if root < -1e-9 else 50.0


@relaxed
def guess(market: Put, roots: Floats, y: Floats) -> float:
    """Bjerksund and Stensland's trigger at each node; returns the perpetual option's."""
    most = deepest(market)
    span = math.exp(min(most, 12.0)) - 1.0
    for i in range(y.size):
        deviation = market.sigma * math.sqrt(market.years) * roots[i]
        drift = (market.dividend - market.rate) * market.years * roots[i] * roots[i]
        way = max(drift + 2.0 * deviation, 0.05 * deviation) / max(span, 1e-12)
        y[i] = math.log1p(-span * math.expm1(-way))
    for i in range(y.size - 2, -1, -1):
        y[i] = max(y[i], y[i + 1])  # the trigger falls back where drift is strong; a boundary never does
    return most
