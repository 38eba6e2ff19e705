"""Where a series of times changes its level: candidates by asv, each of them confirmed or dropped.

    log values ──asv.step_detect──▶ candidates ──place, test, drop the weakest──▶ `Step`s that all stand

asv's detector alone is either deaf or credulous: with its own penalty it misses every second step of 5 %, with a
smaller one it finds steps in noise. So it is asked with a small penalty, and each candidate has to stand before a
permutation test between its two segments. All orders count, of the whole series with its other steps taken back, so
that a short segment beside a short one can still be judged. And the *best* place in each order counts, so that a
candidate chosen for its looks has no advantage: the best split where its shorter segment ends the series, the best
stretch where that lies in between and both its ends were chosen. The candidate with the largest p is dropped and the
rest placed and tested again, until all stand.

The statistic is Student's t, with outliers drawn in to five spreads. The test assumes that the values of one level may
be exchanged; a machine that drifts for days breaks that, and its drift then reads as steps. Bounds: RESULTS_MAX
values, as many candidates as segments of SEGMENT_MIN, PERMUTATIONS a test.
"""

import itertools
import math
from collections.abc import Iterator, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from tidegauge.bench.suites.suite import asv_module

SEGMENT_MIN = 3  # one outlier is no change, and two are none
RESULTS_MAX = 300
ALPHA = 0.002
PERMUTATIONS = 9_999
CHUNK = 500
EXACT_MAX = 7  # up to so many values every order is looked at
# Of so many, three values on a new level are rare enough to be told from chance: 2 / C(24, 3) is half of ALPHA.
RESULTS_MIN = 24
PENALTY_SPREADS = 3.0
OUTLIER_SPREADS = 5.0
RESAMPLES = 2_000
CONFIDENCE = 0.95
# Neighbours of a normal series lie this far apart, in units of its spread: the median of their distances.
NEIGHBOURS_MEDIAN = 0.6745 * math.sqrt(2)

Floats = NDArray[np.float64]


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A change of level. `at` is the first value of the new one; `start` and `end` bound both levels.

    `ratio` is that of the medians, `low` and `high` its bootstrap interval; `p` what chance alone would do.
    """

    start: int
    at: int
    end: int
    ratio: float
    low: float
    high: float
    p: float


def find_steps(times: Sequence[float], *, seed: int) -> tuple[Step, ...]:
    """The steps in at most RESULTS_MAX times, all greater than zero; equal seeds find equal steps."""
    size = len(times)
    if size > RESULTS_MAX:
        raise ValueError(f"{size} times are more than {RESULTS_MAX}")
    values = np.log(np.asarray(times, dtype=float))
    spread = _spread(values)
    bounds = [0, *_candidates(values, spread), size]
    while len(bounds) > 2:
        bounds = _placed(values, bounds, spread)
        p_of = {
            at: _p(_levelled(values, bounds, at, spread), start, at, end, seed) for start, at, end in _triples(bounds)
        }
        weakest = max(p_of, key=lambda at: p_of[at])
        if p_of[weakest] <= ALPHA:
            return tuple(_step(values, triple, p_of[triple[1]], seed) for triple in _triples(bounds))
        bounds.remove(weakest)
    return ()


def _triples(bounds: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    return zip(bounds, bounds[1:], bounds[2:], strict=False)


def _candidates(values: Floats, spread: float) -> list[int]:
    if len(values) < 2 * SEGMENT_MIN:
        return []
    ones = [1.0] * len(values)
    penalty = PENALTY_SPREADS * spread or 1e-9  # values that never scatter still have steps
    rights, _, _ = asv_module("step_detect").solve_potts_approx(
        values.tolist(), ones, gamma=penalty, min_size=SEGMENT_MIN
    )
    candidates: list[int] = []
    for right in rights[:-1]:  # asv may move a bound of its own nearer to a neighbour than it was told
        if right - (candidates[-1] if candidates else 0) >= SEGMENT_MIN and len(values) - right >= SEGMENT_MIN:
            candidates.append(right)
    return candidates


def _spread(values: Floats) -> float:
    """Of the values on one level: the distances of neighbours hardly see a step."""
    return float(np.median(np.abs(np.diff(values)))) / NEIGHBOURS_MEDIAN if len(values) > 1 else 0.0


def _placed(values: Floats, bounds: Sequence[int], spread: float) -> list[int]:
    """Each bound where it divides its neighbours most clearly."""
    placed = list(bounds)
    for number in range(1, len(placed) - 1):
        start, at, end = placed[number - 1 : number + 2]
        levelled = _levelled(values, placed, at, spread)[start:end]
        placed[number] = start + SEGMENT_MIN + int(_clarity(levelled[None])[0].argmax())
    return placed


def _levelled(values: Floats, bounds: Sequence[int], at: int, spread: float) -> Floats:
    """What the series would be with all its other steps taken back: then, without `at`, its values are exchangeable.

    Outliers are drawn in, but by what they are without the step: if a candidate could say what an outlier is, three of
    them in a row would be the only ones left.
    """
    reach = OUTLIER_SPREADS * spread or math.inf
    return np.clip(values - _levels(values, [bound for bound in bounds if bound != at]), -reach, reach)


def _levels(values: Floats, bounds: Sequence[int]) -> Floats:
    """Each value's own level: the median between its bounds."""
    segments = itertools.pairwise(bounds)
    return np.concatenate([np.full(end - start, np.median(values[start:end])) for start, end in segments])


