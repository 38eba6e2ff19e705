"""The reference loads are profiles: what they ask for at a time, in which phase, and how they are fitted."""

from __future__ import annotations

from itertools import pairwise

import pytest

from shapes.profiles import NUMBERS, PROFILES
from tidegauge.load.times.schedule import Profile


@pytest.mark.parametrize("name", PROFILES)
def test_every_load_has_its_peak_and_its_length(name: str) -> None:
    """The numbers of the table are the highest rate and the last second."""
    assert PROFILES[name].peak_per_s == pytest.approx(NUMBERS[name][0])
    assert PROFILES[name].duration_s == pytest.approx(NUMBERS[name][1])


def test_between_two_points_the_rate_is_on_the_line() -> None:
    """A ramp is a ramp, at a jump the later point counts, and a phase begins at its point."""
    profile = Profile.through(((0, 0, "up"), (10, 100, "up"), (10, 20, "flat"), (20, 20, "flat")))
    assert [profile.rate_at(at_s) for at_s in (0.0, 2.5, 10.0, 19.9)] == [0.0, 25.0, 20.0, 20.0]
    assert [profile.phase_at(at_s) for at_s in (0.0, 9.9, 10.0)] == ["up", "up", "flat"]


def test_a_scaled_load_is_the_same_shape() -> None:
    """Its highest rate and its length are those that were asked for, and nothing else changes."""
    spike = PROFILES["spike"].scaled(peak_per_s=8, seconds=9)
    assert [spike.rate_at(at_s) for at_s in (0.0, 3.01, 3.9, 4.01)] == pytest.approx([1.0, 8.0, 8.0, 1.0])
    assert spike.duration_s == pytest.approx(9)
    assert [piece.phase for piece in spike.pieces] == [piece.phase for piece in PROFILES["spike"].pieces]


def test_a_spike_is_steady_before_and_recovers_after() -> None:
    """Promises are judged by phase: quiet, the burst, and the time in which it is forgotten."""
    assert [piece.phase for piece in PROFILES["spike"].pieces] == ["steady", "spike", "recovery"]


def test_the_knee_rises_by_the_same_factor() -> None:
    """Equal ratios: as fine around a small knee as around a large one."""
    rates = [piece.from_per_s for piece in PROFILES["knee"].pieces]
    assert {round(after / before, 9) for before, after in pairwise(rates)} == {1.5}


def test_a_trading_day_is_busiest_at_its_close_and_lazy_at_lunch() -> None:
    """Quiet, open, lunch, close, in this order, each a phase of its own."""
    day = PROFILES["day"].scaled(seconds=100)
    quiet, opening, lunch, close = (day.rate_at(at_s) for at_s in (2, 6, 50, 96.9))
    assert quiet < lunch < opening < close == pytest.approx(45, rel=0.02)
    assert list(dict.fromkeys(piece.phase for piece in day.pieces)) == [
        "quiet", "open", "morning", "lunch", "afternoon", "close", "after",
    ]  # fmt: skip
