"""Entry: from a request to an open strategy.

gates -> chain and quotes -> plan -> gates again, now with the risk -> intents, durable -> legs, filled -> open.
An entry that cannot fill all its legs gives back those it filled. `run` picks up wherever the journal says that a
crash left off: without intents it starts anew, because nothing was sent; with intents it runs those.
"""

from __future__ import annotations

import msgspec
import structlog

from tradebot.domain.alerts import Severity
from tradebot.domain.errors import Refused, StoreError, TradebotError, UnknownContract
from tradebot.domain.greeks import PositionGreeks
from tradebot.domain.instruments import OptionContract, Stock
from tradebot.domain.market import Quote
from tradebot.domain.orders import AccountSummary, OrderIntent, OrderType, Purpose, TimeInForce
from tradebot.domain.ranges import Seconds
from tradebot.domain.strategies import Strategy, StrategyPlan, StrategyState
from tradebot.domain.workflows import DryRun, EntryRequest, Workflow, WorkflowState
from tradebot.execution.context import Context
from tradebot.execution.legs import marketable_limit
from tradebot.execution.orders import client_id_of
from tradebot.execution.workflows import StepTimer
from tradebot.gates.situation import EntryProposal, Exposure

log = structlog.get_logger(__name__)

VIX = "VIX"


class EntrySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    quote_timeout_s: Seconds = 5.0
    spot_age_s_max: Seconds = 30.0  # an underlying that is silent for longer means a feed that is


def exposure(context: Context, account: AccountSummary, *, vix: float, without: str = "") -> Exposure:
    """Everything the limits look at; `without` is the strategy that an earlier life of the same entry left behind."""
    return context.valuation.exposure(
        equity=account.equity,
        strategies=tuple(each for each in context.strategies.held() if each.id != without),
        orders_in_flight=len(context.inbox.orders.open_orders()),
        vix=vix,
    )


def _strategy_id(workflow: Workflow) -> str:
    return f"s-{workflow.id}"


class Proposal(msgspec.Struct, frozen=True):
    """A plan with what it was made from."""

    plan: StrategyPlan
    quotes: dict[OptionContract, Quote]
    spot: float
    vix: float
    greeks: PositionGreeks


