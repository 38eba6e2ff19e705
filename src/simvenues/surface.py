"""What an option is worth, and how uncertain its quote is.

A pure function of spot, strike, time and the volatility level: the market supplies the moving inputs, this module the
shape. Puts cost more volatility than calls (skew), a high level lifts near expiries more than far ones (term
structure). Pricing is Black-Scholes-Merton with European exercise: calls and puts of one strike share one volatility.
"""

from __future__ import annotations

import math

import msgspec

RATE = 0.04
TICK = 0.01
# An option in its last minute still needs a positive time.
YEARS_MIN = 1.0 / (365.0 * 24.0 * 60.0)

_SKEW = 0.08
_SMILE = 0.015
_DEVIATIONS_MAX = 4.0
# A jump in the level fades with this many years of maturity.
_TERM_YEARS = 0.5
# Below this maturity the smile stops steepening.
_SMILE_YEARS_MIN = 1.0 / 52.0
_VOLATILITY_MIN, _VOLATILITY_MAX = 0.03, 5.0


class Valuation(msgspec.Struct, frozen=True):
    """Model value of one option; vega for one whole point of volatility (1.00), theta for a year."""

    price: float
    volatility: float
    delta: float
    gamma: float
    vega: float
    theta: float
    # Distance from the forward in standard deviations: how far out the strike is.
    deviations: float


def value(
    *, spot: float, strike: float, years: float, dividend_yield: float, base: float, level: float, call: bool
) -> Valuation:
    years = max(years, YEARS_MIN)
    root = math.sqrt(years)
    carry = math.exp(-dividend_yield * years)
    discount = math.exp(-RATE * years)
    moneyness = math.log(spot * carry / (strike * discount))
    volatility, deviations = _volatility(-moneyness, years, base, level)
    spread = volatility * root
    d1 = moneyness / spread + 0.5 * spread
    d2 = d1 - spread
    density = math.exp(-0.5 * d1 * d1) / math.sqrt(2.0 * math.pi)
    sign = 1.0 if call else -1.0
    in_spot = spot * carry * _normal_cdf(sign * d1)
    in_strike = strike * discount * _normal_cdf(sign * d2)
    decay = -0.5 * spot * carry * density * volatility / root
    return Valuation(
        price=max(sign * (in_spot - in_strike), 0.0),
        volatility=volatility,
        delta=sign * carry * _normal_cdf(sign * d1),
        gamma=carry * density / (spot * spread),
        vega=spot * carry * density * root,
        theta=decay + sign * (dividend_yield * in_spot - RATE * in_strike),
        deviations=deviations,
    )


def _volatility(log_strike: float, years: float, base: float, level: float) -> tuple[float, float]:
    at_money = base * (1.0 + (level - 1.0) * math.exp(-years / _TERM_YEARS))
    deviations = log_strike / (at_money * math.sqrt(max(years, _SMILE_YEARS_MIN)))
    deviations = min(max(deviations, -_DEVIATIONS_MAX), _DEVIATIONS_MAX)
    smile = 1.0 - _SKEW * deviations + _SMILE * deviations * deviations
    return min(max(at_money * smile, _VOLATILITY_MIN), _VOLATILITY_MAX), deviations


def _normal_cdf(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2.0))


def option_width(price: float, deviations: float, level: float) -> float:
    """Bid to ask: wider for dear options, for strikes further out and when volatility is up."""
    return (TICK + 0.005 * price + 0.01 * abs(deviations)) * max(1.0, level)


def stock_width(price: float, level: float) -> float:
    """Bid to ask of a liquid stock: about half a basis point, wider when volatility is up."""
    return max(TICK, price * 5e-5) * max(1.0, level)


def around(mid: float, width: float) -> tuple[float, float]:
    """Bid and ask on the tick grid, never crossed; a bid below one tick is no bid (0)."""
    bid = max(math.floor((mid - width / 2) / TICK + 1e-9), 0)
    ask = max(math.ceil((mid + width / 2) / TICK - 1e-9), bid + 1)
    return round(bid * TICK, 2), round(ask * TICK, 2)
