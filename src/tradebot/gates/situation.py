"""What the limits measure: the portfolio as it is, and as it would be with one more entry.

`Exposure` (what is held, pending and owned now) + `EntryProposal` -> `present` or `after` -> `Situation`, one set of
numbers. Every limit measures a `Situation`, so each looks at position plus order and none at the order alone.

`Exposure` counts what is on its way too: strategies whose entry is pending are among `strategies`, and whoever adds
one does so before it waits for anything, or two entries at once would both take the same room.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal

import msgspec

from tradebot.domain.greeks import FLAT, PositionGreeks
from tradebot.domain.strategies import Strategy, StrategyPlan, StrategyState
from tradebot.domain.units import Money, PerUnitDelta

UNKNOWN = Decimal("NaN")
_UNCERTAIN = (StrategyState.PENDING, StrategyState.PARTIAL)


class Exposure(msgspec.Struct, frozen=True):
    equity: Money
    portfolio: PositionGreeks
    by_symbol: Mapping[str, PositionGreeks]
    strategies: tuple[Strategy, ...]  # open, partial and pending ones; others are ignored
    orders_in_flight: int
    vix: float  # NaN when unknown: then nothing is entered unless the limit is switched off


class EntryProposal(msgspec.Struct, frozen=True):
    plan: StrategyPlan
    quantity: int
    greeks: PositionGreeks  # of the whole quantity
    price: float  # of the underlying
    exposure: Exposure
    iv_rank: float | None = None  # 0 to 100; None without the history that it takes


class Situation(msgspec.Struct, frozen=True):
    """One symbol's view of the whole. None: not part of this situation, because nothing is proposed."""

    equity: Money
    portfolio: PositionGreeks
    symbol: PositionGreeks
    shares: int  # held by all contracts, long and short alike
    risk: Money  # all that can be lost
    group_risk: Money  # by the symbols that move together
    symbol_positions: int
    orders_in_flight: int
    vix: float
    entry_risk: Money | None = None
    price: float | None = None
    quantity: int | None = None
    iv_rank: float | None = None

    def equity_share(self, risk: Money) -> float:
        """Decimal as far as the quotient: two per cent of a sum with cents is two per cent exactly."""
        if not (self.equity.is_finite() and risk.is_finite() and self.equity > 0):
            return float("nan")
        return float(risk / self.equity)

    def delta_per_unit(self) -> PerUnitDelta:
        """The portfolio's mean delta per share held: the way back from shares, through what holds them."""
        return PerUnitDelta(self.portfolio.delta / max(self.shares, 1))


class Stakes:
    """What each strategy puts at stake, worked out once: one that changes is another object.

    A desk may hold hundreds, and each entry looks at all of them.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[Strategy, int, Money]] = {}  # by id: what was looked at, shares, risk

    def of(self, strategies: Iterable[Strategy]) -> Iterator[tuple[Strategy, int, Money]]:
        """Those that may lose something, with the shares they hold and what can be lost."""
        before, self._known = self._known, {}  # so that what is gone is forgotten
        for strategy in strategies:
            known = before.get(strategy.id)
            if known is None or known[0] is not strategy:
                units = _units_at_risk(strategy)
                if units <= 0:
                    continue
                known = strategy, _shares(strategy.plan, units), _risk(strategy.plan, units)
            self._known[strategy.id] = known
            yield known


def present(exposure: Exposure, symbol: str, groups: Mapping[str, str], stakes: Stakes | None = None) -> Situation:
    """`groups` maps a symbol to the name of those it moves with; one without an entry moves alone."""
    group = groups.get(symbol, symbol)
    shares, risk, group_risk, symbol_positions = 0, Decimal(0), Decimal(0), 0
    for strategy, its_shares, its_risk in (stakes or Stakes()).of(exposure.strategies):
        shares += its_shares
        risk += its_risk
        its_symbol = strategy.plan.symbol
        if groups.get(its_symbol, its_symbol) == group:
            group_risk += its_risk
        symbol_positions += its_symbol == symbol
    return Situation(
        equity=exposure.equity,
        portfolio=exposure.portfolio,
        symbol=exposure.by_symbol.get(symbol, FLAT),
        shares=shares,
        risk=risk,
        group_risk=group_risk,
        symbol_positions=symbol_positions,
        orders_in_flight=exposure.orders_in_flight,
        vix=exposure.vix,
    )


def after(proposal: EntryProposal, groups: Mapping[str, str], stakes: Stakes | None = None) -> Situation:
    plan, now = proposal.plan, present(proposal.exposure, proposal.plan.symbol, groups, stakes)
    entry_risk = _risk(plan, proposal.quantity)
    return msgspec.structs.replace(
        now,
        portfolio=now.portfolio.plus(proposal.greeks),
        symbol=now.symbol.plus(proposal.greeks),
        shares=now.shares + _shares(plan, proposal.quantity),
        risk=now.risk + entry_risk,
        group_risk=now.group_risk + entry_risk,
        symbol_positions=now.symbol_positions + 1,
        orders_in_flight=now.orders_in_flight + len(plan.legs),
        entry_risk=entry_risk,
        price=proposal.price,
        quantity=proposal.quantity,
        iv_rank=proposal.iv_rank,
    )


def _units_at_risk(strategy: Strategy) -> int:
    """While legs are on their way any unit may turn out to be held."""
    state = strategy.state
    if state is StrategyState.OPEN:
        return strategy.remaining
    return strategy.quantity if state in _UNCERTAIN else 0


def _risk(plan: StrategyPlan, units: int) -> Money:
    """A plan that cannot lose is a mistake in the plan, not a reason to let it through."""
    loss = plan.max_loss
    return loss * units if loss.is_finite() and loss > 0 else UNKNOWN


def _shares(plan: StrategyPlan, units: int) -> int:
    return sum([leg.contract.multiplier for leg in plan.legs]) * units
