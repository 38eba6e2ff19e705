"""Monitoring: what every open strategy is worth, and what the decision engine says about it.

    quotes -> book -> view of each strategy -> engine -> decision -> exit workflow, alert

One cycle looks at every strategy in the order in which they were opened. A decision that needs an order becomes a
workflow like any other; a strategy that is being closed is left alone until that has ended.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

import msgspec
import structlog

from tradebot.decisions.engine import DecisionEngine
from tradebot.domain.alerts import Severity
from tradebot.domain.decisions import HOLD, Action, Decision, Urgency
from tradebot.domain.errors import TradebotError
from tradebot.domain.events import Decided, Event, GreeksChanged
from tradebot.domain.greeks import PositionGreeks
from tradebot.domain.ranges import Seconds
from tradebot.domain.strategies import Strategy, StrategyState
from tradebot.domain.workflows import ExitRequest
from tradebot.execution.context import Context
from tradebot.execution.desk import Desk
from tradebot.execution.positions import SETTLED_AFTER
from tradebot.execution.valuation import Valuation
from tradebot.pricing.calendar import expiry_instant

log = structlog.get_logger(__name__)


class MonitoringSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    cycle_s: Seconds = 1.0
    repair_every_s: Seconds = 300.0  # a leg that nobody would buy just now will not find a buyer each second


class Monitoring:
    def __init__(
        self,
        context: Context,
        *,
        desk: Desk,
        engine: DecisionEngine,
        valuation: Valuation,
        publish: Callable[[Event], None],
        settings: MonitoringSettings,
    ) -> None:
        self._context = context
        self._desk = desk
        self._engine = engine
        self._valuation = valuation
        self._publish = publish
        self._settings = settings
        self._repaired_s: dict[str, float] = {}
        self.cycles = 0
        self.last_cycle_ms = 0.0

    async def serve(self) -> None:
        while True:
            await self.cycle()
            await asyncio.sleep(self._settings.cycle_s)

    async def cycle(self) -> None:
        clock = self._context.clock
        begin_s = clock.monotonic_s()
        now = clock.now()
        self._context.book.revalue(now)
        held = self._context.strategies.held()
        self._repaired_s = {each.id: self._repaired_s[each.id] for each in held if each.id in self._repaired_s}
        for strategy in held:
            if strategy.state is StrategyState.PENDING or self._desk.exiting(strategy.id):
                continue
            if expiry_instant(strategy.plan.expiry) + SETTLED_AFTER < now:
                self._expire(strategy)
                continue
            decision = await self._decide(strategy)
            if decision.action is not Action.HOLD:
                self._publish(Decided(strategy_id=strategy.id, decision=decision, at=now))
                await self._act(strategy, decision)
        self._publish(
            GreeksChanged(at=now, portfolio=self._context.book.portfolio(), by_symbol=self.greeks_by_symbol())
        )
        self.cycles += 1
        self.last_cycle_ms = (clock.monotonic_s() - begin_s) * 1e3

    def greeks_by_symbol(self) -> dict[str, PositionGreeks]:
        book = self._context.book
        return {symbol: book.underlying(symbol) for symbol in sorted(book.symbols())}

    def _expire(self, strategy: Strategy) -> None:
        """Nobody closed it in time: no order can, and monitoring it would go on for ever."""
        self._context.strategies.expired(strategy.id, at=self._context.clock.now())
        self._context.alerts.raise_(
            Severity.CRITICAL,
            "expired",
            f"{strategy.id} was held into its expiry: see the venue's statement for what it was settled at",
            symbol=strategy.plan.symbol,
        )

    async def _decide(self, strategy: Strategy) -> Decision:
        if strategy.state is StrategyState.OPEN:
            return await self._engine.decide(self._valuation.view(strategy))
        now_s = self._context.clock.monotonic_s()
        if now_s < self._repaired_s.get(strategy.id, -math.inf) + self._settings.repair_every_s:
            return HOLD
        self._repaired_s[strategy.id] = now_s
        return Decision(
            action=Action.CLOSE, rule="partial", reason="its legs no longer match", urgency=Urgency.IMMEDIATE
        )

    async def _act(self, strategy: Strategy, decision: Decision) -> None:
        if decision.action not in {Action.CLOSE, Action.REDUCE}:
            return
        try:
            if strategy.state is StrategyState.PARTIAL:
                self._context.breaker.allow().released()  # a repair that keeps failing must not hammer the venue
            request = ExitRequest(
                strategy_id=strategy.id, quantity=decision.quantity, reason=f"{decision.rule}: {decision.reason}"
            )
            await self._desk.exit(request)
        except TradebotError as error:
            log.warning("exit_not_started", strategy_id=strategy.id, error=str(error))
            return
        self._context.alerts.raise_(
            Severity.WARNING if decision.urgency is Urgency.IMMEDIATE else Severity.INFO,
            f"decision.{decision.rule}",
            f"{decision.action} {strategy.id}: {decision.reason}",
            symbol=strategy.plan.symbol,
        )
