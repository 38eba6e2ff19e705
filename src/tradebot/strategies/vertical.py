"""The vertical: one put spread sold below the market for a credit. It earns when the underlying does not fall.

The long put stands before the short one, which is also the order in which to send them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from tradebot.domain.instruments import OptionChain, OptionContract, Right
from tradebot.domain.market import Quote
from tradebot.domain.strategies import StrategyKind, StrategyPlan
from tradebot.domain.units import PerUnitDelta
from tradebot.strategies.spread import plan_of, spread_candidates, spread_of
from tradebot.strategies.view import SpreadSettings, nearest_expiry, view_of

SETTINGS = SpreadSettings(short_delta=PerUnitDelta(0.30))


def candidates(
    chain: OptionChain, spot: float, at: datetime, settings: SpreadSettings, sigma_guess: float
) -> tuple[OptionContract, ...]:
    expiry = nearest_expiry(chain.expiries, at, settings)
    return spread_candidates(chain, spot, at, settings, sigma_guess, right=Right.PUT, expiry=expiry)


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
    return plan_of(StrategyKind.VERTICAL, view, (put.long_leg, put.short_leg), (put,))
