"""What a rule may look at: one open strategy as a frozen view, so that no rule can change what the next one sees.

strategy (from fills) + Greeks (from the book) + time -> `position_view` -> `PositionView` -> rules.
"""

from __future__ import annotations

import math
from datetime import datetime

import msgspec

from tradebot.domain.errors import PricingError
from tradebot.domain.greeks import PositionGreeks
from tradebot.domain.strategies import Strategy
from tradebot.pricing.calendar import days_to_expiry


class PositionView(msgspec.Struct, frozen=True):
    strategy: Strategy
    at: datetime
    dte_days: int
    upl_share: float  # NaN where a price is missing: rules that need it then refuse to answer
    greeks: PositionGreeks

    def known_upl_share(self) -> float:
        """For rules: a share that is not known must not look like one that triggers nothing."""
        if math.isnan(self.upl_share):
            raise PricingError(f"the profit of {self.strategy.id} is not known")
        return self.upl_share


def position_view(strategy: Strategy, greeks: PositionGreeks, at: datetime) -> PositionView:
    return PositionView(
        strategy=strategy,
        at=at,
        dte_days=days_to_expiry(strategy.plan.expiry, at),
        upl_share=upl_share(strategy, greeks.value),
        greeks=greeks,
    )


def upl_share(strategy: Strategy, value: float) -> float:
    """Unrealised profit of the units still open, as a share of what they can earn.

    `value` is what the open units are worth now: negative for what was sold. They can earn the premium that was
    received for them, or the plan's maximum profit where none was (a debit). So +1.0 is all there is to earn, and
    -2.0 a loss of twice the premium.
    """
    if strategy.remaining <= 0 or strategy.quantity <= 0:
        raise PricingError(f"{strategy.id} has no open unit")
    entry = float(strategy.entry_cash) * strategy.remaining / strategy.quantity
    reward = entry if entry > 0.0 else float(strategy.plan.max_profit) * strategy.remaining
    return (entry + value) / reward
