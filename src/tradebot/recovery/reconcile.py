"""Holding our orders and positions against the venue's.

`catch_up` asks the venue what it remembers and feeds it through the same inbox as live news, so there is one path by
which anything becomes known. `run` then compares positions and names each difference. The venue is right about what
happened; we are right about what we meant.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from datetime import datetime, timedelta

import msgspec
import structlog

from tradebot.domain.alerts import Severity
from tradebot.domain.errors import VenueError
from tradebot.domain.instruments import OptionContract
from tradebot.domain.ranges import Seconds
from tradebot.execution.inbox import Inbox
from tradebot.execution.orders import never_arrived
from tradebot.kernel.alerts import Alerts
from tradebot.kernel.clock import Clock
from tradebot.venues.port import CLOCK_SKEW, Venue

log = structlog.get_logger(__name__)

LOOK_BACK = timedelta(days=1)  # what venues remember of executions


class ReconcileSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    interval_s: Seconds = 300.0


class Difference(msgspec.Struct, frozen=True):
    """`missing_from_store`: the venue holds what we don't know of; `naked_position`: of that, short risk;
    `position_mismatch`: both know it, the quantities differ."""

    kind: str
    contract: str
    ours: int
    venues: int


class Reconciler:
    def __init__(
        self, *, venue: Venue, inbox: Inbox, alerts: Alerts, clock: Clock, settings: ReconcileSettings
    ) -> None:
        self._venue = venue
        self._inbox = inbox
        self._alerts = alerts
        self._clock = clock
        self._settings = settings
        self._wanted = asyncio.Event()
        self._caught_up_at: datetime | None = None
        self._known: frozenset[str] = frozenset()
        self.runs = 0
        self.differences: tuple[Difference, ...] = ()

    def request(self) -> None:
        """Ask for a run soon: after a reconnect, say."""
        self._wanted.set()

    async def catch_up(self, since: datetime) -> frozenset[str]:
        """Apply what the venue remembers, fills first; returns the client ids it knows."""
        updates, executed = await asyncio.gather(self._venue.orders(), self._catch_up_fills(since))
        for update in updates:
            self._inbox.on_order(update)
        return frozenset(update.client_id for update in updates) | executed

    async def _catch_up_fills(self, since: datetime) -> frozenset[str]:
        fills = await self._venue.executions_since(since)
        for fill in fills:
            if self._inbox.orders.get(fill.client_id) is not None:  # a stranger's shows as a difference of positions
                self._inbox.on_fill(fill)
        return frozenset(fill.client_id for fill in fills)

    async def run(self) -> tuple[Difference, ...]:
        now = self._clock.now()
        if self._caught_up_at is None:
            self._known = await self.catch_up(now - LOOK_BACK)
        elif self._inbox.orders.open_orders():
            await self.catch_up(self._caught_up_at - CLOCK_SKEW)
        else:  # every order of the day, asked for each time, would take longer each time
            await self._catch_up_fills(self._caught_up_at - CLOCK_SKEW)
        self._caught_up_at = now
        self._inbox.positions.expire(self._clock.now())
        moving, before = self._moving(), self._ours()
        venues = {each.contract: each.quantity for each in await self._venue.positions() if each.quantity}
        ours = self._ours()
        # What fills while the venue answers is in one of the two and perhaps not in the other.
        moving |= self._moving() | {contract for contract, _ in before.items() ^ ours.items()}
        differences = []
        for contract in sorted(ours.keys() | venues.keys()):
            mine, theirs = ours.get(contract, 0), venues.get(contract, 0)
            if mine == theirs or contract in moving:
                continue
            kind = "position_mismatch" if mine else "naked_position" if theirs < 0 else "missing_from_store"
            differences.append(Difference(kind=kind, contract=contract.key, ours=mine, venues=theirs))
            self._alerts.raise_(
                Severity.WARNING if kind == "missing_from_store" else Severity.CRITICAL,
                kind,
                f"{contract.key}: the venue holds {theirs}, we hold {mine}",
                symbol=contract.symbol,
            )
        self.differences = tuple(differences)
        self.runs += 1
        return self.differences

    def _moving(self) -> set[OptionContract]:
        return {order.intent.contract for order in self._inbox.orders.open_orders()}

    def _ours(self) -> dict[OptionContract, int]:
        return {each.contract: each.quantity for each in self._inbox.positions.all()}

    def settle_strays(self, unfinished: Collection[str]) -> None:
        """After a restart: orders whose workflow has ended, so that nobody would ever look at them again."""
        for order in self._inbox.orders.open_orders():
            intent = order.intent
            if intent.workflow_id in unfinished:
                continue
            if intent.client_id in self._known:
                self._alerts.raise_(
                    Severity.CRITICAL,
                    "stray_order",
                    f"order {intent.client_id} is {order.state} though its workflow has ended: cancel it by hand",
                    symbol=intent.contract.symbol,
                )
            else:
                self._inbox.on_order(never_arrived(order, at=self._clock.now()))

    async def serve(self) -> None:
        """Run at each interval, and soon after each request."""
        while True:
            try:
                async with asyncio.timeout(self._settings.interval_s):
                    await self._wanted.wait()
            except TimeoutError:
                pass
            self._wanted.clear()
            try:
                await self.run()
            except VenueError as error:
                log.warning("reconcile_failed", error=str(error))
