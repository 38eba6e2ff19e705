"""What the steps of a search say together: shares of late arrivals by rate, their crossing, and how sure it is.

    steps ─▶ levels (all steps of one rate) ─▶ isotonic fit ─▶ bracket ─▶ line through it ─▶ crossing ─▶ interval

More load never makes a target faster, so the shares are made to rise with the rate (pool adjacent violators): one lucky
step above an unlucky one is read as what both say together, and the neighbours on both sides of 1 % are the bracket.
Where in it the knee lies, a binomial line through the levels near it says: late arrivals come in bunches, so that most
steps show fewer than the mean and a few show many more, and only the counts of all of them together are not biased.

The bootstrap draws steps again within a rate and blocks of slices within a step, because a queue outlives a slice. The
interval is never narrower than the bracket: where one rate has no late arrival and the next has nothing else, drawing
again changes nothing, and the knee may lie anywhere between. Its lower end allows for queues that begin empty. All
constants were chosen on simulated servers of known capacity, which the tests of `knee` repeat.
"""

import math
import random
from collections.abc import Iterable, Sequence

import msgspec

from tidegauge.load.knee.steps import ACHIEVED_SHARE_MIN, LATE_SHARE_MAX, Outcome, Step

RESAMPLES = 400
CONFIDENCE = 0.99
QUEUE_SLOS = 2
BLOCKS = 5  # of neighbouring slices, in a step
# Levels further than this from the bracket cannot move it, and are not drawn again.
NEAR = 1.5
# The line is drawn through levels so near, and no deeper in overload than so: it is a line only there.
LINE_NEAR = 1.3
LINE_SHARE_MAX = 0.1
LINE_STEPS = 12
# Slopes of log odds by log rate: that of a server with a few service times of patience, and what a line may have. The
# prior weighs as little as a late arrival, and only keeps the line standing where all levels are 0 or 1.
SLOPE_FIRST = 15.0
SLOPE_LEAST, SLOPE_MOST = 3.0, 200.0
SLOPE_PRIOR = 0.002
LOGIT_MAX = 30.0
LINE_FOUND = 1e-4

Share = tuple[float, float]  # late among these arrivals, and how many they are


class Level(msgspec.Struct, frozen=True):
    """All honest steps at one rate."""

    rate_per_s: float
    steps: tuple[Step, ...]


class Bracket(msgspec.Struct, frozen=True):
    """The neighbours between which the knee lies; an end is None where no step went that far."""

    carried: float | None
    broken: float | None
    crossing: float

    @property
    def ratio(self) -> float:
        """Of its ends; infinite where one is open."""
        return self.broken / self.carried if self.carried and self.broken else math.inf


class Interval(msgspec.Struct, frozen=True):
    """Where the knee lies."""

    value: float
    low: float
    high: float

    @property
    def half(self) -> float:
        """Half of its width, as a share of the knee: the figure behind a `±`."""
        return (self.high - self.low) / 2 / self.value


def levels_of(steps: Iterable[Step]) -> list[Level]:
    """By rate, ascending; what was not measured honestly says nothing."""
    by_rate: dict[float, list[Step]] = {}
    for step in steps:
        if step.outcome is not Outcome.NOT_MEASURED:
            by_rate.setdefault(step.rate_per_s, []).append(step)
    return [Level(rate, tuple(by_rate[rate])) for rate in sorted(by_rate)]


def bracket_of(levels: Sequence[Level]) -> Bracket:
    """The bracket that all steps together show."""
    return _crossing([each.rate_per_s for each in levels], [_late(each.steps) for each in levels])


def interval_of(levels: Sequence[Level], seed: int, slo_s: float) -> Interval:
    """The knee and its interval, from levels that have both a carried and a broken one among them."""
    bracket = bracket_of(levels)
    if not (bracket.carried and bracket.broken):
        raise ValueError("an interval needs a rate that was carried and one that was not")
    near = [each for each in levels if bracket.carried / NEAR <= each.rate_per_s <= bracket.broken * NEAR]
    rates = [each.rate_per_s for each in near]
    blocks = [[_blocks(step) for step in each.steps] for each in near]
    rng = random.Random(seed)
    crossings = sorted(_crossing(rates, [_redrawn(each, rng) for each in blocks]).crossing for _ in range(RESAMPLES))
    cut = round(RESAMPLES * (1 - CONFIDENCE) / 2)
    return Interval(
        value=bracket.crossing,
        low=min(bracket.carried, crossings[cut]) / allowance(levels, bracket.carried, slo_s),
        high=max(bracket.broken, crossings[-1 - cut]),
    )


