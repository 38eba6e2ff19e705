"""The shapes are points: what they say at a time, and how they are fitted to another load."""

from __future__ import annotations

from itertools import pairwise

import pytest

from shapes.profiles import PROFILES, rate_at, scaled, steps


@pytest.mark.parametrize("points", PROFILES.values(), ids=PROFILES)
def test_every_shape_runs_from_zero_in_order_and_ends(points: tuple[tuple[float, float], ...]) -> None:
    """Whoever follows the points comes to each of them, and to an end."""
    times = [at_s for at_s, _ in points]
    assert times[0] == 0
    assert times == sorted(times)
    assert min(rate for _, rate in points) >= 0 < max(rate for _, rate in points)
    assert rate_at(points, 0) == points[0][1]
    assert rate_at(points, times[-1]) is None


def test_between_two_points_the_rate_is_on_the_line() -> None:
    """A ramp is a ramp, and at a jump the later point counts."""
    points = ((0.0, 0.0), (10.0, 100.0), (10.0, 20.0), (20.0, 20.0))
    assert [rate_at(points, at_s) for at_s in (0.0, 2.5, 10.0, 19.9, 20.0)] == [0.0, 25.0, 20.0, 20.0, None]


def test_a_scaled_shape_is_the_same_shape() -> None:
    """Its highest rate and its length are those that were asked for, and nothing else changes."""
    spike = scaled(PROFILES["spike"], peak=8, seconds=9)
    assert [rate_at(spike, at_s) for at_s in (0.0, 3.0, 3.9, 4.0, 9.0)] == [1.0, 8.0, 8.0, 1.0, None]
    assert scaled(PROFILES["spike"]) == PROFILES["spike"]


def test_steps_hold_each_level_equally_long() -> None:
    """A level is two points; the next begins where it ends."""
    assert steps((5, 10), each_s=30) == ((0, 5), (30, 5), (30, 10), (60, 10))


def test_the_knee_rises_by_the_same_factor() -> None:
    """Equal ratios: as fine around a small knee as around a large one."""
    rates = [rate for _, rate in PROFILES["knee"]][::2]
    assert {round(after / before, 9) for before, after in pairwise(rates)} == {1.5}


def test_a_trading_day_is_busiest_at_its_close_and_lazy_at_lunch() -> None:
    """Quiet, open, lunch, close, in this order."""
    day = scaled(PROFILES["day"], seconds=100)
    quiet, opening, lunch, close = (rate_at(day, at_s) or 0 for at_s in (2, 6, 50, 96.9))
    assert quiet < lunch < opening < close == pytest.approx(45, rel=0.02)
