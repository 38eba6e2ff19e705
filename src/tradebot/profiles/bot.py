"""The bot: one of each room, put together with a profile's numbers, started and stopped in order.

start: store -> replay -> (in the background, until the venue is there) connect -> reconcile -> resume -> ready.
stop: tasks -> venue -> recorder and log -> store, so that what was said last is still written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from tradebot.decisions.engine import DecisionEngine
from tradebot.domain.alerts import Alert, Severity
from tradebot.domain.errors import QueueFull, SettingsError
from tradebot.domain.events import AlertChanged, Event, StrategyChanged
from tradebot.domain.greeks import PositionGreeks
from tradebot.domain.strategies import Strategy, StrategyKind
from tradebot.execution.autopilot import Autopilot
from tradebot.execution.context import Context
from tradebot.execution.desk import Desk
from tradebot.execution.inbox import Inbox
from tradebot.execution.legs import LegRunner
from tradebot.execution.monitoring import Monitoring
from tradebot.execution.orders import OrderTracker
from tradebot.execution.outbox import Outbox
from tradebot.execution.planner import Planner
from tradebot.execution.positions import Positions
from tradebot.execution.strategies import Strategies
from tradebot.execution.valuation import Valuation
from tradebot.execution.workflows import Workflows
from tradebot.gates.breaker import Breaker
from tradebot.gates.portfolio import Gates
from tradebot.kernel.alerts import Alerts
from tradebot.kernel.bounds import Bounds
from tradebot.kernel.bus import Bus
from tradebot.kernel.clock import Clock
from tradebot.kernel.event_log import EventLog
from tradebot.kernel.pauses import Pauses
from tradebot.kernel.supervisor import Supervisor
from tradebot.market.board import QuoteBoard
from tradebot.market.lines import MarketLines
from tradebot.pricing.book import Book
from tradebot.pricing.warmup import WarmUp, warm_up
from tradebot.profiles.health import health_of
from tradebot.profiles.recorder import Recorder
from tradebot.profiles.settings import Settings
from tradebot.recovery.coming_up import ComingUp
from tradebot.recovery.reconcile import Reconciler
from tradebot.recovery.replay import replay
from tradebot.store.door import InlineDoor, ThreadDoor
from tradebot.store.records import AlertRecorded, StrategyRecorded
from tradebot.store.store import Store, StoreSettings
from tradebot.store.writer import LakeSettings
from tradebot.venues.port import Venue

log = structlog.get_logger(__name__)

COMPACT_EVERY_S = 3600.0
REMEMBER = timedelta(days=75)  # longer than any option we enter lives: its fills explain what is still held
LAKE_LOOK_BACK = timedelta(days=1)


class Bot:
    def __init__(
        self, settings: Settings, *, clock: Clock, bounds: Bounds, venue: Venue, virtual: bool, event_log: Path | None
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.bounds = bounds
        self.venue = venue
        self.started_at: datetime = clock.now()
        self.bus: Bus[Event] = Bus(bounds)
        doors = InlineDoor if virtual else partial(ThreadDoor, bounds=bounds)
        # Delta's retention reads the machine's clock, which under a virtual one is nobody's.
        lake = LakeSettings(interval_s=60.0, retention=timedelta(0)) if virtual else LakeSettings()
        self.store = Store(
            StoreSettings(data_dir=Path(settings.data_dir), lake=lake),
            clock=clock,
            bounds=bounds,
            doors=doors,
            seed=settings.seed,
        )
        self.outbox = Outbox(self.store.journal, self.bus)
        self.pauses = Pauses(clock, bounds)
        self._virtual = virtual
        self.supervisor = Supervisor(bounds, seed=settings.seed, jobs_max=settings.jobs_max)
        self.alerts = Alerts(clock, bounds, self._on_alert)
        self.strategies = Strategies(bounds, self._on_strategy)
        self.workflows = Workflows(clock=clock, bounds=bounds, journal=self.store.journal, outbox=self.outbox)
        self._build_market(settings)
        self._build_execution(settings)
        self._recorder = Recorder(self.bus, self.inbox.positions, self.store.writer)
        self._event_log = EventLog(event_log, self.bus) if event_log is not None else None

    def _build_market(self, settings: Settings) -> None:
        self.board = QuoteBoard(self.clock, self.bounds)
        self.lines = MarketLines(
            self.venue,
            self.board,
            self.bounds,
            limit=self.venue.capabilities.market_lines_max,
            on_crowded=self._on_crowded,
        )
        self.book = Book(settings.book_capacity)
        self.kernels: WarmUp | None = None
        self._cache_dir = Path(settings.cache_dir).expanduser()
        self.bounds.register("pricing.book", self.book.__len__, settings.book_capacity)
        self.valuation = Valuation(
            book=self.book, board=self.board, lines=self.lines, clock=self.clock, rate=settings.rate
        )
        self.board.listen(self.valuation.on_quote)

    def _build_execution(self, settings: Settings) -> None:
        self.inbox = Inbox(
            venue_name=self.venue.capabilities.name,
            clock=self.clock,
            board=self.board,
            orders=OrderTracker(self.bounds),
            positions=Positions(),
            outbox=self.outbox,
            alerts=self.alerts,
            on_reconnect=self._on_reconnect,
        )
        self.reconciler = Reconciler(
            venue=self.venue, inbox=self.inbox, alerts=self.alerts, clock=self.clock, settings=settings.reconcile
        )
        self.breaker = Breaker("venue", settings.breaker, now_s=self.clock.monotonic_s, bounds=self.bounds)
        self.gates = Gates(settings.limits)
        self.context = Context(
            clock=self.clock,
            venue=self.venue,
            board=self.board,
            lines=self.lines,
            book=self.book,
            valuation=self.valuation,
            planner=Planner(
                {StrategyKind.IRON_CONDOR: settings.iron_condor, StrategyKind.VERTICAL: settings.vertical},
                rate=settings.rate,
            ),
            gates=self.gates,
            breaker=self.breaker,
            inbox=self.inbox,
            legs=LegRunner(
                venue=self.venue,
                inbox=self.inbox,
                catch_up=self.reconciler.catch_up,
                journal=self.store.journal,
                outbox=self.outbox,
                clock=self.clock,
                settings=settings.legs,
            ),
            strategies=self.strategies,
            workflows=self.workflows,
            alerts=self.alerts,
            supervisor=self.supervisor,
        )
        self.desk = Desk(self.context, settings.entry)
        self._coming_up = ComingUp(
            self.context, desk=self.desk, reconciler=self.reconciler, symbols=settings.symbols, seed=settings.seed
        )
        self.monitoring = Monitoring(
            self.context,
            desk=self.desk,
            engine=DecisionEngine((settings.take_profit, settings.stop_loss, settings.time_exit)),
            valuation=self.valuation,
            publish=self.outbox.publish,
            settings=settings.monitoring,
        )

    @property
    def ready(self) -> bool:
        return self._coming_up.done.is_set() and self.venue.connected

    async def start(self) -> None:
        """Return once the journal is replayed; the venue is reached in the background, see `ready`."""
        try:
            await self.store.start()
        except OSError as error:
            raise SettingsError(f"setting data_dir: {error.filename} cannot be used: {error.strerror}") from None
        self.kernels = warm_up(self._cache_dir, self._on_compile)
        if self.kernels.problem:
            log.warning("kernels_not_cached", reason=self.kernels.problem)
        seen = await replay(
            self.store.journal.replay(),
            orders=self.inbox.orders,
            positions=self.inbox.positions,
            strategies=self.strategies,
            workflows=self.workflows,
            alerts=self.alerts,
        )
        log.info("replayed", **seen)
        self.book.revalue(self.clock.now())
        for strategy in self.strategies.held():
            self.valuation.on_strategy(strategy)
        await self._recorder.catch_up(self.store.lake, self.inbox.orders.all(), since=self.clock.now() - LAKE_LOOK_BACK)
        if self._event_log is not None:
            self.supervisor.service("event_log", self._event_log.serve)
        if not self._virtual:  # there nothing is late, and a timer every moment would be all that happens
            self.pauses.start()
            self.supervisor.service("pauses", self.pauses.serve)
        self.supervisor.service("recorder", self._recorder.serve)
        self.supervisor.service("coming_up", self._coming_up.serve)
        self.supervisor.service("reconciler", self._when_ready(self.reconciler.serve))
        self.supervisor.service("monitoring", self._when_ready(self.monitoring.serve))
        if self.settings.autopilot.every_s > 0:
            pilot = Autopilot(self.desk, self.settings.symbols, self.settings.autopilot)
            self.supervisor.service("autopilot", self._when_ready(pilot.serve))
        self.supervisor.service("compaction", self._compact)

    async def wait_ready(self) -> None:
        await self._coming_up.done.wait()

    async def stop(self) -> None:
        """Leave no task, thread, socket or file behind; harmless when already stopped."""
        self._coming_up.done.clear()
        await self.supervisor.stop()
        self.pauses.stop()
        await self.venue.close()
        self._recorder.close()
        if self._event_log is not None:
            self._event_log.close()
            self._event_log = None
        await self.store.stop()
        if self.kernels is not None:
            self.kernels.close()
        self.lines.close()
        self.board.close()
        self.breaker.close()
        self.bus.close()

    @property
    def order_attempts(self) -> int:
        return self.context.legs.placed

    @property
    def kernel_compiles(self) -> int:
        return self.kernels.compiles_since_warmup() if self.kernels is not None else 0

    @property
    def book_drift(self) -> float:
        return self.book.drift

    async def capacity(self, symbol: str) -> dict[str, float | None]:
        return await self.desk.capacity(symbol)

    def portfolio_greeks(self) -> PositionGreeks:
        return self.book.portfolio()

    def greeks_by_symbol(self) -> dict[str, PositionGreeks]:
        return self.monitoring.greeks_by_symbol()

    def health(self) -> dict[str, Any]:
        return health_of(self)

    def _when_ready(self, main: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
        async def wait_and_serve() -> None:
            await self._coming_up.done.wait()
            await main()

        return wait_and_serve

    async def _compact(self) -> None:
        while True:
            await asyncio.sleep(COMPACT_EVERY_S)
            await self.store.journal.compact(REMEMBER)

    def _on_reconnect(self) -> None:
        self.reconciler.request()
        try:
            self.supervisor.run("restore_lines", self._coming_up.restore_lines())
        except QueueFull as error:
            log.error("lines_not_restored", error=str(error))

    def _on_compile(self, kernel: str) -> None:
        """A compile stops trading for as long as it takes: all kernels are compiled at start, so this is a defect."""
        self.alerts.raise_(Severity.CRITICAL, "compiled_while_trading", kernel)

    def _on_crowded(self, crowded: bool, lines: int) -> None:
        if crowded:
            self.alerts.raise_(Severity.WARNING, "market_lines", f"{lines} market lines are in use")

    def _on_alert(self, alert: Alert) -> None:
        self.outbox.note(AlertRecorded(alert=alert))
        self.outbox.publish(AlertChanged(alert=alert))

    def _on_strategy(self, strategy: Strategy) -> None:
        self.outbox.note(StrategyRecorded(strategy=strategy))
        self.valuation.on_strategy(strategy)
        self.outbox.publish(StrategyChanged(strategy=strategy))
