"""The one limit type: a name, a bound in a unit, and how to measure what it bounds.

situation -> `measure` -> compared with the bound -> nothing, or `LimitExceeded` with the limit's name. A bound of
None is a limit that is switched off; a measure of None is one that does not apply to this situation. NaN and the
infinities are within nothing: what cannot be measured is refused.

Bound and measure share one type variable. Stated explicitly, as in `Limit[Situation, ShareDelta](...)`, a bound in
shares on a measure by the unit is an error of types.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

from tradebot.domain.errors import LimitExceeded

S_contra = TypeVar("S_contra", contravariant=True)
V_co = TypeVar("V_co", bound=float, covariant=True)


class Unit(enum.StrEnum):
    SHARES = "shares"
    PER_UNIT = "per unit"
    SHARES_PER_POINT = "shares per point"
    EQUITY_SHARE = "of equity"
    MONEY = "money"
    POINTS = "points"
    COUNT = "in number"


class Within(enum.Enum):
    AT_MOST = "at most"
    BELOW = "below"
    ABOVE = "above"


class Limit(msgspec.Struct, Generic[S_contra, V_co], frozen=True):
    name: str  # stable: users, metrics and the API count by it
    bound: V_co | None
    unit: Unit
    measure: Callable[[S_contra], V_co | None]
    within: Within = Within.AT_MOST
    remedy: str = ""

    def check(self, situation: S_contra) -> None:
        value = self.measure(situation)
        if self.bound is None or value is None or self._holds(value, self.bound):
            return
        remedy = self.remedy or f"It must be {self.within.value} {self.bound:.10g} {self.unit.value}"
        raise LimitExceeded(self.name, value=value, bound=self.bound, remedy=remedy)

    def remaining(self, situation: S_contra) -> float | None:
        """How much room is left, in the limit's unit: never negative; None where the limit does not apply."""
        value = self.measure(situation)
        if self.bound is None or value is None:
            return None
        if not math.isfinite(value):
            return 0.0
        return max(0.0, value - self.bound if self.within is Within.ABOVE else self.bound - value)

    def _holds(self, value: float, bound: float) -> bool:
        if not math.isfinite(value):
            return False
        if self.within is Within.AT_MOST:
            return value <= bound
        return value < bound if self.within is Within.BELOW else value > bound
