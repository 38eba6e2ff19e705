"""What may be said of a few pairs: the four answers, their edges, and a whole suite."""

import itertools
import math
import random
from statistics import NormalDist

import pytest

from tidegauge.bench.judging.decide import (
    LOG_RATIO_MAX,
    POWER,
    Judgement,
    Outcome,
    _pairs_wanted,
    holm,
    judge,
    look,
    verdicts,
)
from tidegauge.bench.judging.plan import PAIRS_MAX, Plan
from tidegauge.verdicts import Verdict, worst

PLAN = Plan()


def drawn(seed: int, change: float, spread: float, pairs: int) -> list[float]:
    """Log ratios of a head that is slower by `change`."""
    rng = random.Random(seed)
    return [math.log1p(change) + rng.gauss(0, spread) for _ in range(pairs)]


@pytest.mark.parametrize(
    ("change", "outcome"),
    [(-0.05, Outcome.FASTER), (0.0, Outcome.NOT_SLOWER), (0.05, Outcome.SLOWER), (0.03, Outcome.SLOWER)],
)
def test_a_clear_change_is_called_by_its_name(change: float, outcome: Outcome) -> None:
    """Sixteen pairs that scatter by 0.5 % decide; the truth lies between the bounds, and no more pairs are wanted."""
    judgement = look(drawn(1, change, 0.005, 16), PLAN, 2)
    assert judgement.outcome is outcome
    assert judgement.low is not None
    assert judgement.high is not None
    assert judgement.estimate is not None
    assert judgement.low < 1 + change < judgement.high
    assert judgement.low <= judgement.estimate <= judgement.high
    assert judgement.pairs_wanted == 0


def test_a_small_slowdown_that_is_sure_is_a_slowdown() -> None:
    """+1.5 % is both surely more than 0.5 % and surely less than 3 %: it is reported as slower."""
    assert look(drawn(2, 0.015, 0.001, 32), PLAN, 4).outcome is Outcome.SLOWER


def test_pairs_that_scatter_too_much_leave_it_undecided() -> None:
    """Undecided says what it could have seen and how many pairs more would decide, in figures and in words."""
    judgement = look(drawn(3, 0.01, 0.04, 16), PLAN, 2)
    assert judgement.outcome is Outcome.UNDECIDED
    assert judgement.detectable is not None
    assert judgement.detectable > PLAN.effect_min
    assert judgement.pairs_wanted > 0
    assert f"{judgement.detectable:.1%}" in judgement.reason
    assert f"{judgement.pairs_wanted} pairs more" in judgement.reason


def test_p_is_the_share_of_sign_flips_that_are_as_extreme() -> None:
    """The exact p value equals a count over all 1 024 ways to flip ten signs, divided by the look's share."""
    values = drawn(4, 0.02, 0.02, 10)
    shifted = [value - math.log1p(PLAN.effect_min) for value in values]
    ranks = {at: rank for rank, at in enumerate(sorted(range(10), key=lambda at: abs(shifted[at])), 1)}
    against = sum(ranks[at] for at in range(10) if shifted[at] <= 0)
    sums = [sum(itertools.compress(range(1, 11), flips)) for flips in itertools.product((0, 1), repeat=10)]
    p_exact = sum(total <= against for total in sums) / len(sums)
    assert 0 < p_exact < 0.1
    assert look(values, PLAN, 2).p_slower == pytest.approx(min(1.0, p_exact * PLAN.alpha / PLAN.level_of_change(2)))


@pytest.mark.parametrize("seed", range(20))
def test_exchanging_base_and_head_turns_the_answer_round(seed: int) -> None:
    """The estimate becomes its inverse, the bounds change places, slower becomes faster."""
    values = drawn(seed, 0.03, 0.01, 16)
    there, back = look(values, PLAN, 2), look([-value for value in values], PLAN, 2)
    assert there.estimate is not None
    assert there.low is not None
    assert there.high is not None
    assert back.estimate == pytest.approx(1 / there.estimate)
    assert back.low == pytest.approx(1 / there.high)
    assert back.high == pytest.approx(1 / there.low)
    assert (there.outcome is Outcome.SLOWER) == (back.outcome is Outcome.FASTER)


