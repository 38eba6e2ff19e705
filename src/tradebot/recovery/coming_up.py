"""Coming up: from a replayed journal to a bot that may trade.

reach the venue -> stream what we hold -> reconcile -> settle strays -> take up what was under way -> ready. Each step
waits as long as the venue needs; nothing is accepted before the last one. After a reconnect the lines and the
reconciliation come again, the rest does not.
"""

from __future__ import annotations

import asyncio

import structlog

from tradebot.domain.alerts import Severity
from tradebot.domain.errors import LimitExceeded, VenueError
from tradebot.domain.instruments import Instrument, Stock
from tradebot.execution.context import Context
from tradebot.execution.desk import Desk
from tradebot.execution.entry import VIX
from tradebot.kernel.retry import Backoff
from tradebot.recovery.reconcile import Reconciler

log = structlog.get_logger(__name__)

CONNECT_AGAIN = Backoff(initial_s=0.2, max_s=10.0)


class ComingUp:
    def __init__(
        self, context: Context, *, desk: Desk, reconciler: Reconciler, symbols: tuple[str, ...], seed: int
    ) -> None:
        self._context = context
        self._desk = desk
        self._reconciler = reconciler
        self._underlyings: tuple[Instrument, ...] = tuple(Stock(symbol=symbol) for symbol in (*symbols, VIX))
        self._seed = seed
        self.done = asyncio.Event()
        context.lines.pin(self._underlyings)

    async def serve(self) -> None:
        """Come up once; then there is nothing more to do."""
        await self._agree_with_the_venue()
        unfinished = self._context.workflows.unfinished()
        self._reconciler.settle_strays({workflow.id for workflow in unfinished})
        for workflow in unfinished:
            await self._desk.resume(workflow)
        log.info("ready", resumed=len(unfinished), differences=len(self._reconciler.differences))
        self.done.set()
        await asyncio.Event().wait()

    async def restore_lines(self) -> None:
        try:
            await self._context.lines.restore()
        except VenueError as error:
            log.warning("lines_not_restored", error=str(error))

    async def _agree_with_the_venue(self) -> None:
        venue = self._context.venue
        for delay_s in CONNECT_AGAIN.delays_s(self._seed):
            try:
                if not venue.connected:
                    await venue.connect(self._context.inbox)
                await self._stream()
                await self._reconciler.run()
            except VenueError as error:
                log.warning("venue_not_reached", error=str(error))
                await asyncio.sleep(delay_s)
            else:
                return

    async def _stream(self) -> None:
        """The underlyings and the legs we hold; more legs than lines must not keep the bot from coming up."""
        legs = (leg.leg.contract for each in self._context.strategies.held() for leg in each.legs if leg.held)
        try:
            await self._context.lines.ensure([*self._underlyings, *legs])
        except LimitExceeded as error:
            self._context.alerts.raise_(Severity.CRITICAL, "market_lines", f"legs we hold are not streamed: {error}")
            await self._context.lines.ensure(self._underlyings)