def allowance(levels: Sequence[Level], carried: float, slo_s: float) -> float:
    """By how much the rate of a carried step may lie above what a server bears for ever.

    A queue that begins empty and grows by a share of what comes is as long as the SLO after SLO / share: a step that
    ends before has seen nothing late. Where services scatter, a queue short of that takes as long again to reach its
    length.
    """
    longest_s = max(step.seconds for each in levels if each.rate_per_s == carried for step in each.steps)
    return 1 + QUEUE_SLOS * slo_s / longest_s


def _blocks(step: Step) -> list[tuple[float, float]]:
    """Arrivals of each block of neighbouring slices, one from every slice on, and how many of them were late."""
    size = max(1, round(len(step.slices) / BLOCKS))
    around = [*step.slices, *step.slices[: size - 1]]
    blocks = [around[start : start + size] for start in range(len(step.slices))]
    # What was never done is late, whatever the slices say.
    missing = 1 - step.achieved_share if step.achieved_share < ACHIEVED_SHARE_MIN else 0.0
    counts = [(sum(each.offered for each in block), sum(each.over for each in block)) for block in blocks]
    return [(offered, max(over, missing * offered)) for offered, over in counts]


def _redrawn(steps: Sequence[Sequence[tuple[float, float]]], rng: random.Random) -> Share:
    """Steps drawn from these, each of blocks drawn from its own."""
    drawn = [
        block for step in rng.choices(steps, k=len(steps)) for block in rng.choices(step, k=min(BLOCKS, len(step)))
    ]
    return _share(drawn)


def _late(steps: Sequence[Step]) -> Share:
    """Of all arrivals of these steps."""
    return _share([block for step in steps for block in _blocks(step)])


def _share(blocks: Sequence[tuple[float, float]]) -> Share:
    offered = sum(block[0] for block in blocks)
    return sum(block[1] for block in blocks) / offered if offered else 0.0, offered


def _crossing(rates: Sequence[float], shares: Sequence[Share]) -> Bracket:
    fitted = _isotonic(shares)
    count = sum(share <= LATE_SHARE_MAX for share in fitted)
    if not count:
        return Bracket(None, rates[0], rates[0])
    if count == len(rates):
        return Bracket(rates[-1], None, rates[-1])
    carried, broken = rates[count - 1], rates[count]
    near = [
        (math.log(rate), share, number)
        for index, (rate, (share, number)) in enumerate(zip(rates, shares, strict=True))
        if index in {count - 1, count}
        or (carried / LINE_NEAR <= rate <= broken * LINE_NEAR and share <= LINE_SHARE_MAX)
    ]
    crossing = math.exp(_line(near, math.log(math.sqrt(carried * broken))))
    return Bracket(carried, broken, min(max(crossing, carried / LINE_NEAR), broken * LINE_NEAR))


def _line(points: Sequence[tuple[float, float, float]], middle: float) -> float:
    """Where a binomial line through (log rate, share, arrivals) crosses the limit: Newton's steps, held in bounds."""
    limit = math.log(LATE_SHARE_MAX / (1 - LATE_SHARE_MAX))
    level, slope = limit, SLOPE_FIRST  # at `middle`
    for _ in range(LINE_STEPS):
        g0 = g1 = 0.0
        h00, h01, h11 = 1e-9, 0.0, 1e-9
        for x, share, number in points:
            distance = x - middle
            chance = 1 / (1 + math.exp(-_held(level + slope * distance, LOGIT_MAX)))
            weight = number * chance * (1 - chance)
            g0 += number * (share - chance)
            g1 += number * (share - chance) * distance
            h00 += weight
            h01 += weight * distance
            h11 += weight * distance * distance
        g1 -= (slope - SLOPE_FIRST) * SLOPE_PRIOR
        h11 += SLOPE_PRIOR
        det = h00 * h11 - h01 * h01
        up, turn = (g0 * h11 - g1 * h01) / det, (g1 * h00 - g0 * h01) / det
        level += _held(up, 1.0)
        slope = max(SLOPE_LEAST, min(SLOPE_MOST, slope + _held(turn, 10.0)))
        if abs(up) < LINE_FOUND and abs(turn) < LINE_FOUND * slope:
            break
    return middle + (limit - level) / slope


def _held(value: float, bound: float) -> float:
    return max(-bound, min(bound, value))


def _isotonic(shares: Sequence[Share]) -> list[float]:
    """Pool adjacent violators: the rising sequence nearest to these shares, weighted by their arrivals."""
    blocks: list[tuple[float, float, int]] = []  # share, weight, levels
    for share, weight in shares:
        block = (share, float(weight), 1)
        while blocks and blocks[-1][0] > block[0]:
            before = blocks.pop()
            together = before[1] + block[1]
            mean = (before[0] * before[1] + block[0] * block[1]) / together
            block = (mean, together, before[2] + block[2])
        blocks.append(block)
    return [share for share, _, count in blocks for _ in range(count)]