@pytest.mark.parametrize("seed", range(20))
def test_slower_is_said_exactly_when_p_allows_it(seed: int) -> None:
    """The bound that decides and the p value that Holm reads never disagree."""
    judgement = look(drawn(seed, 0.012, 0.01, 24), PLAN, 3)
    assert (judgement.outcome is Outcome.SLOWER) == (judgement.p_slower <= PLAN.alpha)


@pytest.mark.parametrize("pairs", [0, 1, 7])
def test_fewer_pairs_than_the_first_look_say_nothing(pairs: int) -> None:
    """However clear they seem, they are undecided, and the rest of the first look is wanted."""
    judgement = look([0.5] * pairs, PLAN, 0)
    assert judgement.outcome is Outcome.UNDECIDED
    assert (judgement.estimate, judgement.low, judgement.high) == (None, None, None)
    assert judgement.pairs_wanted == 8 - pairs


@pytest.mark.parametrize(
    ("value", "outcome"),
    [
        (0.0, Outcome.NOT_SLOWER),
        (math.log1p(PLAN.effect_min), Outcome.NOT_SLOWER),
        (-math.log1p(PLAN.effect_min), Outcome.NOT_SLOWER),
        (math.log1p(PLAN.delta), Outcome.SLOWER),
        (-0.1, Outcome.FASTER),
        (LOG_RATIO_MAX, Outcome.SLOWER),
    ],
)
def test_identical_pairs_are_judged_by_their_value(value: float, outcome: Outcome) -> None:
    """Zero spread is no division by zero; exactly `effect_min` is not more than it, exactly delta is not less."""
    judgement = look([value] * 8, PLAN, 0)
    assert judgement.outcome is outcome
    assert judgement.spread == 0
    assert judgement.estimate == judgement.low == judgement.high == pytest.approx(math.exp(value))
    assert judgement.detectable == pytest.approx(PLAN.effect_min)


def test_what_lies_exactly_on_a_limit_is_evidence_of_nothing() -> None:
    """Exactly delta is not less than delta, and exactly `effect_min` is no sign of more than it."""
    assert look([math.log1p(PLAN.delta)] * 8, PLAN.for_suite(40), 0).outcome is Outcome.UNDECIDED
    assert look([math.log1p(PLAN.effect_min)] * 8, PLAN, 0).p_slower == 1


def test_the_spread_is_that_of_the_pairs() -> None:
    """Of normal pairs it is their standard deviation, and one wild pair in ten does not take it over."""
    values = drawn(11, 0.0, 0.01, 256)
    assert look(values, PLAN, 8).spread == pytest.approx(0.01, rel=0.1)
    wild = look([0.5 if at % 10 == 0 else value for at, value in enumerate(values)], PLAN, 8).spread
    assert wild is not None
    assert wild < 0.02


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 20.0, -20.0])
@pytest.mark.parametrize("at", [0, 7])
def test_a_pair_that_is_no_number_is_not_measured(value: float, at: int) -> None:
    """One pair that cannot be compared spoils the benchmark, is named, and never reads as a pass."""
    values = [0.0] * 8
    values[at] = value
    judgement = look(values, PLAN, 0)
    assert judgement.outcome is Outcome.NOT_MEASURED
    assert f"pair {at + 1} " in judgement.reason
    assert verdicts({"a": judgement}, PLAN) == {"a": Verdict.NOT_MEASURED}


