"""From a kind and a symbol to a plan: the builders with their settings, and a guess that gets better.

A builder must know roughly how volatile an underlying is before it can say which few contracts are worth a quote;
the quotes it then gets are the best guess for the next time.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from datetime import datetime

import numpy as np

from tradebot.domain.greeks import PositionGreeks
from tradebot.domain.instruments import OptionChain, OptionContract, Right
from tradebot.domain.market import Quote
from tradebot.domain.strategies import StrategyKind, StrategyPlan
from tradebot.domain.units import ShareDelta
from tradebot.pricing.calendar import year_fraction
from tradebot.pricing.european import price_and_greeks
from tradebot.pricing.implied import implied_volatility
from tradebot.strategies.registry import builder
from tradebot.strategies.view import SpreadSettings

SIGMA_FIRST_GUESS = 0.20
DIVIDEND = 0.0


class Planner:
    def __init__(self, settings: Mapping[StrategyKind, SpreadSettings], *, rate: float) -> None:
        self._settings = settings
        self._rate = rate
        self._sigmas: dict[str, float] = {}  # bounded by the symbols traded

    def candidates(
        self, kind: StrategyKind, chain: OptionChain, *, spot: float, at: datetime
    ) -> tuple[OptionContract, ...]:
        guess = self._sigmas.get(chain.symbol, SIGMA_FIRST_GUESS)
        return builder(kind).candidates(chain, spot, at, self._settings[kind], guess)

    def build(
        self, kind: StrategyKind, quotes: Mapping[OptionContract, Quote], *, spot: float, at: datetime
    ) -> StrategyPlan:
        build = builder(kind).build
        plan = build(quotes, spot, at, self._settings[kind], rate=self._rate, dividend=DIVIDEND)
        known = [quote.iv for quote in quotes.values() if math.isfinite(quote.iv) and quote.iv > 0.0]
        if known:
            self._sigmas[plan.symbol] = statistics.median(known)
        return plan

    def greeks(
        self,
        plan: StrategyPlan,
        quotes: Mapping[OptionContract, Quote],
        *,
        quantity: int,
        spot: float,
        at: datetime,
    ) -> PositionGreeks:
        """What the plan would add to the portfolio."""
        contracts = [leg.contract for leg in plan.legs]
        shares = np.array([leg.side.sign * quantity * leg.contract.multiplier for leg in plan.legs], dtype=np.float64)
        strikes = np.array([float(contract.strike) for contract in contracts])
        is_call = np.array([contract.right is Right.CALL for contract in contracts])
        years = year_fraction(plan.expiry, at)
        quoted = np.array([quotes[contract].iv for contract in contracts])
        mids = np.array([quotes[contract].mid for contract in contracts])
        implied = implied_volatility(mids, spot, strikes, years, self._rate, DIVIDEND, is_call).sigma
        sigma = np.where(np.isfinite(quoted) & (quoted > 0.0), quoted, implied)
        units = price_and_greeks(spot, strikes, years, sigma, self._rate, DIVIDEND, is_call)
        value, delta, gamma, theta, vega, rho = (float(figure @ shares) for figure in units)
        return PositionGreeks(value=value, delta=ShareDelta(delta), gamma=gamma, theta=theta, vega=vega, rho=rho)
