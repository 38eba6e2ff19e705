"""Slower, not slower, faster or undecided: what the pairs so far allow to be said.

In come log ratios, one number for each pair of processes: what `pair` makes of its slices. `look` judges
them at one look of a plan; `judge` takes the looks in order, as a run does, and stops at the first that decides;
`holm` and `verdicts` then read a whole suite.

The test is Wilcoxon's signed-rank test, exact, and everything shown is the same test inverted: the estimate is the
median of all pairwise averages (Hodges and Lehmann's), the bounds are averages of a fixed rank. It was chosen by
simulation, with all looks taken, against
- the sign test, exact too: up to a third more pairs for the same +3 %;
- the t test: fewer pairs where all is normal, more where tails are heavy and the spread is wide; and if one pair in ten
  is 5 % off to one side, it calls +0.5 % slower in 47 of 100 cases, the signed ranks in 13;
- the t test on the mean trimmed by 20 % at each end: up to a third fewer pairs with outliers on both sides, a quarter
  more with outliers on one, and a level that is only approximate at the 1e-5 that a suite asks for.

What the exact level assumes is that pairs scatter symmetrically and independently. One-sided outliers break that; on
identical code `effect_min` absorbs them: one pair in ten 5 % off moves the estimate by less than it. It absorbs a
correlation of neighbours of 0.3 too, but not one of 0.6 (4 % false alarms at a spread of 2 %): pairs of one benchmark
should lie apart in time.

Bounds of the work: n * (n + 1) / 2 averages a look, n ** 3 steps once for each n, n at most PAIRS_MAX.
"""

import enum
import math
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from statistics import NormalDist

import msgspec

from tidegauge.bench.judging import ranks
from tidegauge.bench.judging.plan import PAIRS_MAX, RESERVE, Plan
from tidegauge.verdicts import Verdict

# "Could have been seen" and "would decide" mean: in 95 of 100 such comparisons.
POWER = 0.95
# A ratio beyond a million is no comparison of two versions of one program, and its exponential may not exist.
LOG_RATIO_MAX = math.log(1e6)
# The quartiles of the averages of two values lie this far apart, in units of the spread of one value.
AVERAGES_IQR = 2 * NormalDist().inv_cdf(0.75) / math.sqrt(2)


class Outcome(enum.StrEnum):
    """What one look at one benchmark says."""

    SLOWER = "slower"
    FASTER = "faster"
    NOT_SLOWER = "not_slower"
    UNDECIDED = "undecided"
    NOT_MEASURED = "not_measured"

    @property
    def is_decided(self) -> bool:
        """Whether more pairs are of no use."""
        return self is not Outcome.UNDECIDED


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """One look. `estimate`, `low` and `high` are ratios of head to base, None where the pairs are too few to give one.

    `low` and `high` each hold at the plan's confidence, at all looks together. `p_slower` is corrected for the looks,
    not for the family. `detectable` is the smallest slowdown, as a fraction, that these pairs could have shown;
    `pairs_wanted` how many more would decide if the estimate and the spread stay as they are.
    """

    outcome: Outcome
    reason: str
    pairs: int
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    spread: float | None = None
    p_slower: float = 1.0
    detectable: float | None = None
    pairs_wanted: int = 0


def look(
    log_ratios: Sequence[float], plan: Plan, look_index: int, *, is_last: bool = False, left: float = 1.0
) -> Judgement:
    """Judges all pairs so far as look `look_index`, which is taken at most once.

    `left` is the share of its level that it has, after the last looks of earlier runs.

    The number of pairs may differ from the planned one (time was up): the error of the look does not depend on it.
    What makes a look the last must not depend on what the pairs say.
    """
    pairs = len(log_ratios)
    if pairs > PAIRS_MAX:
        raise ValueError(f"{pairs} pairs are more than {PAIRS_MAX}")
    for number, value in enumerate(log_ratios, 1):
        if not abs(value) <= LOG_RATIO_MAX:
            reason = f"the log ratio of pair {number} is {value}: a side used no CPU time that can be compared"
            return Judgement(outcome=Outcome.NOT_MEASURED, reason=reason, pairs=pairs)
    if pairs < plan.looks[0]:
        wanted = plan.looks[0] - pairs
        reason = f"{pairs} pairs are too few to say anything: {wanted} more are needed"
        return Judgement(outcome=Outcome.UNDECIDED, reason=reason, pairs=pairs, pairs_wanted=wanted)

    averages = ranks.averages(log_ratios)
    estimate = ranks.quantile(averages, 0.5)
    spread = (ranks.quantile(averages, 0.75) - ranks.quantile(averages, 0.25)) / AVERAGES_IQR
    level = plan.level_of_change(look_index, is_last=is_last, left=left)
    low, high = ranks.bounds(averages, pairs, plan.level_of_bound(look_index, is_last=is_last, left=left))
    change_low, change_high = ranks.bounds(averages, pairs, level)
    outcome = Outcome.UNDECIDED
    # What is more than slower_from slower for sure is reported so, even if it is less than delta for sure.
    if change_low > math.log1p(plan.slower_from):
        outcome = Outcome.SLOWER
    elif change_high < -math.log1p(plan.effect_min):
        outcome = Outcome.FASTER
    elif high < math.log1p(plan.delta):
        outcome = Outcome.NOT_SLOWER
    p_slower = ranks.cdf(pairs)[bisect_right(averages, math.log1p(plan.slower_from))]
    share = level * plan.family / plan.alpha  # of what all looks may err
    detectable = _detectable(estimate - change_low, plan, level)
    after = left * RESERVE / (1 - RESERVE) if is_last else left
    wanted = 0 if outcome.is_decided else _pairs_wanted(estimate, spread, pairs, plan, after)
    return Judgement(
        outcome=outcome,
        reason=_reason(outcome, estimate, detectable, wanted, plan),
        pairs=pairs,
        estimate=math.exp(estimate),
        low=math.exp(low) if math.isfinite(low) else None,
        high=math.exp(high) if math.isfinite(high) else None,
        spread=spread,
        p_slower=min(1.0, p_slower / share) if share else 1.0,
        detectable=detectable,
        pairs_wanted=wanted,
    )