@pytest.mark.parametrize(("family", "wanted"), [(40, 8), (1_000, 16)])
def test_a_level_that_so_few_pairs_cannot_reach_decides_nothing(family: int, wanted: int) -> None:
    """Eight pairs cannot be sure at the level of a large suite: they ask for the first look that can."""
    values = drawn(5, 0.1, 0.001, 8 + wanted)
    plan = PLAN.for_suite(family)
    judgement = look(values[:8], plan, 0)
    assert judgement.outcome is Outcome.UNDECIDED
    assert judgement.detectable is None
    assert judgement.pairs_wanted == wanted
    assert judge(values, plan).outcome is Outcome.SLOWER


def test_the_pairs_of_one_look_are_bounded() -> None:
    """The work grows with the cube of the pairs, so that more than PAIRS_MAX are refused."""
    with pytest.raises(ValueError, match="more than"):
        look([0.0] * (PAIRS_MAX + 1), PLAN, 8)


@pytest.mark.parametrize("spread", [0.1, 0.3, 3.0])
def test_the_pairs_wanted_are_finite_beyond_the_last_look(spread: float) -> None:
    """A hopeless spread still gets an honest number: pairs beyond the 128 of the last look."""
    judgement = look(drawn(6, 0.0175, spread, 128), PLAN, 8)
    assert judgement.outcome is Outcome.UNDECIDED
    assert judgement.pairs_wanted > 0


def test_only_an_answer_that_the_estimate_points_to_is_waited_for() -> None:
    """+4 % will not turn out faster nor within 3 %: the pairs wanted are those that would call it slower."""
    normal = NormalDist()
    reach = (normal.inv_cdf(POWER) - normal.inv_cdf(PLAN.level_of_change(len(PLAN.looks) - 1))) * 0.1
    needed = math.ceil((reach / (0.04 - math.log1p(PLAN.effect_min))) ** 2)
    assert _pairs_wanted(0.04, 0.1, 128, PLAN, 1.0) == needed - 128 > 0


def test_the_pairs_wanted_decide_as_a_rule() -> None:
    """Of comparisons that are undecided at their first look most are decided by the pairs that they ask for."""
    decided = total = 0
    for seed in range(200):
        values = drawn(seed, 0.0, 0.025, 128)
        first = look(values[:8], PLAN, 0)
        if first.outcome is Outcome.UNDECIDED and first.pairs + first.pairs_wanted <= 128:
            total += 1
            decided += judge(values[: first.pairs + first.pairs_wanted], PLAN).outcome.is_decided
    assert total > 50
    assert decided / total > 0.75


def test_what_is_called_detectable_is_detected() -> None:
    """Clean pairs, slowed down by what an earlier comparison of as many pairs called detectable, are seen as slower."""
    seen = 0
    for seed in range(100):
        detectable = look(drawn(seed, 0.0, 0.01, 32), PLAN, 4).detectable
        assert detectable is not None
        seen += look(drawn(1_000 + seed, detectable, 0.01, 32), PLAN, 4).outcome is Outcome.SLOWER
    assert seen >= 85


def test_a_run_stops_at_the_first_look_that_decides() -> None:
    """Pairs after the decision are not read; pairs that ended between two looks are judged at the next one."""
    assert judge([*[0.0] * 8, *[math.nan] * 120], PLAN).pairs == 8
    between = judge(drawn(7, 0.01, 0.05, 12), PLAN)
    assert (between.pairs, between.outcome) == (12, Outcome.UNDECIDED)
    assert judge([], PLAN).outcome is Outcome.UNDECIDED


def judged(outcome: Outcome, p_slower: float = 1.0) -> Judgement:
    """A judgement of which only the outcome and the p value matter."""
    return Judgement(outcome=outcome, reason="", pairs=16, p_slower=p_slower)


def test_holm_steps_down_through_the_suite() -> None:
    """The smallest p is held against alpha / 4, the next against alpha / 3; after the first that fails none stands."""
    suite = {
        "a": judged(Outcome.SLOWER, 0.0024),
        "b": judged(Outcome.SLOWER, 0.0033),
        "c": judged(Outcome.SLOWER, 0.006),
        "d": judged(Outcome.UNDECIDED, 0.0061),
    }
    assert holm(suite, PLAN) == {"a", "b"}
    assert holm(suite | {"a": judged(Outcome.SLOWER, 0.0026)}, PLAN) == set()


