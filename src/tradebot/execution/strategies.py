"""Every strategy we hold or held, moved by what its orders filled.

A strategy is created in the same instant in which the gates let it pass, so two entries at once cannot both slip
under one limit. Each change makes a new frozen `Strategy` and goes out through `on_change`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal

import msgspec

from tradebot.domain.errors import NotFound, QueueFull
from tradebot.domain.orders import Fill, Side
from tradebot.domain.strategies import LegState, LegStatus, Strategy, StrategyPlan, StrategyState
from tradebot.domain.units import Money
from tradebot.kernel.bounds import Bounds
from tradebot.kernel.history import History
from tradebot.kernel.machine import Table

STRATEGY_MOVES: Table[StrategyState] = Table(
    "strategy",
    {
        StrategyState.PENDING: (StrategyState.OPEN, StrategyState.PARTIAL, StrategyState.FAILED),
        StrategyState.OPEN: (StrategyState.OPEN, StrategyState.PARTIAL, StrategyState.CLOSED),
        StrategyState.PARTIAL: (StrategyState.PARTIAL, StrategyState.OPEN, StrategyState.CLOSED, StrategyState.FAILED),
        StrategyState.CLOSED: (),
        StrategyState.FAILED: (),
    },
)

HELD_MAX = 1_000
FINISHED_MAX = 2_000
EXPIRY = "expiry"  # stands where a workflow's id stands
APPLIED_MAX = 16  # only those that a crash may have left unfinished matter


def cash_of(fills: Iterable[Fill]) -> Money:
    return sum((fill.cash for fill in fills), Decimal(0))


class Strategies:
    def __init__(self, bounds: Bounds, on_change: Callable[[Strategy], None]) -> None:
        self._on_change = on_change
        self._held: dict[str, Strategy] = {}
        self._finished: History[str, Strategy] = History(bounds, "strategies.finished", FINISHED_MAX)
        bounds.register("strategies.held", self._held.__len__, HELD_MAX)

    def get(self, strategy_id: str) -> Strategy:
        strategy = self._held.get(strategy_id) or self._finished.get(strategy_id)
        if strategy is None:
            raise NotFound(f"there is no strategy {strategy_id}")
        return strategy

    def held(self) -> tuple[Strategy, ...]:
        """Pending, open and partial ones, in the order in which they were created."""
        return tuple(self._held.values())

    def all(self) -> tuple[Strategy, ...]:
        return (*self._finished.values(), *self._held.values())

    def create(self, strategy_id: str, plan: StrategyPlan, quantity: int) -> Strategy:
        if len(self._held) >= HELD_MAX:
            raise QueueFull(f"{HELD_MAX} strategies are held", remedy="Close some first")
        return self._keep(
            Strategy(
                id=strategy_id,
                plan=plan,
                quantity=quantity,
                remaining=0,
                state=StrategyState.PENDING,
                legs=tuple(LegStatus(leg=leg) for leg in plan.legs),
            )
        )

    def restore(self, strategy: Strategy) -> None:
        """Take back a strategy from the journal, without telling anybody again."""
        self._store(strategy)

    def entered(self, strategy_id: str, fills: list[tuple[int, Fill]], *, workflow_id: str, at: datetime) -> Strategy:
        """All legs of an entry filled: the strategy is open."""
        strategy = self.get(strategy_id)
        if workflow_id in strategy.applied:
            return strategy
        legs = tuple(_after_entry(leg, [f for i, f in fills if i == index]) for index, leg in enumerate(strategy.legs))
        return self._move(
            strategy,
            StrategyState.OPEN,
            workflow_id,
            legs=legs,
            remaining=strategy.quantity,
            opened_at=at,
            entry_cash=cash_of(fill for _, fill in fills),
        )

    def exited(
        self,
        strategy_id: str,
        fills: list[tuple[int, Fill]],
        *,
        left: frozenset[int] = frozenset(),
        workflow_id: str,
        at: datetime,
        reason: str,
    ) -> Strategy:
        """What an exit filled, all of it or not. `left` are long legs that nobody bids for, left to expire."""
        strategy = self.get(strategy_id)
        if workflow_id in strategy.applied:
            return strategy
        legs = tuple(_after_exit(leg, [f for i, f in fills if i == index]) for index, leg in enumerate(strategy.legs))
        legs = tuple(
            msgspec.structs.replace(leg, state=LegState.EXPIRING) if index in left else leg
            for index, leg in enumerate(legs)
        )
        state, remaining = _state_of(legs)
        return self._move(
            strategy,
            state,
            workflow_id,
            legs=legs,
            remaining=remaining,
            closed_at=at if state is StrategyState.CLOSED else None,
            exit_cash=strategy.exit_cash + cash_of(fill for _, fill in fills),
            reason=reason,
        )

    def expired(self, strategy_id: str, *, at: datetime) -> Strategy:
        """Past its expiry nothing is held any more; what it was worth then, the venue has settled in cash."""
        strategy = self.get(strategy_id)
        legs = tuple(msgspec.structs.replace(leg, state=LegState.EXPIRED, held=0) for leg in strategy.legs)
        return self._move(
            strategy, StrategyState.CLOSED, EXPIRY, legs=legs, remaining=0, closed_at=at, reason="expired"
        )

    def entry_failed(
        self,
        strategy_id: str,
        fills: list[tuple[int, Fill]],
        unwound: list[tuple[int, Fill]],
        *,
        workflow_id: str,
        reason: str,
    ) -> Strategy:
        """An entry that did not fill: failed where everything was given back, partial where a leg is still held."""
        strategy = self.get(strategy_id)
        if workflow_id in strategy.applied:
            return strategy
        legs = []
        for index, leg in enumerate(strategy.legs):
            bought = _after_entry(leg, [f for i, f in fills if i == index])
            legs.append(_after_exit(bought, [f for i, f in unwound if i == index]))
        held = max(leg.held for leg in legs)
        return self._move(
            strategy,
            StrategyState.PARTIAL if held else StrategyState.FAILED,
            workflow_id,
            legs=tuple(legs),
            remaining=held,
            entry_cash=cash_of(fill for _, fill in fills),
            exit_cash=cash_of(fill for _, fill in unwound),
            reason=reason,
        )

    def _move(self, strategy: Strategy, state: StrategyState, workflow_id: str, **changes: object) -> Strategy:
        target = STRATEGY_MOVES.move(strategy.state, state)
        applied = (*strategy.applied[-APPLIED_MAX:], workflow_id)
        return self._keep(msgspec.structs.replace(strategy, state=target, applied=applied, **changes))

    def _keep(self, strategy: Strategy) -> Strategy:
        self._store(strategy)
        self._on_change(strategy)
        return strategy

    def _store(self, strategy: Strategy) -> None:
        if STRATEGY_MOVES.final(strategy.state):
            self._held.pop(strategy.id, None)
            self._finished.put(strategy.id, strategy)
        else:
            self._held[strategy.id] = strategy


def _after_entry(leg: LegStatus, fills: list[Fill]) -> LegStatus:
    quantity = sum(fill.quantity for fill in fills)
    if quantity == 0:
        return msgspec.structs.replace(leg, state=LegState.CANCELLED)
    paid = sum((fill.price * fill.quantity for fill in fills), Decimal(0))
    return msgspec.structs.replace(leg, state=LegState.FILLED, held=quantity, entry_price=paid / quantity)


def _after_exit(leg: LegStatus, fills: list[Fill]) -> LegStatus:
    return msgspec.structs.replace(leg, held=leg.held - sum(fill.quantity for fill in fills))


def _state_of(legs: tuple[LegStatus, ...]) -> tuple[StrategyState, int]:
    """Open while every short unit is covered; closed when nothing is held but what was left to expire."""
    shorts = {leg.held for leg in legs if leg.leg.side is Side.SELL}
    longs = [leg.held for leg in legs if leg.leg.side is Side.BUY and leg.state is not LegState.EXPIRING]
    units = max(shorts, default=0)
    if len(shorts) > 1 or any(held < units for held in longs):
        return StrategyState.PARTIAL, units
    if units:
        return StrategyState.OPEN, units
    return (StrategyState.PARTIAL, max(longs)) if any(longs) else (StrategyState.CLOSED, 0)
