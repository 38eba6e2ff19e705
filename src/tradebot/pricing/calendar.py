"""How long an option lives: the only place that turns an expiry date into an instant or a number of years.

A contract expires at 16:00 in New York on its expiry date. A year is 365 days of 86 400 real seconds, so the hour
that daylight saving adds or takes is counted as the real hour it is. From its expiry on a contract has no time left:
the year fraction is 0, never negative. Days to expiry are calendar days between dates in New York.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

from tradebot.domain.errors import PricingError

NEW_YORK = ZoneInfo("America/New_York")
CLOSE = time(16, 0)
SECONDS_PER_YEAR = 365 * 86_400.0


def expiry_instant(expiry: date) -> datetime:
    """The end of the contract's life, in UTC."""
    return datetime.combine(expiry, CLOSE, tzinfo=NEW_YORK).astimezone(UTC)


def year_fraction(expiry: date, at: datetime) -> float:
    return max(expiry_instant(expiry).timestamp() - timestamp_s(at), 0.0) / SECONDS_PER_YEAR


def days_to_expiry(expiry: date, at: datetime) -> int:
    """Calendar days, as a trader counts them: 0 on the expiry date itself, negative afterwards."""
    timestamp_s(at)
    return (expiry - at.astimezone(NEW_YORK).date()).days


def timestamp_s(at: datetime) -> float:
    """Seconds of the Unix epoch; an instant without a time zone would silently mean this machine's."""
    if at.tzinfo is None:
        raise PricingError("at has no time zone", remedy="Pass an aware datetime")
    return at.timestamp()
