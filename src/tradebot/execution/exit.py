"""Exit: from a decision or a request to fewer units, or none.

Each leg closes what it holds beyond the units that shall remain, so an exit that filled only some legs is finished
by the next one, and nothing is ever closed twice. A long leg that nobody bids for is left to expire: it can lose no
more, and an order to sell it would rest for ever. One exit a strategy at a time. No gate and no breaker stands in the
way of reducing risk. `run` resumes like an entry.
"""

from __future__ import annotations

import msgspec

from tradebot.domain.alerts import Severity
from tradebot.domain.errors import Refused, TradebotError
from tradebot.domain.orders import OrderIntent, OrderType, Purpose, Side, TimeInForce
from tradebot.domain.strategies import LegStatus, Strategy, StrategyState
from tradebot.domain.workflows import ExitRequest, Workflow, WorkflowState
from tradebot.execution.context import Context
from tradebot.execution.legs import marketable_limit
from tradebot.execution.orders import client_id_of
from tradebot.execution.workflows import StepTimer


class Exit:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._exiting: set[str] = set()  # bounded by the strategies held

    def busy(self, strategy_id: str) -> bool:
        return strategy_id in self._exiting

    async def run(self, workflow: Workflow, request: ExitRequest) -> Workflow:
        context, timer = self._context, StepTimer(self._context.clock)
        workflow = context.workflows.update(
            msgspec.structs.replace(workflow, state=WorkflowState.RUNNING, strategy_id=request.strategy_id)
        )
        if self.busy(request.strategy_id):
            error = f"{request.strategy_id} is being closed already"
            return context.workflows.finish(
                workflow,
                WorkflowState.REFUSED,
                steps=timer.steps(),
                at=context.clock.now(),
                error=error,
                limit="one_exit_at_a_time",
            )
        self._exiting.add(request.strategy_id)
        try:
            return await self._run(workflow, request, timer)
        finally:
            self._exiting.discard(request.strategy_id)

    async def _run(self, workflow: Workflow, request: ExitRequest, timer: StepTimer) -> Workflow:
        context = self._context
        state, error, limit = WorkflowState.DONE, "", ""
        try:
            intents = tuple(order.intent for order in context.inbox.orders.of_workflow(workflow.id))
            if not intents:
                with timer.step("plan"):
                    intents = self._intents(workflow, request)
                with timer.step("journal"):
                    await context.legs.commit(intents)
            with timer.step("legs"):
                filled = await context.legs.run(intents)
            with timer.step("book"):
                strategy = context.strategies.exited(
                    request.strategy_id,
                    context.legs.fills(intents),
                    left=self._left(request, intents),
                    workflow_id=workflow.id,
                    at=context.clock.now(),
                    reason=request.reason,
                )
            if not filled:
                state, error = WorkflowState.FAILED, "not every leg filled"
            if strategy.state is StrategyState.PARTIAL:
                context.alerts.raise_(
                    Severity.CRITICAL, "partial_exit", f"{strategy.id} is closed in part", symbol=strategy.plan.symbol
                )
        except Refused as refusal:
            state, error, limit = WorkflowState.REFUSED, str(refusal), refusal.limit
        except TradebotError as failure:
            state, error = WorkflowState.FAILED, str(failure)
        return context.workflows.finish(
            workflow, state, steps=timer.steps(), at=context.clock.now(), error=error, limit=limit
        )

    def _intents(self, workflow: Workflow, request: ExitRequest) -> tuple[OrderIntent, ...]:
        strategy = self._context.strategies.get(request.strategy_id)
        if strategy.state not in {StrategyState.OPEN, StrategyState.PARTIAL}:
            raise Refused("not_open", f"{strategy.id} is {strategy.state}: there is nothing to close")
        units = strategy.remaining if request.quantity is None else min(request.quantity, strategy.remaining)
        keep = strategy.remaining - units
        return tuple(
            self._intent(workflow, strategy, index, leg, leg.held - keep)
            for index, leg in enumerate(strategy.legs)
            if leg.held > keep and not self._unsellable(leg)
        )

    def _unsellable(self, leg: LegStatus) -> bool:
        quote = self._context.board.latest(leg.leg.contract)
        return leg.leg.side is Side.BUY and quote is not None and quote.bid <= 0.0

    def _left(self, request: ExitRequest, intents: tuple[OrderIntent, ...]) -> frozenset[int]:
        """Legs still held that the exit of everything gave no order for."""
        if request.quantity is not None:
            return frozenset()
        closing = {intent.leg for intent in intents}
        legs = self._context.strategies.get(request.strategy_id).legs
        return frozenset(index for index, leg in enumerate(legs) if leg.held and index not in closing)

    def _intent(self, workflow: Workflow, strategy: Strategy, index: int, leg: LegStatus, quantity: int) -> OrderIntent:
        """Marketable at the last quote we have; at the market where there is none."""
        side = leg.leg.side.opposite
        quote = self._context.board.latest(leg.leg.contract)
        slippage = self._context.legs.settings.slippage
        return OrderIntent(
            client_id=client_id_of(workflow.id, index, Purpose.CLOSE),
            workflow_id=workflow.id,
            strategy_id=strategy.id,
            leg=index,
            contract=leg.leg.contract,
            side=side,
            quantity=quantity,
            order_type=OrderType.MARKET if quote is None else OrderType.LIMIT,
            limit=None if quote is None else marketable_limit(quote, side, slippage=slippage),
            tif=TimeInForce.DAY,
            at=self._context.clock.now(),
            purpose=Purpose.CLOSE,
        )
