"""Greeks of one unit of a contract, and of positions. Float64 throughout.

Conventions: `theta` is per calendar day, `vega` per 1.00 of volatility (so per vol point it is a hundredth),
`rho` per 1.00 of the rate. `PositionGreeks` are multiplied by quantity and contract multiplier: `delta` is then
share-equivalent, `value` is money.
"""

from __future__ import annotations

import msgspec

from tradebot.domain.units import PerUnitDelta, ShareDelta


class UnitGreeks(msgspec.Struct, frozen=True, gc=False):
    price: float
    delta: PerUnitDelta
    gamma: float
    theta: float
    vega: float
    rho: float


class PositionGreeks(msgspec.Struct, frozen=True, gc=False):
    value: float
    delta: ShareDelta
    gamma: float
    theta: float
    vega: float
    rho: float

    def plus(self, other: PositionGreeks) -> PositionGreeks:
        return PositionGreeks(
            value=self.value + other.value,
            delta=ShareDelta(self.delta + other.delta),
            gamma=self.gamma + other.gamma,
            theta=self.theta + other.theta,
            vega=self.vega + other.vega,
            rho=self.rho + other.rho,
        )


FLAT = PositionGreeks(value=0.0, delta=ShareDelta(0.0), gamma=0.0, theta=0.0, vega=0.0, rho=0.0)
