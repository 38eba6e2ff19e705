"""When contracts expire, and how much time they have left."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from tradebot.domain.errors import PricingError
from tradebot.pricing.calendar import SECONDS_PER_YEAR, days_to_expiry, expiry_instant, year_fraction


@pytest.mark.parametrize(
    ("expiry", "utc_hour"), [(date(2026, 12, 18), 21), (date(2026, 7, 17), 20)], ids=["winter", "summer"]
)
def test_expiry_is_four_in_the_afternoon_in_new_york(expiry: date, utc_hour: int) -> None:
    """Sixteen hundred in New York is another hour in UTC in winter than in summer."""
    assert expiry_instant(expiry) == datetime(expiry.year, expiry.month, expiry.day, utc_hour, tzinfo=UTC)


def test_the_hour_of_daylight_saving_is_a_real_hour() -> None:
    """A week over the night on which clocks go forward is one hour shorter than any other."""
    before = expiry_instant(date(2026, 3, 6))
    assert year_fraction(date(2026, 3, 13), before) * SECONDS_PER_YEAR == pytest.approx((7 * 24 - 1) * 3600)


def test_no_time_is_left_from_expiry_on() -> None:
    """The year fraction reaches 0 at expiry and never becomes negative."""
    expiry = date(2026, 12, 18)
    assert year_fraction(expiry, expiry_instant(expiry)) == 0.0
    assert year_fraction(expiry, expiry_instant(expiry) + timedelta(days=3)) == 0.0
    assert year_fraction(expiry, expiry_instant(expiry) - timedelta(days=365)) == pytest.approx(1.0)


def test_days_to_expiry_count_dates_in_new_york() -> None:
    """Late in the evening of Thursday in New York it is already Friday in UTC, and one day is still left."""
    assert days_to_expiry(date(2026, 12, 18), datetime(2026, 12, 18, 2, tzinfo=UTC)) == 1
    assert days_to_expiry(date(2026, 12, 18), datetime(2026, 12, 18, 15, tzinfo=UTC)) == 0
    assert days_to_expiry(date(2026, 12, 18), datetime(2026, 12, 21, 15, tzinfo=UTC)) == -3


def test_an_instant_without_a_time_zone_is_refused() -> None:
    """A naive datetime would mean whatever this machine's zone is."""
    naive = datetime(2026, 12, 1)  # noqa: DTZ001 - this is the mistake under test
    with pytest.raises(PricingError, match="at has no time zone"):
        year_fraction(date(2026, 12, 18), naive)
    with pytest.raises(PricingError, match="at has no time zone"):
        days_to_expiry(date(2026, 12, 18), naive)