def test_holm_counts_every_benchmark_of_the_suite() -> None:
    """What passed, was not measured or is still missing makes a family no smaller."""
    slow = {"slow": judged(Outcome.SLOWER, 0.006)}
    assert holm(slow, PLAN) == {"slow"}
    assert holm(slow | {"other": judged(Outcome.NOT_SLOWER, 1e-9)}, PLAN) == set()
    assert holm(slow | {"other": judged(Outcome.NOT_MEASURED)}, PLAN) == set()
    assert holm(slow, PLAN.for_suite(2)) == set()


def test_slower_by_the_plan_of_the_suite_always_stands() -> None:
    """A benchmark that stopped by `for_suite` needs no second look when the others are known."""
    plan = PLAN.for_suite(40)
    suite = {f"clean {at}": judge(drawn(at, 0.0, 0.01, 128), plan) for at in range(39)}
    suite["slow"] = judge(drawn(40, 0.03, 0.01, 128), plan)
    assert suite["slow"].outcome is Outcome.SLOWER
    assert holm(suite, plan) == {"slow"}
    assert verdicts(suite, plan)["slow"] is Verdict.FAIL


@pytest.mark.parametrize(
    ("suite", "verdict", "exit_status"),
    [
        ({}, Verdict.NOT_MEASURED, 4),
        ({"a": judged(Outcome.NOT_SLOWER), "b": judged(Outcome.FASTER)}, Verdict.PASS, 0),
        ({"a": judged(Outcome.NOT_SLOWER), "b": judged(Outcome.NOT_MEASURED)}, Verdict.NOT_MEASURED, 4),
        ({"a": judged(Outcome.NOT_MEASURED), "b": judged(Outcome.UNDECIDED)}, Verdict.UNDECIDED, 3),
        ({"a": judged(Outcome.NOT_SLOWER), "b": judged(Outcome.SLOWER, 0.009)}, Verdict.UNDECIDED, 3),
        ({"a": judged(Outcome.UNDECIDED), "b": judged(Outcome.SLOWER, 1e-4)}, Verdict.FAIL, 1),
        ({"a": judged(Outcome.NOT_SLOWER), "b": judged(Outcome.UNDECIDED, 1e-4)}, Verdict.FAIL, 1),
    ],
)
def test_the_run_takes_its_worst_verdict(suite: dict[str, Judgement], verdict: Verdict, exit_status: int) -> None:
    """A slowdown that does not stand in its suite is undecided; only clean answers pass; nothing is not measured."""
    found = verdicts(suite, PLAN)
    assert worst(found.values()) is verdict
    assert worst(found.values()).exit_status == exit_status
    assert found.keys() == suite.keys()


@pytest.mark.parametrize(
    ("change", "outcome"),
    [(0.05, Outcome.NOT_SLOWER), (0.099, Outcome.NOT_SLOWER), (0.101, Outcome.SLOWER), (-0.2, Outcome.FASTER)],
)
def test_a_slowdown_that_was_granted_is_not_slower(change: float, outcome: Outcome) -> None:
    """Where 10 % are granted, only more than 10 % is slower, and less than 10 % is not."""
    assert look([math.log1p(change)] * 8, PLAN.allowing(0.1), 0).outcome is outcome


def test_at_the_very_limit_no_number_of_pairs_would_decide() -> None:
    """Exactly what was granted is neither more nor less, and the sentence promises nothing."""
    judgement = look([math.log1p(0.1)] * 8, PLAN.allowing(0.1), 0)
    assert (judgement.outcome, judgement.pairs_wanted) == (Outcome.UNDECIDED, 0)
    assert "it is the very limit" in judgement.reason
