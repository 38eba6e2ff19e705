"""The alert table: one line a cause, moves by its table, bounded."""

import asyncio
from datetime import UTC, datetime

import pytest

from tradebot.domain.alerts import Alert, AlertState, Severity
from tradebot.domain.errors import IllegalTransition, NotFound
from tradebot.kernel.alerts import Alerts
from tradebot.kernel.bounds import Bounds
from tradebot.kernel.clock import Clock


def table() -> tuple[Alerts, list[Alert]]:
    told: list[Alert] = []
    loop = asyncio.new_event_loop()
    clock = Clock(loop, datetime(2026, 11, 20, tzinfo=UTC))
    loop.close()
    return Alerts(clock, Bounds(), told.append), told


def test_the_same_cause_twice_is_one_alert() -> None:
    """A rule that fires each cycle writes one line, not one a cycle."""
    alerts, told = table()
    first = alerts.raise_(Severity.WARNING, "delta", "too much", symbol="SPY")
    assert alerts.raise_(Severity.WARNING, "delta", "too much", symbol="SPY") is first
    assert alerts.raise_(Severity.WARNING, "delta", "too much", symbol="QQQ") is not first
    assert len(told) == 2


def test_after_it_is_resolved_the_same_cause_is_news_again() -> None:
    """Settled is settled: the next time it happens a person hears of it."""
    alerts, _ = table()
    first = alerts.raise_(Severity.INFO, "feed", "gap")
    alerts.move(first.id, AlertState.RESOLVED)
    assert alerts.raise_(Severity.INFO, "feed", "gap").id != first.id


def test_moves_follow_the_table() -> None:
    """Acknowledging twice is harmless; leaving a final state is refused by name; strangers are not found."""
    alerts, told = table()
    alert = alerts.raise_(Severity.INFO, "feed", "gap")
    alerts.move(alert.id, AlertState.ACKNOWLEDGED)
    alerts.move(alert.id, AlertState.ACKNOWLEDGED)
    assert len(told) == 2
    alerts.move(alert.id, AlertState.DISMISSED)
    with pytest.raises(IllegalTransition, match="dismissed to acknowledged"):
        alerts.move(alert.id, AlertState.ACKNOWLEDGED)
    with pytest.raises(NotFound):
        alerts.move("a0", AlertState.ACKNOWLEDGED)


def test_the_list_is_newest_first_and_filters_by_state() -> None:
    """What a person sees first is what happened last."""
    alerts, _ = table()
    first = alerts.raise_(Severity.INFO, "one", "1")
    second = alerts.raise_(Severity.INFO, "two", "2")
    alerts.move(first.id, AlertState.ACKNOWLEDGED)
    assert [each.id for each in alerts.list(AlertState.ACTIVE)] == [second.id]
    assert alerts.list()[0].id == first.id