def _clarity(orders: Floats) -> Floats:
    """A row of values in, a row out: Student's t, without its sign, of each split that leaves SEGMENT_MIN a side."""
    size = orders.shape[1]
    left = np.arange(SEGMENT_MIN, size - SEGMENT_MIN + 1)
    centred = orders - orders.mean(axis=1, keepdims=True)
    sums = np.cumsum(centred, axis=1)[:, left - 1]
    between = sums**2 * (size / (left * (size - left)))
    within = np.maximum((centred**2).sum(axis=1, keepdims=True) - between, 1e-24)
    return np.asarray(np.sqrt((size - 2) * between / within))


def _p(levelled: Floats, start: int, at: int, end: int, seed: int) -> float:
    """The share of orders of the series in which chance alone does as much; exact where all orders can be seen.

    Otherwise orders are drawn until PERMUTATIONS, or until so many do as much that the candidate cannot stand.
    """
    size = len(levelled)
    is_last = end == size and end - at <= at - start
    is_first = start == 0 and at - start <= end - at
    short = (at, end) if end - at <= at - start else (start, at)
    if is_last or is_first:  # one bound was chosen: any split of so many values could have been
        window = end - start
        observed = _clarity(levelled[None, start:end])[0, at - start - SEGMENT_MIN]

        def most(orders: Floats) -> Floats:
            return np.asarray(_clarity(orders[:, :window]).max(axis=1))
    else:  # two were chosen: any stretch of the series could have been
        lengths = _lengths(size, short[1] - short[0])
        observed = _stretch(levelled[None], [short[1] - short[0]])[0, short[0]]

        def most(orders: Floats) -> Floats:
            return np.asarray(_stretch(orders, lengths).max(axis=1))

    observed *= 1 - 1e-9  # sums in another order round otherwise, and what is equal must count as equal
    if size <= EXACT_MAX:
        return float(np.mean(most(levelled[np.array(list(itertools.permutations(range(size))))]) >= observed))
    rng = np.random.default_rng((seed, start, at, end))
    drawn, as_clear = 0, 0
    while drawn < PERMUTATIONS and as_clear < 4 * ALPHA * PERMUTATIONS:
        count = min(CHUNK, PERMUTATIONS - drawn)
        as_clear += int((most(rng.permuted(np.tile(levelled, (count, 1)), axis=1)) >= observed).sum())
        drawn += count
    return (as_clear + 1) / (drawn + 1)


def _lengths(size: int, length: int) -> list[int]:
    """Of stretches: all short ones, then each a fifth longer than the one before, and the one that is asked about."""
    lengths = {length}
    each = SEGMENT_MIN
    while each <= size // 2:
        lengths.add(each)
        each = max(each + 1, each * 6 // 5)
    return sorted(lengths)


def _stretch(orders: Floats, lengths: Sequence[int]) -> Floats:
    """A row in, a row out: Student's t, without its sign, of the stretches of these lengths against what is left."""
    size = orders.shape[1]
    centred = orders - orders.mean(axis=1, keepdims=True)
    sums = np.concatenate([np.zeros((len(orders), 1)), np.cumsum(centred, axis=1)], axis=1)
    between = np.concatenate(
        [(sums[:, each:] - sums[:, :-each]) ** 2 * (size / (each * (size - each))) for each in lengths], axis=1
    )
    within = np.maximum((centred**2).sum(axis=1, keepdims=True) - between, 1e-24)
    return np.asarray(np.sqrt((size - 2) * between / within))


def _step(values: Floats, triple: tuple[int, int, int], p: float, seed: int) -> Step:
    start, at, end = triple
    rng = np.random.default_rng((seed, start, at, end, 1))

    def medians(segment: Floats) -> Floats:
        return np.asarray(np.median(rng.choice(segment, (RESAMPLES, len(segment))), axis=1))

    before, after = values[start:at], values[at:end]
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(medians(after) - medians(before), [tail, 1 - tail])
    ratio = float(np.median(after) - np.median(before))
    return Step(
        start=start, at=at, end=end, ratio=math.exp(ratio), low=math.exp(low), high=math.exp(high), p=round(p, 6)
    )
