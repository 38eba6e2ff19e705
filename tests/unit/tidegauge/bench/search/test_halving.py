"""Halving against a simulated machine: the planted culprit is found, and what cannot be known is said to be unknown."""

import math
import random
from collections import Counter
from collections.abc import Callable

import pytest

from tidegauge.bench.judging.decide import Outcome, look
from tidegauge.bench.judging.plan import Plan
from tidegauge.bench.pairs.pair import Pair
from tidegauge.bench.search.halving import Found, Slower, State, halve, probing

PLAN = Plan()
NAME = "bench.time_it"


class Machine:
    """Commits `0`, `1` … of which those from `culprits[name]` on are slower by its share; pairs scatter by `spread`."""

    def __init__(
        self,
        culprits: dict[str, dict[int, float]],
        *,
        spread: float = 0.01,
        unbuildable: frozenset[int] = frozenset(),
        failing: frozenset[int] = frozenset(),
        seed: int = 1,
    ) -> None:
        self.culprits = culprits
        self.spread = spread
        self.unbuildable = unbuildable
        self.failing = failing
        self.builds: list[int] = []
        self.pairs = 0
        self.rng = random.Random(seed)

    def level(self, name: str, place: int) -> float:
        return sum(math.log1p(change) for at, change in self.culprits[name].items() if at <= place)

    def build(self, commit: str) -> str:
        self.builds.append(int(commit))
        return "a compiler is missing" if int(commit) in self.unbuildable else ""

    def measure(self, benchmark: str, index: int) -> Pair:
        place = self.builds[-1]
        self.pairs += 1
        if place in self.failing:
            return Pair(benchmark=benchmark, index=index, error_side="head", error="ValueError: old")
        drawn = self.level(benchmark, place) + self.rng.gauss(0, self.spread)
        return Pair(benchmark=benchmark, index=index, log_ratio=drawn)


def search(machine: Machine, count: int, *, is_out_of_time: Callable[[], bool] = lambda: False) -> list[Found]:
    commits = [str(place) for place in range(count)]
    slower = [Slower(benchmark=name, ratio=math.exp(machine.level(name, count - 1))) for name in machine.culprits]
    return halve(commits, slower, machine, PLAN, is_out_of_time)


@pytest.mark.parametrize("count", range(1, 21))
def test_the_culprit_is_found_wherever_it_is(count: int) -> None:
    """Of 1 to 20 commits, at every place, with the ratios on both sides, in as many builds as halving takes."""
    for at in range(count):
        machine = Machine({NAME: {at: 0.2}}, seed=at)
        (found,) = search(machine, count)
        assert found.commits == (str(at),)
        assert found.before == pytest.approx(1.0, rel=0.02)
        assert found.after == pytest.approx(1.2, rel=0.02)
        assert found.why == ""
        assert len(machine.builds) <= count.bit_length()
        assert max(Counter(machine.builds).values(), default=1) == 1


def test_noise_of_a_bad_machine_leads_astray_in_one_search_of_a_hundred_at_most() -> None:
    """+5 % under a spread of 2 %: what is named is right; what is left open holds the culprit."""
    wrong = named = 0
    for seed in range(200):
        at = seed % 16
        (found,) = search(Machine({NAME: {at: 0.05}}, spread=0.02, seed=seed), 16)
        wrong += str(at) not in found.commits
        named += found.commits == (str(at),)
    assert wrong <= 2
    assert named >= 190


@pytest.mark.parametrize("how", ["unbuildable", "failing"])
def test_commits_that_cannot_be_judged_are_skipped(how: str) -> None:
    """Around what does not build or whose benchmark errs the search goes on, and finds a culprit that can be judged."""
    for at in range(1, 12):
        skipped = frozenset(place for place in range(11) if place % 3 == 1 and place not in {at, at - 1})
        machine = Machine(
            {NAME: {at: 0.2}},
            unbuildable=skipped if how == "unbuildable" else frozenset(),
            failing=skipped if how == "failing" else frozenset(),
        )
        (found,) = search(machine, 12)
        assert found.commits == (str(at),)
        assert max(Counter(machine.builds).values()) == 1


def test_skipped_commits_beside_the_culprit_leave_a_range() -> None:
    """The answer holds the culprit and those that it cannot be told from, and says why."""
    (found,) = search(Machine({NAME: {6: 0.2}}, unbuildable=frozenset({5, 6})), 12)
    assert found.commits == ("5", "6", "7")
    assert found.why == "2 of them could not be judged, the first because a compiler is missing"
    (found,) = search(Machine({NAME: {6: 0.2}}, failing=frozenset({6})), 12)
    assert found.commits == ("6", "7")
    assert "it failed on head: ValueError: old" in found.why


def test_nothing_but_the_ends_can_be_judged() -> None:
    """All commits between are in the range; each was tried once."""
    machine = Machine({NAME: {3: 0.2}}, unbuildable=frozenset(range(7)))
    (found,) = search(machine, 8)
    assert found.commits == tuple("01234567")
    assert sorted(machine.builds) == list(range(7))


@pytest.mark.parametrize("pairs", [0, 5, 20])
def test_time_that_is_up_leaves_a_range_that_holds_the_culprit(pairs: int) -> None:
    """Whether no probe, a part of one or one was made."""
    machine = Machine({NAME: {9: 0.2}})
    (found,) = search(machine, 16, is_out_of_time=lambda: machine.pairs >= pairs)
    assert (len(found.commits), found.why) == (16 if pairs < 16 else 8, "time was up")
    assert "9" in found.commits
    assert machine.pairs == pairs


def test_a_step_of_half_the_size_is_not_mistaken_for_either_level() -> None:
    """Two equal steps: what lies in the middle of base and head is skipped, and both stay in the range."""
    (found,) = search(Machine({NAME: {4: 0.1, 8: 0.1}}), 12)
    assert found.commits == tuple("45678")
    assert "neither nearer to base nor to head" in found.why
    (found,) = search(Machine({NAME: {4: 0.3, 8: 0.05}}), 12)
    assert found.commits == ("4",)
    assert found.after == pytest.approx(1.3, rel=0.02)


def test_several_benchmarks_share_every_build() -> None:
    """Each gets its own culprit; no commit is built twice; the largest slowdown goes first."""
    machine = Machine({"a": {3: 0.1}, "b": {11: 0.5}, "c": {3: 0.1}})
    found = {each.benchmark: each for each in search(machine, 20)}
    assert {name: each.commits for name, each in found.items()} == {"a": ("3",), "b": ("11",), "c": ("3",)}
    assert next(iter(found)) == "b"
    assert max(Counter(machine.builds).values()) == 1
    assert all(probe.state in {State.FAST, State.SLOW} for probe in found["a"].probes)


@pytest.mark.parametrize("probes", [1, 5, 60])
def test_a_probe_looks_only_when_it_can_decide(probes: int) -> None:
    """At the first look pairs of one mind are enough, on either side of the middle."""
    plan = probing(PLAN, probes=probes)
    for value, outcomes in ((0.01, {Outcome.SLOWER}), (-0.01, {Outcome.FASTER, Outcome.NOT_SLOWER})):
        assert look([value] * plan.looks[0], plan, 0).outcome in outcomes
    assert plan.level_of_change(0) == pytest.approx(plan.level_of_bound(0))