class Entry:
    def __init__(self, context: Context, settings: EntrySettings) -> None:
        self._context = context
        self._settings = settings

    async def dry_run(self, request: EntryRequest) -> DryRun:
        """Plan and gates for real; nothing is written or sent."""
        plan = None
        try:
            self._context.breaker.allow().released()
            proposal = await self._propose(request, StepTimer(self._context.clock))
            plan = proposal.plan
            self._check(request, proposal, await self._context.venue.account())
        except Refused as refusal:
            return DryRun(plan=plan, accepted=False, limit=refusal.limit, reason=str(refusal))
        except TradebotError as error:
            return DryRun(plan=plan, accepted=False, reason=str(error))
        return DryRun(plan=plan, accepted=True)

    async def run(self, workflow: Workflow, request: EntryRequest) -> Workflow:
        context, timer = self._context, StepTimer(self._context.clock)
        workflow = context.workflows.update(msgspec.structs.replace(workflow, state=WorkflowState.RUNNING))
        state, error, limit = WorkflowState.DONE, "", ""
        try:
            with context.breaker.allow() as permit:
                try:
                    workflow, intents = await self._ready(workflow, request, timer)
                except UnknownContract:
                    permit.released()  # a wrong symbol says nothing about the venue
                    raise
                with timer.step("legs"):
                    filled = await context.legs.run(intents)
                with timer.step("book"):
                    strategy = await self._conclude(workflow, intents, filled=filled)
                if strategy.state is not StrategyState.OPEN:
                    permit.failed()
                    state, error = WorkflowState.FAILED, strategy.reason
        except Refused as refusal:
            state, error, limit = WorkflowState.REFUSED, str(refusal), refusal.limit
        except TradebotError as failure:
            state, error = WorkflowState.FAILED, str(failure)
        return context.workflows.finish(
            workflow, state, steps=timer.steps(), at=context.clock.now(), error=error, limit=limit
        )

    async def _ready(
        self, workflow: Workflow, request: EntryRequest, timer: StepTimer
    ) -> tuple[Workflow, tuple[OrderIntent, ...]]:
        """Intents that may be sent, of an earlier life or new ones; where there are none, nothing of them is left."""
        try:
            intents = self._begun(workflow)
            return (workflow, intents) if intents else await self._prepare(workflow, request, timer)
        except TradebotError as error:
            self._give_up(workflow, reason=str(error))
            raise

    def _begun(self, workflow: Workflow) -> tuple[OrderIntent, ...]:
        """What an earlier life of this workflow had made durable; if that is not every leg, nothing was sent."""
        orders = self._context.inbox.orders.of_workflow(workflow.id)
        intents = tuple(order.intent for order in orders if order.intent.purpose is Purpose.OPEN)
        if intents and len(intents) < len(self._context.strategies.get(_strategy_id(workflow)).plan.legs):
            raise StoreError("a crash interrupted the entry before all its legs were durable", remedy="Enter again")
        return intents

    def _give_up(self, workflow: Workflow, *, reason: str) -> None:
        """Before anything was sent: neither a strategy nor an order may stay and count against the limits."""
        context, strategy_id = self._context, _strategy_id(workflow)
        context.legs.withdraw([order.intent for order in context.inbox.orders.of_workflow(workflow.id)])
        if any(each.id == strategy_id for each in context.strategies.held()):
            context.strategies.entry_failed(strategy_id, [], [], workflow_id=workflow.id, reason=reason)

    async def _prepare(
        self, workflow: Workflow, request: EntryRequest, timer: StepTimer
    ) -> tuple[Workflow, tuple[OrderIntent, ...]]:
        """Everything before the first order: afterwards the strategy exists and the intents are durable."""
        context = self._context
        proposal = await self._propose(request, timer)
        with timer.step("gates"):
            account = await context.venue.account()
            # From here to `reserve` nothing waits: what passed is counted before anybody else is checked.
            strategy_id = _strategy_id(workflow)
            self._check(request, proposal, account, without=strategy_id)
            strategy = context.strategies.create(strategy_id, proposal.plan, request.quantity)
            context.valuation.reserve(strategy.id, request.symbol, proposal.greeks)
        workflow = context.workflows.update(msgspec.structs.replace(workflow, strategy_id=strategy.id))
        intents = self._intents(workflow, proposal, request.quantity)
        with timer.step("journal"):
            await context.legs.commit(intents)
        return workflow, intents

    async def _propose(self, request: EntryRequest, timer: StepTimer) -> Proposal:
        context, timeout_s = self._context, self._settings.quote_timeout_s
        with timer.step("quotes"):
            stock, vix = Stock(symbol=request.symbol), Stock(symbol=VIX)
            await context.lines.ensure([stock, vix])
            chain = await context.venue.chain(request.symbol)
            fear = (await context.board.wait_for([vix], timeout_s=timeout_s))[vix]
            busy = await context.board.wait_for([stock], timeout_s=timeout_s, max_age_s=self._settings.spot_age_s_max)
            spot, at = busy[stock].mid, context.clock.now()
            candidates = context.planner.candidates(request.kind, chain, spot=spot, at=at)
            async with context.lines.held(candidates):
                found = await context.board.wait_for(candidates, timeout_s=timeout_s)
            quotes = {each: quote for each, quote in found.items() if isinstance(each, OptionContract)}
        with timer.step("plan"):
            plan = context.planner.build(request.kind, quotes, spot=spot, at=at)
            greeks = context.planner.greeks(plan, quotes, quantity=request.quantity, spot=spot, at=at)
        return Proposal(plan=plan, quotes=quotes, spot=spot, vix=fear.mid, greeks=greeks)

    def _check(self, request: EntryRequest, proposal: Proposal, account: AccountSummary, *, without: str = "") -> None:
        context = self._context
        context.gates.check(
            EntryProposal(
                plan=proposal.plan,
                quantity=request.quantity,
                greeks=proposal.greeks,
                price=proposal.spot,
                exposure=exposure(context, account, vix=proposal.vix, without=without),
            )
        )

    def _intents(self, workflow: Workflow, proposal: Proposal, quantity: int) -> tuple[OrderIntent, ...]:
        return tuple(
            OrderIntent(
                client_id=client_id_of(workflow.id, index, Purpose.OPEN),
                workflow_id=workflow.id,
                strategy_id=workflow.strategy_id,
                leg=index,
                contract=leg.contract,
                side=leg.side,
                quantity=quantity,
                order_type=OrderType.LIMIT,
                limit=marketable_limit(
                    proposal.quotes[leg.contract], leg.side, slippage=self._context.legs.settings.slippage
                ),
                tif=TimeInForce.DAY,
                at=self._context.clock.now(),
            )
            for index, leg in enumerate(proposal.plan.legs)
        )

    async def _conclude(self, workflow: Workflow, intents: tuple[OrderIntent, ...], *, filled: bool) -> Strategy:
        context = self._context
        strategy = context.strategies.get(workflow.strategy_id)
        if workflow.id in strategy.applied:
            return strategy  # an earlier life came this far, and only the workflow's end was lost
        fills = context.legs.fills(intents)
        if filled:
            return context.strategies.entered(
                workflow.strategy_id, fills, workflow_id=workflow.id, at=context.clock.now()
            )
        try:
            unwinding = await self._unwind(workflow, intents)
        except TradebotError as error:
            # Without a durable intent nothing is sent: the legs stay, and monitoring will try again.
            log.error("not_unwound", strategy_id=strategy.id, error=str(error))
            unwinding = ()
        reason = next(
            (
                order.reason
                for order in context.inbox.orders.of_workflow(workflow.id)
                if order.reason and order.intent.purpose is Purpose.OPEN
            ),
            "the legs did not fill in time",
        )
        strategy = context.strategies.entry_failed(
            workflow.strategy_id,
            context.legs.fills(intents),
            context.legs.fills(unwinding),
            workflow_id=workflow.id,
            reason=reason,
        )
        if strategy.state is StrategyState.PARTIAL:
            context.alerts.raise_(
                Severity.CRITICAL,
                "partial_entry",
                f"{strategy.id} holds legs that could not be given back",
                symbol=strategy.plan.symbol,
            )
        return strategy

    async def _unwind(self, workflow: Workflow, intents: tuple[OrderIntent, ...]) -> tuple[OrderIntent, ...]:
        """Give back what was filled, at the market; an unwinding that a crash interrupted is taken up again."""
        context = self._context
        begun = {
            order.intent.client_id: order.intent
            for order in context.inbox.orders.of_workflow(workflow.id)
            if order.intent.purpose is Purpose.UNWIND
        }
        unwinding = []
        for intent in intents:
            order = context.inbox.orders.get(intent.client_id)
            client_id = client_id_of(workflow.id, intent.leg, Purpose.UNWIND)
            if client_id in begun:
                unwinding.append(begun[client_id])
            elif order is not None and order.filled:
                unwinding.append(
                    msgspec.structs.replace(
                        intent,
                        client_id=client_id,
                        side=intent.side.opposite,
                        quantity=order.filled,
                        order_type=OrderType.MARKET,
                        limit=None,
                        at=context.clock.now(),
                        purpose=Purpose.UNWIND,
                    )
                )
        await context.legs.commit([intent for intent in unwinding if intent.client_id not in begun])
        await context.legs.run(unwinding)
        return tuple(unwinding)
