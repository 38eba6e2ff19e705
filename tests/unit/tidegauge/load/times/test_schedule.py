"""Due times: absolute, exact, and shared without a gap between workers."""

import itertools
import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegauge.errors import TidegaugeError
from tidegauge.load.times.schedule import FixedSchedule, LiveSchedule, Piece, Profile, Schedule
from tidegauge.load.times.shapes import KINDS

RATES = st.floats(0.0, 500.0)
PIECES = st.lists(
    st.builds(
        lambda seconds, start, end: Piece(seconds=seconds, from_per_s=start, to_per_s=end),
        st.floats(0.1, 5.0),
        RATES,
        RATES,
    ),
    min_size=1,
    max_size=4,
).filter(lambda pieces: any(piece.arrivals > 0 for piece in pieces))


def test_a_constant_rate_is_due_at_multiples_of_its_interval() -> None:
    """The k-th arrival is due at k over the rate, and none is due after the end."""
    due_s = list(Schedule(profile=Profile.constant(500, 2)).due_s())
    assert due_s == pytest.approx([number / 500 for number in range(1000)])


@given(PIECES)
def test_due_times_ascend_and_are_as_many_as_the_area(pieces: list[Piece]) -> None:
    """Whatever the pieces, as many arrivals are due as lie under the rate, in the order of time, within the profile."""
    profile = Profile(tuple(pieces))
    due_s = list(Schedule(profile=profile).due_s())
    assert len(due_s) == pytest.approx(profile.arrivals, abs=1.001)
    assert due_s == sorted(due_s)
    assert all(0 <= time_s <= profile.duration_s + 1e-9 for time_s in due_s)


@given(PIECES, st.integers(2, 5))
def test_workers_together_are_the_whole(pieces: list[Piece], of: int) -> None:
    """The shares of several workers, put together, are the due times of one."""
    whole = Schedule(profile=Profile(tuple(pieces)))
    shared = sorted(time_s for index in range(of) for time_s in whole.share(index, of).due_s())
    assert shared == pytest.approx(list(whole.due_s()))


def test_poisson_is_seeded_and_has_the_rate() -> None:
    """One seed is one row of times, another another; the mean is the rate, and the spread that of a Poisson process."""
    schedule = Schedule(profile=Profile.constant(1_000, 20), spacing="poisson", seed=7)
    due_s = list(schedule.due_s())
    assert due_s == list(schedule.due_s())
    assert due_s != list(Schedule(profile=schedule.profile, spacing="poisson", seed=8).due_s())
    assert len(due_s) == pytest.approx(20_000, abs=600)
    gaps = [after - before for before, after in itertools.pairwise(due_s)]
    assert statistics.stdev(gaps) == pytest.approx(1e-3, rel=0.05)


def test_poisson_workers_differ() -> None:
    """Two workers of a Poisson process draw times of their own, half as many each."""
    whole = Schedule(profile=Profile.constant(1_000, 10), spacing="poisson")
    first, second = (list(whole.share(index, 2).due_s()) for index in range(2))
    assert not set(first) & set(second)
    assert len(first) == pytest.approx(5_000, abs=300)


@pytest.mark.parametrize("kind", KINDS)
def test_every_named_profile_lasts_as_long_as_asked(kind: str) -> None:
    """A named profile takes its seconds, and has phases at every moment of them."""
    profile = Profile.named(kind, 100, 50)
    assert profile.duration_s == pytest.approx(50)
    assert all(profile.phase_at(second) for second in range(51))


def test_a_replay_repeats_the_gaps() -> None:
    """Recorded arrivals come with their own gaps, from the first on, and are shared like others."""
    schedule = Schedule.replay((10.0, 10.5, 10.6, 12.0))
    assert list(schedule.due_s()) == pytest.approx([0.0, 0.5, 0.6, 2.0])
    assert list(schedule.share(1, 2).due_s()) == pytest.approx([0.5, 2.0])


@pytest.mark.parametrize("times", [(), (2.0, 1.0)])
def test_a_replay_in_disorder_is_wrong_use(times: tuple[float, ...]) -> None:
    """Times that are none, or not in order, are refused with a remedy."""
    with pytest.raises(TidegaugeError, match="in the order of time"):
        Schedule.replay(times)


def test_a_load_of_nothing_is_wrong_use() -> None:
    """A profile without an arrival, and a name that is none, are refused."""
    with pytest.raises(TidegaugeError, match="single arrival"):
        Profile.constant(0, 10)
    with pytest.raises(TidegaugeError, match="no load profile"):
        Profile.named("wave", 1, 1)


def test_a_live_rate_changes_what_comes_and_keeps_what_was_due() -> None:
    """After a change the next arrival comes as far as the interval was through; what was overdue is not forgotten."""
    live = LiveSchedule()
    assert live.due_s == math.inf
    live.set_rate(10, 0.0)
    live.pop()
    assert live.due_s == pytest.approx(0.1)
    live.set_rate(20, 0.05)  # half of an interval is over
    assert live.due_s == pytest.approx(0.075)
    live.set_rate(10, 0.6)  # eleven came due at the old rate
    seen = 0
    while live.due_s <= 0.6:
        live.pop()
        seen += 1
    assert seen == 11


def test_a_fixed_schedule_ends() -> None:
    """After its last arrival the next due time is never."""
    fixed = FixedSchedule(Schedule(profile=Profile.constant(2, 1)))
    fixed.pop()
    assert fixed.due_s == pytest.approx(0.5)
    fixed.pop()
    assert fixed.due_s == math.inf
