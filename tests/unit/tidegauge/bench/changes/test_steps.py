"""Steps in series that scatter as CPU medians do: found where planted, and nowhere else."""

import itertools
import math
import random

import numpy as np
import pytest

from tidegauge.bench.changes import steps
from tidegauge.bench.changes.steps import ALPHA, RESULTS_MAX, RESULTS_MIN, SEGMENT_MIN, Step, find_steps


def times(seed: str, changes: dict[int, float], *, size: int, spread: float, outliers: float = 0.06) -> list[float]:
    """Milliseconds with a change of level at each key; `outliers` of them lie 6 % off, mostly above."""
    rng = random.Random(seed)
    level, series = 0.0, []
    for place in range(size):
        level += math.log1p(changes.get(place, 0.0))
        off = rng.choice((0.06, 0.06, 0.06, -0.06)) if rng.random() < outliers else 0.0
        series.append(1e-3 * math.exp(level + rng.gauss(0, spread) + off))
    return series


def hits(changes: dict[int, float], seeds: int) -> tuple[float, float]:
    """Shares of series in which each change is found within two results, and in which anything else is."""
    found_all = found_more = 0
    for seed in range(seeds):
        rng = random.Random(f"{seed}/shape")
        size, spread = rng.randint(30, 60), rng.uniform(0.008, 0.022)
        planted = {rng.randint(5, size - 5) if place < 0 else place: change for place, change in changes.items()}
        found = [step.at for step in find_steps(times(str(seed), planted, size=size, spread=spread), seed=seed)]
        seen = [min(found, key=lambda at: abs(at - place), default=-9) for place in planted]
        good = all(abs(at - place) <= 2 for at, place in zip(seen, planted, strict=True))
        found_all += good
        found_more += len(found) > len(planted) * good
    return found_all / seeds, found_more / seeds


@pytest.mark.parametrize(("change", "share_min"), [(0.05, 0.8), (0.10, 0.98), (-0.05, 0.8)])
def test_planted_steps_are_found(change: float, share_min: float) -> None:
    """Anywhere but in the first and last five of 30 to 60 results that scatter by 0.8 to 2.2 %, with outliers."""
    found, more = hits({-1: change}, 60)
    assert found >= share_min
    assert more <= 0.1


def test_flat_series_have_no_step() -> None:
    """One in sixty at most, where ALPHA promises one in five hundred."""
    assert hits({}, 60)[1] <= 1 / 60


def test_levels_that_come_and_go_are_told_apart() -> None:
    """Up by 10 % for some results and back again are two steps, with both ratios between their bounds."""
    found = find_steps(times("a", {20: 0.10, 32: -0.10 / 1.1}, size=50, spread=0.01), seed=1)
    assert [step.at for step in found] == [20, 32]
    for step, ratio in zip(found, (1.1, 1 / 1.1), strict=True):
        assert step.low <= step.ratio <= step.high
        assert step.ratio == pytest.approx(ratio, rel=0.02)
        assert step.p <= ALPHA
    assert [(step.start, step.end) for step in found] == [(0, 32), (20, 50)]


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("at", [0, 25, 48])
def test_one_outlier_is_no_change_and_two_are_none(at: int, count: int) -> None:
    """Not even when they are twice as slow, and wherever they stand."""
    series = times("b", {}, size=50, spread=0.01, outliers=0)
    series[at : at + count] = [2e-3] * count
    assert find_steps(series, seed=1) == ()


def test_three_results_on_a_new_level_are_a_change_from_the_promised_number_on() -> None:
    """RESULTS_MIN results can show a step before their last three; so few that the history may not pass cannot."""
    series = times("c", {RESULTS_MIN - 3: 0.2}, size=RESULTS_MIN, spread=0.01, outliers=0)
    assert [step.at for step in find_steps(series, seed=1)] == [RESULTS_MIN - 3]
    assert 2 / math.comb(RESULTS_MIN, SEGMENT_MIN) <= ALPHA / 2  # the rest is for the orders that are drawn
    assert find_steps(series[-8:], seed=1) == ()


def test_equal_seeds_find_equal_steps() -> None:
    """Everything random hangs on the seed."""
    series = times("d", {17: 0.05}, size=40, spread=0.01)
    first, again, other = (find_steps(series, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert [step.at for step in other] == [step.at for step in first] == [17]
    assert other[0].low != first[0].low


@pytest.mark.parametrize("series", [[], [1.0], [1.0] * 5, [1.0] * 40])
def test_what_does_not_change_has_no_step(series: list[float]) -> None:
    """Nothing, too little, and times that do not scatter at all."""
    assert find_steps(series, seed=1) == ()


def test_times_that_do_not_scatter_still_have_steps() -> None:
    """A spread of zero is no division by zero."""
    (step,) = find_steps([1.0] * 12 + [1.5] * 12, seed=1)
    assert step == Step(start=0, at=12, end=24, ratio=1.5, low=1.5, high=1.5, p=step.p)


def test_so_many_times_are_refused_and_the_most_are_judged() -> None:
    """The bound is RESULTS_MAX; at the bound the newest level is still found."""
    series = times("e", {RESULTS_MAX - 10: 0.1}, size=RESULTS_MAX, spread=0.01)
    assert [step.at for step in find_steps(series, seed=1)] == [RESULTS_MAX - 10]
    with pytest.raises(ValueError, match="more than 300"):
        find_steps([1.0] * (RESULTS_MAX + 1), seed=1)


def test_p_of_few_values_is_the_share_of_all_their_orders() -> None:
    """Six values, 720 orders: the two that divide as clearly, with three factorial ways to arrange each side."""
    values = np.array([0.0, 0.1, 0.05, 0.9, 1.0, 0.95])
    as_clear = sum(steps._clarity(np.array([order])).max() >= 9 for order in itertools.permutations(values))
    assert steps._p(values, 0, 3, 6, seed=1) == pytest.approx(as_clear / math.factorial(6))
    assert as_clear == 2 * math.factorial(3) ** 2


def test_a_short_segment_beside_a_short_one_is_judged_by_the_whole_series() -> None:
    """Five slow results, then five as before: so few would have no order rare enough among themselves."""
    found = find_steps(times("f", {30: 0.1, 35: -0.1 / 1.1}, size=40, spread=0.005, outliers=0), seed=1)
    assert [step.at for step in found] == [30, 35]


@pytest.mark.parametrize("seed", range(5))
def test_wild_outliers_hide_no_step(seed: int) -> None:
    """One result in ten is twice as slow; 10 % in the middle is still found, and nothing else."""
    series = times(f"g{seed}", {25: 0.1}, size=50, spread=0.01, outliers=0)
    for place in random.Random(seed).sample(range(50), 5):
        series[place] *= 2
    assert [abs(step.at - 25) <= 2 for step in find_steps(series, seed=1)] == [True]