def judge(log_ratios: Sequence[float], plan: Plan) -> Judgement:
    """What a run that had measured these pairs one by one would have said, and after how many."""
    looks = plan.looks_taken()
    for look_index, pairs in enumerate(looks):
        judgement = look(log_ratios[:pairs], plan, look_index, is_last=pairs == looks[-1])
        if judgement.outcome.is_decided or len(log_ratios) <= pairs:
            break
    return judgement


def holm(judgements: Mapping[str, Judgement], plan: Plan) -> frozenset[str]:
    """The benchmarks whose slowdown stands at family level: one false alarm or more in the suite has risk alpha.

    By `plan.for_suite`, each "slower" of the suite stands, and Holm's steps can only add to them. A look that
    was judged alone may not stand beside many others.
    """
    size = max(plan.family, len(judgements))
    candidates = sorted(
        (judgement.p_slower, name)
        for name, judgement in judgements.items()
        if judgement.outcome in {Outcome.SLOWER, Outcome.UNDECIDED}
    )
    stands = []
    for step, (p_slower, name) in enumerate(candidates):
        if p_slower > plan.alpha / (size - step):
            break
        stands.append(name)
    return frozenset(stands)


def verdicts(judgements: Mapping[str, Judgement], plan: Plan) -> dict[str, Verdict]:
    """Each benchmark's verdict within its suite: a slowdown that does not stand there is undecided."""
    stands = holm(judgements, plan)
    verdict_of = {
        Outcome.SLOWER: Verdict.UNDECIDED,
        Outcome.UNDECIDED: Verdict.UNDECIDED,
        Outcome.NOT_SLOWER: Verdict.PASS,
        Outcome.FASTER: Verdict.PASS,
        Outcome.NOT_MEASURED: Verdict.NOT_MEASURED,
    }
    return {
        name: Verdict.FAIL if name in stands else verdict_of[judgement.outcome]
        for name, judgement in judgements.items()
    }


def _detectable(reach: float, plan: Plan, level: float) -> float | None:
    """`reach`: how far the estimate lies from the bound that has to clear `slower_from`."""
    if not math.isfinite(reach):
        return None
    normal = NormalDist()
    margin = 1 - normal.inv_cdf(POWER) / normal.inv_cdf(level)
    return math.expm1(math.log1p(plan.slower_from) + reach * margin)


def _pairs_wanted(estimate: float, spread: float, pairs: int, plan: Plan, left: float) -> int:
    """Looks ahead with the normal approximation; beyond the last look it goes on at the last look's level.

    `left` is what those looks have of their levels.
    """
    normal = NormalDist()
    gaps = (
        (estimate - math.log1p(plan.slower_from), plan.level_of_change),
        (-math.log1p(plan.effect_min) - estimate, plan.level_of_change),
        (math.log1p(plan.delta) - estimate, plan.level_of_bound),
    )
    wanted = []
    for gap, level_of in gaps:
        if gap <= 0:
            continue
        for look_index in range(bisect_left(plan.looks, pairs + 1), len(plan.looks)):
            needed = _pairs_needed(gap, spread, level_of(look_index, left=left), normal)
            if needed <= plan.looks[look_index]:
                wanted.append(plan.looks[look_index])
                break
        else:
            level = level_of(len(plan.looks) - 1, left=left)
            wanted.append(max(pairs + 1, _pairs_needed(gap, spread, level, normal)))
    # No gap is open where the estimate is the very slowdown that was granted: then no number of pairs would decide.
    return min(wanted, default=pairs) - pairs


def _pairs_needed(gap: float, spread: float, level: float, normal: NormalDist) -> int:
    level = max(level, 2.0**-PAIRS_MAX)  # a look that can decide nothing has none
    by_spread = ((normal.inv_cdf(POWER) - normal.inv_cdf(level)) * spread / gap) ** 2
    by_rank = -math.log2(level)  # n pairs of one mind have p = 2 ** -n
    return math.ceil(max(by_spread, by_rank))


def _reason(outcome: Outcome, estimate: float, detectable: float | None, wanted: int, plan: Plan) -> str:
    change = f"{math.expm1(estimate):+.2%}"
    match outcome:
        case Outcome.SLOWER:
            return f"{change} {plan.clock}, more than {plan.slower_from:.1%} slower for sure"
        case Outcome.FASTER:
            return f"{change} {plan.clock}, more than {plan.effect_min:.1%} faster for sure"
        case Outcome.NOT_SLOWER:
            return f"{change} {plan.clock}, not slower than {plan.delta:.1%} at {plan.confidence:.0%} confidence"
        case _:
            more = f"about {wanted} pairs more would decide" if wanted else "it is the very limit"
            seen = "no slowdown" if detectable is None else f"a slowdown of {detectable:.1%}"
            return f"{change} {plan.clock}, undecided: {seen} could have been seen; {more}"
