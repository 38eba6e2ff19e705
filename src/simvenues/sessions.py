"""When the simulated exchange is open.

Prices move in *trading* time only: `open_seconds` maps the calendar to the seconds that the market has been open, and
the market turns those into steps. `always` makes every second a trading second, so that a test runs at any hour.
Regular hours are New York's, Monday to Friday; exchange holidays are not modelled.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from enum import Enum
from typing import Literal
from zoneinfo import ZoneInfo

SessionKind = Literal["always", "regular"]

NEW_YORK = ZoneInfo("America/New_York")
PRE_OPEN = time(4, 0)
OPEN = time(9, 30)
CLOSE = time(16, 0)
DAY_SECONDS = 23_400.0
_WEEKDAYS = 5


class Phase(Enum):
    PRE_OPEN = "pre_open"
    REGULAR = "regular"
    CLOSED = "closed"


def closing_time(day: date) -> datetime:
    """The moment at which a contract that expires on `day` stops trading."""
    return datetime.combine(day, CLOSE, tzinfo=NEW_YORK)


def phase(kind: SessionKind, now: datetime) -> Phase:
    if kind == "always":
        return Phase.REGULAR
    local = now.astimezone(NEW_YORK)
    if local.weekday() >= _WEEKDAYS:
        return Phase.CLOSED
    if OPEN <= local.time() < CLOSE:
        return Phase.REGULAR
    return Phase.PRE_OPEN if PRE_OPEN <= local.time() < OPEN else Phase.CLOSED


def open_seconds(kind: SessionKind, start: datetime, now: datetime) -> float:
    """Trading seconds between two moments."""
    if kind == "always":
        return (now - start).total_seconds()
    return _open_since_epoch(now) - _open_since_epoch(start)


def _open_since_epoch(moment: datetime) -> float:
    # Whole weeks by arithmetic, the rest of the week day by day: the cost does not grow with the distance.
    local = moment.astimezone(NEW_YORK)
    weeks, weekday = divmod(local.toordinal() - 1, 7)
    seconds = (weeks * _WEEKDAYS + min(weekday, _WEEKDAYS)) * DAY_SECONDS
    if weekday < _WEEKDAYS:
        into_day = timedelta(hours=local.hour, minutes=local.minute, seconds=local.second).total_seconds()
        into_day += local.microsecond / 1e6 - timedelta(hours=OPEN.hour, minutes=OPEN.minute).total_seconds()
        seconds += min(max(into_day, 0.0), DAY_SECONDS)
    return seconds
