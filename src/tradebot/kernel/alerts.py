"""The one alert table: what a person should know, until a person (or its cause) says it is settled.

An alert that is raised again while it is still active is the same alert: a rule that fires each second must not
write a new line each second. Changes go out through `on_change`, to the bus, the journal and the lake.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from tradebot.domain.alerts import Alert, AlertState, Severity
from tradebot.domain.errors import NotFound
from tradebot.kernel.bounds import Bounds
from tradebot.kernel.clock import Clock
from tradebot.kernel.history import History
from tradebot.kernel.machine import Table

ALERT_MOVES: Table[AlertState] = Table(
    "alert",
    {
        AlertState.ACTIVE: (AlertState.ACKNOWLEDGED, AlertState.RESOLVED, AlertState.DISMISSED),
        AlertState.ACKNOWLEDGED: (AlertState.RESOLVED, AlertState.DISMISSED),
        AlertState.RESOLVED: (),
        AlertState.DISMISSED: (),
    },
)

ALERTS_MAX = 10_000


class Alerts:
    def __init__(self, clock: Clock, bounds: Bounds, on_change: Callable[[Alert], None]) -> None:
        self._clock = clock
        self._on_change = on_change
        self._alerts: History[str, Alert] = History(bounds, "alerts", ALERTS_MAX)
        self._active: History[tuple[str, str, str], str] = History(bounds, "alerts.active", ALERTS_MAX)
        self._raised = 0

    def raise_(self, severity: Severity, source: str, message: str, *, symbol: str = "") -> Alert:
        cause = (source, symbol, message)
        known = self._alerts.get(self._active.get(cause) or "")
        if known is not None and known.state is AlertState.ACTIVE:
            return known
        self._raised += 1
        now = self._clock.now()
        alert = Alert(
            id=f"a{now:%y%m%d%H%M%S%f}-{self._raised}",
            severity=severity,
            state=AlertState.ACTIVE,
            source=source,
            message=message,
            at=now,
            symbol=symbol,
        )
        self._active.put(cause, alert.id)
        self._keep(alert)
        return alert

    def move(self, alert_id: str, state: AlertState) -> Alert:
        """Acknowledge, resolve or dismiss; asking twice for the same is answered alike."""
        alert = self._alerts.get(alert_id)
        if alert is None:
            raise NotFound(f"there is no alert {alert_id}")
        if alert.state is state:
            return alert
        moved = msgspec.structs.replace(alert, state=ALERT_MOVES.move(alert.state, state), changed_at=self._clock.now())
        if ALERT_MOVES.final(state):
            self._active.pop((alert.source, alert.symbol, alert.message))
        self._keep(moved)
        return moved

    def restore(self, alert: Alert) -> None:
        """Take back an alert from the journal, without telling anybody again."""
        self._alerts.put(alert.id, alert)
        if alert.state is AlertState.ACTIVE:
            self._active.put((alert.source, alert.symbol, alert.message), alert.id)

    def list(self, state: AlertState | None = None) -> tuple[Alert, ...]:
        """Newest first."""
        return tuple(alert for alert in reversed(self._alerts.values()) if state is None or alert.state is state)

    def _keep(self, alert: Alert) -> None:
        self._alerts.put(alert.id, alert)
        self._on_change(alert)
