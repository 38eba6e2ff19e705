"""From times at commits to series, changes and verdicts; what may not be compared stays apart."""

import math
import random
from collections.abc import Sequence

import pytest

from tidegauge.bench.changes.history import HistorySettings, Series, judge, series_of
from tidegauge.bench.changes.steps import RESULTS_MIN
from tidegauge.bench.suites.kept import CPU, Kept
from tidegauge.verdicts import Verdict

COMMITS = [f"{place:040x}" for place in range(200)]
PLACES = {commit: place for place, commit in enumerate(COMMITS)}
SETTINGS = HistorySettings()


def series(levels: Sequence[tuple[int, float]], *, every: int = 1, clock: str = CPU) -> Series:
    """So many results on each level, one at every so many commits."""
    rng = random.Random(1)
    seconds = [level * math.exp(rng.gauss(0, 0.005)) for count, level in levels for _ in range(count)]
    return Series(
        benchmark="bench.time_it(1)",
        label="bench.time_it(1)",
        environment="py",
        cpu="fast",
        clock=clock,
        version="1",
        places=tuple(range(0, every * len(seconds), every)),
        values=tuple(seconds),
        machines=(frozenset({"rig"}),) * len(seconds),
    )


def kept(place: int, **changes: str) -> Kept:
    facts = {"benchmark": "bench.time_it", "version": "1", "environment": "py", "cpu": "fast", "clock": CPU} | changes
    return Kept(**facts, machine="rig", commit=COMMITS[place], value=1.0 + place)


def test_a_slowdown_at_the_end_fails_with_its_commit() -> None:
    """The commit that the new level begins with, its ratio and interval, and how long ago."""
    found = judge(series([(30, 1.0), (5, 1.1)]), COMMITS, "rig", SETTINGS)
    assert (found.name, found.verdict) == ("bench/bench.time_it(1)/history", Verdict.FAIL)
    assert found.value == pytest.approx(1.1, rel=0.01)
    assert found.low is not None
    assert found.high is not None
    assert found.low < 1.1 < found.high
    (change,) = found.evidence["changes"]
    assert (change["commit"], change["since"], change["suspect_count"]) == (COMMITS[30], COMMITS[29], 0)
    assert "5 results since" in found.reason


def test_commits_without_a_result_share_the_blame() -> None:
    """Where only every third commit was measured, the two before the first slow one are named."""
    found = judge(series([(30, 1.0), (5, 1.1)], every=3), COMMITS, "rig", SETTINGS)
    (change,) = found.evidence["changes"]
    assert (change["commit"], change["since"]) == (COMMITS[90], COMMITS[87])
    assert list(change["suspects"]) == COMMITS[88:90]
    assert "or one of 2 before it that have no result" in found.reason


@pytest.mark.parametrize(
    ("levels", "verdict"),
    [
        ([(40, 1.0)], Verdict.PASS),
        ([(30, 1.0), (11, 1.1)], Verdict.PASS),  # longer ago than the last ten
        ([(30, 1.0), (8, 1.02)], Verdict.PASS),  # less than delta
        ([(30, 1.0), (8, 0.9)], Verdict.PASS),
        ([(30, 1.0), (5, 1.1), (5, 1.0)], Verdict.PASS),  # taken back
        ([(30, 1.1), (10, 1.0)], Verdict.PASS),
        ([(20, 1.0), (20, 0.9), (10, 0.95)], Verdict.FAIL),  # slower than what had been reached
    ],
)
def test_only_a_slowdown_that_is_recent_and_lasts_fails(levels: list[tuple[int, float]], verdict: Verdict) -> None:
    """The newest level against those among the last ten results."""
    assert judge(series(levels), COMMITS, "rig", SETTINGS).verdict is verdict


def test_steps_that_are_small_alone_fail_together() -> None:
    """A slowdown partly taken back, and two that add up, are held against delta as a whole."""
    settings = HistorySettings(last=30)
    partly = judge(series([(30, 1.0), (12, 1.2), (12, 1.1)]), COMMITS, "rig", settings)
    adding = judge(series([(30, 1.0), (14, 1.02), (14, 1.04)]), COMMITS, "rig", settings)
    assert partly.verdict is adding.verdict is Verdict.FAIL
    assert partly.value == pytest.approx(1.1, rel=0.01)
    assert adding.value == pytest.approx(1.04, rel=0.01)
    assert adding.evidence["changes"][0]["commit"][:12] in adding.reason
    assert "in all" in adding.reason


def test_too_few_results_are_not_measured() -> None:
    """What could not have shown a change is never a pass."""
    found = judge(series([(RESULTS_MIN - 1, 1.0)]), COMMITS, "rig", SETTINGS)
    assert found.verdict is Verdict.NOT_MEASURED
    assert judge(series([(RESULTS_MIN, 1.0)]), COMMITS, "rig", SETTINGS).verdict is Verdict.PASS


def test_the_clock_is_named() -> None:
    """Wall times of `asv run` are not sold as CPU times."""
    assert "time as asv took it" in judge(series([(40, 1.0)], clock="asv"), COMMITS, "rig", SETTINGS).reason


@pytest.mark.parametrize("differs", [{"environment": "other"}, {"cpu": "slow"}, {"clock": "asv"}])
def test_what_differs_in_more_than_its_commit_is_never_mixed(differs: dict[str, str]) -> None:
    """Another environment, CPU or clock makes a series of its own, labelled by what differs."""
    both = series_of([kept(3), kept(1), kept(2, **differs)], PLACES)
    assert sorted(each.places for each in both) == [(1, 3), (2,)]
    assert {each.label for each in both} == {
        f"bench.time_it [{value}]" for key, value in differs.items() for value in (value, getattr(kept(1), key))
    }


def test_parameters_are_benchmarks_of_their_own_and_need_no_label() -> None:
    """Two sets of parameters, two series under their names."""
    both = series_of([kept(1, benchmark="bench.time_it(1)"), kept(1, benchmark="bench.time_it(2)")], PLACES)
    assert [each.label for each in both] == ["bench.time_it(1)", "bench.time_it(2)"]


def test_of_a_changed_benchmark_only_the_newest_version_counts() -> None:
    """Newest is whose result stands on the newest commit."""
    (one,) = series_of([kept(1), kept(2), kept(3, version="0"), kept(4, version="0")], PLACES)
    assert (one.version, one.places, one.values) == ("0", (3, 4), (4.0, 5.0))
