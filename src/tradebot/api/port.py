"""What the service needs of a bot, and nothing more: `profiles/` provides it, a test fakes it.

Every member is read-only here; what changes the bot is a call on the desk, the alerts, the reconciler or the breaker.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from tradebot.domain.events import Event
from tradebot.domain.greeks import PositionGreeks
from tradebot.domain.orders import OrderIntent, OrderState, Position
from tradebot.domain.strategies import Strategy
from tradebot.domain.workflows import DryRun, EntryRequest, ExitRequest, Workflow
from tradebot.kernel.alerts import Alerts
from tradebot.kernel.bounds import Bounds
from tradebot.kernel.bus import Bus
from tradebot.kernel.clock import Clock
from tradebot.kernel.supervisor import Supervisor
from tradebot.recovery.reconcile import Difference


class ApiOptions(Protocol):
    """`profiles.settings.ApiSettings`, as far as it is read here."""

    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def token(self) -> str: ...
    @property
    def sockets_max(self) -> int: ...
    @property
    def heartbeat_s(self) -> float: ...


class SettingsView(Protocol):
    @property
    def profile(self) -> str: ...
    @property
    def symbols(self) -> tuple[str, ...]: ...
    @property
    def api(self) -> ApiOptions: ...


class DeskView(Protocol):
    async def enter(self, request: EntryRequest, key: str | None = None) -> tuple[Workflow, bool]: ...
    async def exit(self, request: ExitRequest, key: str | None = None) -> tuple[Workflow, bool]: ...
    async def dry_run(self, request: EntryRequest) -> DryRun: ...


class WorkflowsView(Protocol):
    def get(self, workflow_id: str) -> Workflow: ...
    def all(self) -> tuple[Workflow, ...]:
        """Every workflow that is remembered, the one that changed last at the end."""

    def counts(self) -> Mapping[str, int]: ...


class StrategiesView(Protocol):
    def get(self, strategy_id: str) -> Strategy: ...
    def all(self) -> tuple[Strategy, ...]: ...
    def held(self) -> tuple[Strategy, ...]: ...


class OrderView(Protocol):
    @property
    def intent(self) -> OrderIntent: ...
    @property
    def state(self) -> OrderState: ...
    @property
    def venue_order_id(self) -> str: ...
    @property
    def filled(self) -> int: ...
    @property
    def reason(self) -> str: ...


class OrdersView(Protocol):
    @property
    def stale_updates(self) -> int: ...
    def open_orders(self) -> tuple[OrderView, ...]: ...
    def all(self) -> tuple[OrderView, ...]:
        """Settled ones first, then those that are open, each in the order in which they came."""


class PositionsView(Protocol):
    def all(self) -> tuple[Position, ...]: ...


class InboxView(Protocol):
    @property
    def orders(self) -> OrdersView: ...
    @property
    def positions(self) -> PositionsView: ...
    @property
    def bad_messages(self) -> Mapping[str, int]: ...
    @property
    def reconnects(self) -> int: ...


class ReconcilerView(Protocol):
    @property
    def runs(self) -> int: ...
    @property
    def differences(self) -> tuple[Difference, ...]: ...
    def request(self) -> None: ...


class GatesView(Protocol):
    @property
    def refusals(self) -> Mapping[str, int]: ...


class BreakerView(Protocol):
    @property
    def state(self) -> str: ...
    @property
    def refusals(self) -> int: ...
    def reset(self) -> None: ...


class CapabilitiesView(Protocol):
    @property
    def name(self) -> str: ...


class VenueView(Protocol):
    @property
    def capabilities(self) -> CapabilitiesView: ...
    @property
    def connected(self) -> bool: ...


class MonitoringView(Protocol):
    @property
    def cycles(self) -> int: ...
    @property
    def last_cycle_ms(self) -> float: ...


class PausesView(Protocol):
    @property
    def loop_lag_s(self) -> float: ...
    @property
    def collecting_s(self) -> float: ...


class BotView(Protocol):
    @property
    def settings(self) -> SettingsView: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def bus(self) -> Bus[Event]: ...
    @property
    def bounds(self) -> Bounds: ...
    @property
    def supervisor(self) -> Supervisor: ...
    @property
    def pauses(self) -> PausesView: ...
    @property
    def alerts(self) -> Alerts: ...
    @property
    def desk(self) -> DeskView: ...
    @property
    def workflows(self) -> WorkflowsView: ...
    @property
    def strategies(self) -> StrategiesView: ...
    @property
    def inbox(self) -> InboxView: ...
    @property
    def reconciler(self) -> ReconcilerView: ...
    @property
    def gates(self) -> GatesView: ...
    @property
    def breaker(self) -> BreakerView: ...
    @property
    def venue(self) -> VenueView: ...
    @property
    def monitoring(self) -> MonitoringView: ...
    @property
    def started_at(self) -> datetime: ...
    @property
    def ready(self) -> bool:
        """Whether recovery has ended: before that, no request may change anything."""

    @property
    def order_attempts(self) -> int:
        """How many orders were handed to the venue since the start."""

    @property
    def kernel_compiles(self) -> int:
        """Kernels compiled since the start's warm-up: each one stopped trading for a moment."""

    @property
    def book_drift(self) -> float:
        """How far the book's running totals were from a fresh sum when that was last made, as a share."""

    async def capacity(self, symbol: str) -> Mapping[str, float | None]:
        """What each limit leaves for an entry in this symbol, by the limit's name; None: it does not apply."""

    def health(self) -> Mapping[str, object]:
        """Facts of the rooms that only they know, for a person: plain JSON values."""

    def portfolio_greeks(self) -> PositionGreeks: ...
    def greeks_by_symbol(self) -> Mapping[str, PositionGreeks]: ...
