"""The rooms that send orders, with a venue and a journal that do what a test tells them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, cast

from support.facts import NOON, fill, update
from tradebot.domain.alerts import Alert
from tradebot.domain.errors import StoreError, VenueError
from tradebot.domain.events import Event
from tradebot.domain.instruments import Instrument, OptionChain, OptionContract
from tradebot.domain.orders import AccountSummary, Fill, OrderIntent, OrderState, OrderUpdate, Position
from tradebot.execution.inbox import Inbox
from tradebot.execution.legs import LegRunner, LegSettings
from tradebot.execution.orders import OrderTracker
from tradebot.execution.outbox import Outbox
from tradebot.execution.positions import Positions
from tradebot.execution.workflows import Workflows
from tradebot.kernel.alerts import Alerts
from tradebot.kernel.bounds import Bounds
from tradebot.kernel.bus import Bus, WhenFull
from tradebot.kernel.clock import Clock
from tradebot.market.board import QuoteBoard
from tradebot.recovery.reconcile import Reconciler, ReconcileSettings
from tradebot.store.records import IntentRecorded, Record
from tradebot.venues.port import Capabilities, VenueListener

Story = Sequence[OrderUpdate | Fill]


class FakeJournal:
    """Keeps records in order; fails, or waits, when it is told to."""

    def __init__(self, happened: list[Any]) -> None:
        self.records: list[Record] = []
        self.failing = False
        self.gate: asyncio.Event | None = None
        self._happened = happened

    async def append(self, record: Record) -> None:
        if self.gate is not None:
            await self.gate.wait()
        if self.failing:
            raise StoreError("the record may not be durable")
        self.note(record)

    def note(self, record: Record) -> None:
        self.records.append(record)
        if isinstance(record, IntentRecorded):
            self._happened.append(("durable", record.intent.client_id))


class FakeVenue:
    """Answers each order with the story a test wrote for it; without one it fills at once."""

    def __init__(self, happened: list[Any]) -> None:
        self.capabilities = Capabilities(name="fake", order_types=frozenset(), market_lines_max=100)
        self.connected = True
        self.listener: VenueListener | None = None
        self.place_fails: frozenset[str] = frozenset()
        self.unreachable = False
        self.stories: dict[str, Story] = {}
        self.cancelled: dict[str, Story] = {}
        self.remembered: list[OrderUpdate] = []
        self.executed: list[Fill] = []
        self.held: tuple[Position, ...] = ()
        self.meanwhile: Callable[[], None] = lambda: None
        self.asked_since: list[datetime] = []
        self._happened = happened

    async def place(self, intent: OrderIntent) -> None:
        client_id = intent.client_id
        self._happened.append(("placed", client_id))
        whole: Story = (
            update(OrderState.FILLED, intent.quantity, client_id=client_id),
            fill(f"e-{client_id}", intent.quantity, client_id=client_id, leg=intent.leg, side=intent.side),
        )
        asyncio.get_running_loop().call_soon(self._tell, self.stories.get(client_id, whole))
        if client_id in self.place_fails:
            raise VenueError("the wire broke")

    async def cancel(self, client_id: str) -> None:
        self._happened.append(("cancel", client_id))
        if self.unreachable:
            raise VenueError("nobody answers")
        self._tell(self.cancelled.get(client_id, ()))

    async def orders(self) -> tuple[OrderUpdate, ...]:
        if self.unreachable:
            raise VenueError("nobody answers")
        return tuple(self.remembered)

    async def executions_since(self, since: datetime) -> tuple[Fill, ...]:
        if self.unreachable:
            raise VenueError("nobody answers")
        self.asked_since.append(since)
        return tuple(each for each in self.executed if each.at >= since)

    async def positions(self) -> tuple[Position, ...]:
        self.meanwhile()
        return self.held

    async def connect(self, listener: VenueListener) -> None:
        self.listener = listener

    async def close(self) -> None:
        self.listener = None

    async def account(self) -> AccountSummary:
        return AccountSummary(account="F", equity=Decimal(1), cash=Decimal(1), buying_power=Decimal(1), at=NOON)

    async def chain(self, symbol: str) -> OptionChain:
        return OptionChain(symbol=symbol, multiplier=100, expiries=(), strikes=())

    async def subscribe(self, instruments: Sequence[Instrument]) -> None: ...

    async def unsubscribe(self, instruments: Sequence[Instrument]) -> None: ...

    def _tell(self, story: Story) -> None:
        if self.listener is not None:
            for word in story:
                if isinstance(word, Fill):
                    self.listener.on_fill(word)
                else:
                    self.listener.on_order(word)


class Rig:
    """Call it on the loop; `happened` holds what became durable and what was sent, in order."""

    def __init__(self, **settings: Any) -> None:
        self.happened: list[Any] = []
        self.clock = Clock(asyncio.get_running_loop(), NOON)
        self.bounds = Bounds()
        self.journal = cast(Any, FakeJournal(self.happened))
        self.venue = FakeVenue(self.happened)
        self.bus: Bus[Event] = Bus(self.bounds)
        self.heard = self.bus.subscribe("test", capacity=1_000, when_full=WhenFull.REFUSE)
        self.outbox = Outbox(self.journal, self.bus)
        self.raised: list[Alert] = []
        self.alerts = Alerts(self.clock, self.bounds, self.raised.append)
        self.reconnects_seen = 0
        self.board = QuoteBoard(self.clock, self.bounds)
        self.tracker = OrderTracker(self.bounds)
        self.inbox = Inbox(
            venue_name="fake",
            clock=self.clock,
            board=self.board,
            orders=self.tracker,
            positions=Positions(),
            outbox=self.outbox,
            alerts=self.alerts,
            on_reconnect=self._on_reconnect,
        )
        self.venue.listener = self.inbox
        self.reconciler = Reconciler(
            venue=self.venue,
            inbox=self.inbox,
            alerts=self.alerts,
            clock=self.clock,
            settings=ReconcileSettings(interval_s=60.0),
        )
        self.legs = LegRunner(
            venue=self.venue,
            inbox=self.inbox,
            catch_up=self.reconciler.catch_up,
            journal=self.journal,
            outbox=self.outbox,
            clock=self.clock,
            settings=LegSettings(**settings),
        )
        self.workflows = Workflows(clock=self.clock, bounds=self.bounds, journal=self.journal, outbox=self.outbox)

    def sent(self) -> list[str]:
        return [name for what, name in self.happened if what == "placed"]

    def alerts_raised(self) -> list[tuple[str, str]]:
        return [(str(each.severity), each.source) for each in self.raised]

    def hold(self, contract: OptionContract, quantity: int) -> None:
        self.venue.held = (*self.venue.held, Position(contract=contract, quantity=quantity))

    def _on_reconnect(self) -> None:
        self.reconnects_seen += 1
