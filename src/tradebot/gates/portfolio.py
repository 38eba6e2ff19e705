"""The options desk's entry and portfolio limits as one table, and the gate that holds an entry against it.

proposal -> `situation.after` -> each limit in the table's order -> nothing, or the first refusal, counted by its
name. Exits do not come here: what reduces risk is never refused for its size.

The risk of one position and of correlated ones is a share of EQUITY: measured against the exposure that is already
there, the first trade of an empty book would be refused for ever.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec

from tradebot.domain.errors import Refused
from tradebot.domain.units import Money, PerUnitDelta, ShareDelta
from tradebot.gates.limits import Limit, Unit, Within
from tradebot.gates.situation import EntryProposal, Exposure, Situation, Stakes, after, present

AnyLimit = Limit[Situation, float]


class GateSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """None switches a limit off."""

    portfolio_delta_max: ShareDelta | None = ShareDelta(50.0)
    symbol_delta_max: ShareDelta | None = ShareDelta(20.0)
    portfolio_delta_per_unit_below: PerUnitDelta | None = PerUnitDelta(0.3)
    portfolio_gamma_max: float | None = 10.0
    position_equity_share_max: float | None = 0.02
    correlated_equity_share_max: float | None = 0.05
    exposure_cap: Money | None = None
    symbol_positions_max: int | None = 5
    orders_in_flight_max: int | None = 100
    vix_below: float | None = 35.0
    iv_rank_low: float = 25.0
    iv_rank_high: float = 50.0
    groups: Mapping[str, str] = {}


def entry_limits(settings: GateSettings) -> tuple[AnyLimit, ...]:
    cap = None if settings.exposure_cap is None else float(settings.exposure_cap)
    band = f"below {settings.iv_rank_low:g} or above {settings.iv_rank_high:g}"
    return (
        Limit[Situation, int]("quantity", 0, Unit.COUNT, lambda s: s.quantity, Within.ABOVE),
        Limit[Situation, float]("price", 0.0, Unit.MONEY, lambda s: s.price, Within.ABOVE),
        Limit[Situation, float]("vix", settings.vix_below, Unit.POINTS, lambda s: _level(s.vix), Within.BELOW),
        Limit[Situation, float](
            "iv_rank",
            0.0,
            Unit.POINTS,
            lambda s: None if s.iv_rank is None else _inside(s.iv_rank, settings.iv_rank_low, settings.iv_rank_high),
            Within.BELOW,
            f"It is measured from the edge of the band that is not entered: wait for an IV rank {band}",
        ),
        Limit[Situation, int](
            "symbol_positions", settings.symbol_positions_max, Unit.COUNT, lambda s: s.symbol_positions
        ),
        Limit[Situation, PerUnitDelta](
            "portfolio_delta_per_unit",
            settings.portfolio_delta_per_unit_below,
            Unit.PER_UNIT,
            lambda s: PerUnitDelta(abs(s.delta_per_unit())),
            Within.BELOW,
        ),
        Limit[Situation, ShareDelta](
            "portfolio_delta", settings.portfolio_delta_max, Unit.SHARES, lambda s: ShareDelta(abs(s.portfolio.delta))
        ),
        Limit[Situation, ShareDelta](
            "symbol_delta", settings.symbol_delta_max, Unit.SHARES, lambda s: ShareDelta(abs(s.symbol.delta))
        ),
        Limit[Situation, float](
            "portfolio_gamma", settings.portfolio_gamma_max, Unit.SHARES_PER_POINT, lambda s: abs(s.portfolio.gamma)
        ),
        Limit[Situation, float](
            "position_risk",
            settings.position_equity_share_max,
            Unit.EQUITY_SHARE,
            lambda s: 0.0 if s.entry_risk is None else s.equity_share(s.entry_risk),
        ),
        Limit[Situation, float](
            "correlated_risk",
            settings.correlated_equity_share_max,
            Unit.EQUITY_SHARE,
            lambda s: s.equity_share(s.group_risk),
        ),
        Limit[Situation, float]("exposure_cap", cap, Unit.MONEY, lambda s: float(s.risk)),
        Limit[Situation, int](
            "orders_in_flight", settings.orders_in_flight_max, Unit.COUNT, lambda s: s.orders_in_flight
        ),
    )


def _level(vix: float) -> float:
    """Venues say "no price" with 0 or -1, which must not pass for a calm market."""
    return vix if vix > 0.0 else math.nan


def _inside(rank: float, low: float, high: float) -> float:
    """How far a rank lies inside the band low to high; negative outside of it."""
    return min(rank - low, high - rank) if 0.0 <= rank <= 100.0 else math.nan


class Gates:
    def __init__(self, settings: GateSettings) -> None:
        self._groups = settings.groups
        self._stakes = Stakes()
        self.limits = entry_limits(settings)
        self.passed = 0
        self.refusals = {limit.name: 0 for limit in self.limits}

    def check(self, proposal: EntryProposal) -> None:
        """Return when the entry may go ahead; raise the first limit that it would exceed."""
        situation = after(proposal, self._groups, self._stakes)
        for limit in self.limits:
            try:
                limit.check(situation)
            except Refused:
                self.refusals[limit.name] += 1
                raise
        self.passed += 1

    def capacity(self, exposure: Exposure, symbol: str) -> dict[str, float | None]:
        """What each limit leaves for an entry in this symbol, in the limit's unit; None: does not apply."""
        situation = present(exposure, symbol, self._groups, self._stakes)
        return {limit.name: limit.remaining(situation) for limit in self.limits}
