"""Alerts: one table for everything a person should know."""

from __future__ import annotations

import enum
from datetime import datetime

import msgspec


class Severity(enum.StrEnum):
    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class AlertState(enum.StrEnum):
    ACTIVE = "active"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"
    DISMISSED = "dismissed"


class Alert(msgspec.Struct, frozen=True, gc=False):
    id: str
    severity: Severity
    state: AlertState
    source: str
    message: str
    at: datetime
    symbol: str = ""
    changed_at: datetime | None = None
