"""The iron condor: a put spread below the market and a call spread above it, both sold at a small delta.

It earns when the underlying stays between the short strikes. The legs stand in the order of their strikes: long put,
short put, short call, long call.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from tradebot.domain.errors import StrategyError
from tradebot.domain.instruments import OptionChain, OptionContract, Right
from tradebot.domain.market import Quote
from tradebot.domain.strategies import StrategyKind, StrategyPlan
from tradebot.domain.units import PerUnitDelta
from tradebot.strategies.spread import plan_of, spread_candidates, spread_of
from tradebot.strategies.view import SpreadSettings, nearest_expiry, view_of

SETTINGS = SpreadSettings(short_delta=PerUnitDelta(0.16))


def candidates(
    chain: OptionChain, spot: float, at: datetime, settings: SpreadSettings, sigma_guess: float
) -> tuple[OptionContract, ...]:
    expiry = nearest_expiry(chain.expiries, at, settings)
    puts = spread_candidates(chain, spot, at, settings, sigma_guess, right=Right.PUT, expiry=expiry)
    calls = spread_candidates(chain, spot, at, settings, sigma_guess, right=Right.CALL, expiry=expiry)
    return (*puts, *calls)


def build(
    quotes: Mapping[OptionContract, Quote],
    spot: float,
    at: datetime,
    settings: SpreadSettings,
    *,
    rate: float,
    dividend: float,
) -> StrategyPlan:
    view = view_of(quotes, spot, at, settings, rate=rate, dividend=dividend)
    put = spread_of(view, Right.PUT, settings)
    call = spread_of(view, Right.CALL, settings)
    if put.short.contract.strike >= call.short.contract.strike:
        raise StrategyError(f"the short strikes of {view.symbol} cross: no room between them for the market")
    legs = (put.long_leg, put.short_leg, call.short_leg, call.long_leg)
    return plan_of(StrategyKind.IRON_CONDOR, view, legs, (put, call))
