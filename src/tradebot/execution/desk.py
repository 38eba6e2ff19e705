"""The desk: where requests come in, from the API or from a decision, and become running workflows."""

from __future__ import annotations

import asyncio
import math

from tradebot.domain.alerts import Severity
from tradebot.domain.errors import QueueFull, Refused
from tradebot.domain.instruments import Stock
from tradebot.domain.workflows import DryRun, EntryRequest, ExitRequest, Workflow, WorkflowState
from tradebot.execution.context import Context
from tradebot.execution.entry import VIX, Entry, EntrySettings, exposure
from tradebot.execution.exit import Exit

QUANTITY_MAX = 1_000
ROOM_POLL_S = 0.05


class Desk:
    def __init__(self, context: Context, settings: EntrySettings) -> None:
        self._context = context
        self._entry = Entry(context, settings)
        self._exit = Exit(context)

    async def enter(self, request: EntryRequest, key: str | None = None) -> tuple[Workflow, bool]:
        """Accept an entry, durably, and start it; a key that was seen answers with its workflow."""
        _check_quantity(request.quantity)
        workflow, new = await self._context.workflows.accept(request, key)
        if new:
            self._start(workflow)
        return workflow, new

    async def exit(self, request: ExitRequest, key: str | None = None) -> tuple[Workflow, bool]:
        if request.quantity is not None:
            _check_quantity(request.quantity)
        self._context.strategies.get(request.strategy_id)
        workflow, new = await self._context.workflows.accept(request, key)
        if new:
            self._start(workflow)
        return workflow, new

    async def dry_run(self, request: EntryRequest) -> DryRun:
        _check_quantity(request.quantity)
        return await self._entry.dry_run(request)

    async def capacity(self, symbol: str) -> dict[str, float | None]:
        """What each limit leaves for an entry in this symbol; None: it does not apply."""
        context = self._context
        account = await context.venue.account()
        vix = context.board.latest(Stock(symbol=VIX))
        now = exposure(context, account, vix=math.nan if vix is None else vix.mid)
        return context.gates.capacity(now, symbol)

    def exiting(self, strategy_id: str) -> bool:
        return self._exit.busy(strategy_id)

    async def resume(self, workflow: Workflow) -> None:
        """After a restart and a reconciliation: take up one that had not ended, as soon as there is room for it."""
        while workflow.id not in self._context.supervisor.alive():
            try:
                self._run(workflow)
            except QueueFull:
                await asyncio.sleep(ROOM_POLL_S)

    def _start(self, workflow: Workflow) -> None:
        try:
            self._run(workflow)
        except QueueFull as error:
            self._fail(workflow, str(error))
            raise

    def _run(self, workflow: Workflow) -> None:
        self._context.supervisor.run(workflow.id, self._to_the_end(workflow))

    async def _to_the_end(self, workflow: Workflow) -> None:
        """A workflow ends with a word on it, whatever happens; one that a stop interrupts is taken up again."""
        request = workflow.request
        try:
            if isinstance(request, EntryRequest):
                await self._entry.run(workflow, request)
            else:
                await self._exit.run(workflow, request)
        except Exception as error:
            self._fail(workflow, f"an error of the bot itself: {error!r}")
            self._context.alerts.raise_(
                Severity.CRITICAL, "workflow_broken", f"{workflow.id} ended by {error!r}: look at what it holds"
            )
            raise

    def _fail(self, workflow: Workflow, error: str) -> None:
        context = self._context
        latest = context.workflows.get(workflow.id)
        context.workflows.finish(latest, WorkflowState.FAILED, steps=(), at=context.clock.now(), error=error)


def _check_quantity(quantity: int) -> None:
    if not 1 <= quantity <= QUANTITY_MAX:
        raise Refused("quantity", f"a quantity of {quantity} is not between 1 and {QUANTITY_MAX}")
