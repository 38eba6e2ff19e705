"""How long a comparison may go on, how sure it must be, and how its error is shared out among its looks.

A `Plan` is made once from the command line, widened by `for_suite` to the number of benchmarks that are judged
together, and read by every judgement in `decide`.

Whoever looks at growing data several times, and stops when he likes what he sees, errs several times. Each look
therefore gets a share of alpha of its own, and the shares sum to one: whatever the looks have to do with one
another, and however many of them are taken, the error of all together is at most alpha (the union bound). The
shares are the increments of Lan and DeMets' spending function in Kim and DeMets' power form, t ** SPENDING_POWER
with t = pairs / last look.

Why so flat a power: a signed-rank test of 8 pairs knows no p below 1/256 = 0.0039. O'Brien and Fleming's function
spends next to nothing of alpha = 0.01 at 8 of 128 pairs, and Pocock's 0.001: neither could decide there, whatever the
pairs say. t ** 0.3 spends 0.0044, so that eight pairs of one mind decide, and identical code, the usual case, is
judged at its first look in 98 of 100 comparisons at a spread of 1 %. The later looks pay: they ask for a z of 3.1 to
3.3 where Pocock's ask for 2.9. Of the 1 % that is promised, 0.76 % is used with normal pairs; the rest is the
price of a bound that needs no assumption about them.

The last look has all that is left. It is the last because time is up or pairs_max is reached, whatever the pairs say,
so the sum stays what it is. Where a pair takes half a second, 10 s end at 20 of 128 pairs, which left half of alpha
unspent: in a suite of four +3 % is now seen in 76 of 100 cases at a spread of 2.5 %, and was in 53. When time is up a
tenth is kept back, RESERVE: whoever resumes with more time looks again, at levels a tenth as large.

In a suite each benchmark's alpha is so small that even pairs of one mind are too few at the first looks. A look that
can decide nothing spends nothing: its share is handed on to the next. In a suite of four a slowdown is then found at
10 pairs, with a level of 0.0012, where at 16 it was 0.0003.
"""

import math
from typing import Self

import msgspec

from tidegauge.errors import TidegaugeError

SPENDING_POWER = 0.3
RESERVE = 0.1
# The null distribution of n signed ranks costs n ** 3 steps, once: a fraction of a second at this many pairs.
PAIRS_MAX = 256


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of one comparison. Changes are fractions of the base's CPU time: 0.03 is 3 % slower.

    `alpha`: the risk of a false "slower", and of a false "faster", at all looks together, in the whole family.
    `confidence`: of "not slower than `delta`", at all looks together, for each benchmark.
    `clock` is what sentences call the figure. `allowed` is a slowdown that was granted: only more than it is slower.
    """

    alpha: float = 0.01
    delta: float = 0.03
    effect_min: float = 0.005
    confidence: float = 0.99
    looks: tuple[int, ...] = (8, 10, 12, 16, 24, 32, 48, 64, 96, 128)
    pairs_max: int = 128
    seconds_max: float = 10.0
    family: int = 1
    clock: str = "CPU time"
    allowed: float = 0.0

    def __post_init__(self) -> None:
        """A plan comes from options that a person typed."""
        if not 0 < self.alpha < 0.5:
            raise _wrong(f"alpha = {self.alpha} is not between 0 and 0.5", "0.01 is one false alarm in a hundred.")
        if not 0.5 < self.confidence < 1:
            raise _wrong(f"confidence = {self.confidence} is not between 0.5 and 1", "0.99 is usual.")
        if not 0 <= self.effect_min < self.delta <= 1:
            raise _wrong(
                f"effect_min = {self.effect_min} and delta = {self.delta} are not 0 <= effect_min < delta <= 1",
                "Give them as fractions: 0.005 and 0.03.",
            )
        if not 0 <= self.allowed <= self.delta:
            raise _wrong(f"allowed = {self.allowed} is not from 0 to delta = {self.delta}", "0 grants nothing.")
        ascends = all(before < after for before, after in zip(self.looks, self.looks[1:], strict=False))
        if not self.looks or not ascends or self.looks[0] < 1 or self.looks[-1] > PAIRS_MAX:
            raise _wrong(f"looks = {self.looks} do not ascend from 1 to at most {PAIRS_MAX}", "8, 16, 32 is a plan.")
        if not self.looks[0] <= self.pairs_max <= self.looks[-1]:
            raise _wrong(
                f"pairs_max = {self.pairs_max} is not from {self.looks[0]} to {self.looks[-1]}",
                "Let it lie between the first look and the last.",
            )
        if not 0 < self.seconds_max < math.inf:
            raise _wrong(f"seconds_max = {self.seconds_max} is no time", "10 s a benchmark is usual.")
        if self.family < 1:
            raise _wrong(f"a family of {self.family} benchmarks is none", "Choose at least one benchmark.")

    def for_suite(self, benchmarks: int) -> Self:
        """The plan by which each of so many benchmarks is judged, so that its "slower" stands."""
        return msgspec.structs.replace(self, family=benchmarks)

    def by_wall_time(self) -> Self:
        """The same plan, of another clock."""
        return msgspec.structs.replace(self, clock="wall time")

    def allowing(self, slowdown: float) -> Self:
        """The same plan where so much slower was granted: more than it is slower, less is not."""
        return msgspec.structs.replace(self, delta=slowdown, allowed=slowdown)

    @property
    def slower_from(self) -> float:
        """What has to be exceeded for sure to be slower."""
        return max(self.effect_min, self.allowed)

    def level_of_change(self, look_index: int, *, is_last: bool = False, left: float = 1.0) -> float:
        """The level at which this look tests "slower", and likewise "faster".

        `left` is the share of its part that earlier runs have left it.
        """
        return left * self._level(self.alpha / self.family, look_index, is_last=is_last)

    def level_of_bound(self, look_index: int, *, is_last: bool = False, left: float = 1.0) -> float:
        """The level at which this look tests "not slower than delta"."""
        return left * self._level(1 - self.confidence, look_index, is_last=is_last)

    def _level(self, all_looks: float, look_index: int, *, is_last: bool) -> float:
        """The part of it that may be spent at this look; the parts of all looks sum to it at most."""
        if not 0 <= look_index < len(self.looks):
            raise IndexError(f"look {look_index} of {len(self.looks)}")
        level = spent = 0.0
        for pairs in self.looks[: look_index + 1]:
            level = all_looks * math.pow(pairs / self.looks[-1], SPENDING_POWER) - spent
            if level < 2.0**-pairs:  # what pairs of one mind have
                level = 0.0
            spent += level
        return all_looks - (spent - level) if is_last else level

    def looks_taken(self) -> tuple[int, ...]:
        """The looks that lie within `pairs_max`."""
        return tuple(pairs for pairs in self.looks if pairs <= self.pairs_max)


def _wrong(sentence: str, remedy: str) -> TidegaugeError:
    return TidegaugeError(f"The plan of the comparison cannot be kept: {sentence}", remedy)
