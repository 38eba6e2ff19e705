"""How much the target carries: the highest open rate at which it still keeps its promise, with an interval.

    measure(rate, seconds) ─▶ Step ─▶ up in geometric steps ─▶ halving ─▶ repeats ─▶ Knee ─▶ finding

The promise is p99 from due time within the SLO, and 99 % of what was offered done. `find_knee` knows neither Locust nor
clocks: whoever calls it drives the steps, and the time that the search may take is added up from what they say they
took. Up it goes by a factor; where the latency already climbs so steeply that the next step would break the promise, it
goes no further than the rate at which the climb says so, because a target driven far past its knee needs long to
recover, and tells nothing more. Then one rule holds to the end: the bracket that all steps together show is halved, or
cut about what was done where the target was flooded, until it is narrow, its two ends are repeated, and when the
repeats move it, it is followed.

A step that was not honest counts as nothing. It is taken again, after pauses that double, for a machine may be busy for
a moment; when that does not help, the rate is given up. On the way up the search then goes on below, between what was
carried and what cannot be asked; where a knee is enclosed already, the bracket as it is gives it. Without one the
search ends undecided: what it proves is the highest rate that was carried, and no knee. Bounds: `seconds_max` and
`steps_max`, whichever comes first; the bracket as it then is gives the knee, with a wider interval.

A target that carried a rate and later breaks far below it, time and again, is no longer the same: its money is spent,
or a breaker stays open. Then there is no knee of both.
"""

import math

import msgspec

from tidegauge.load.knee.levels import Bracket, Interval, bracket_of, interval_of, levels_of
from tidegauge.load.knee.saturation import Saturation, first_saturated
from tidegauge.load.knee.steps import LATE_SHARE_MAX, Measure, Outcome, Step, Wait, late_share

# Late arrivals that so many steps at the very limit would show too are bad luck, and end no climb.
LUCK_MAX = 0.01
# Latency that grows this much slower than the rate says nothing about a knee.
GRADIENT_MIN = 0.5
RISE_LEAST = 1.2
# Rates in a row without one honest step: then it is not the rate.
IN_VAIN_MAX = 3
# As near to a rate that cannot be asked as is worth a step.
CEILING_NEAR = 1.2
# A target that carried a rate does not break so far below it, with so many late, time and again, unless it changed.
CHANGED_BELOW, CHANGED_SHARE, CHANGED_STEPS = 1.5, 0.1, 2
# A step of less sees no overload that is not gross, and the climb goes much too far.
COARSE_SLOS = 12
STEPS_FORESEEN = 30
FINE_SLOS, FINE_FORESEEN = 60, 10
# Of what was asked, where less was done: then it is what the target bears.
OVERLOAD = 0.9
# Beside the halvings and repeats that are foreseen, steps that a moving bracket may ask for.
SPARE_STEPS = 2


class KneeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where to begin, how fine to end, how long it may take."""

    slo_ms: float
    promise: str = ""  # in words, where it is not `slo_ms` for all
    start_per_s: float = 20.0
    factor: float = 2.0
    resolution: float = 0.025  # half the width of the last bracket
    repeats: int = 3
    attempts: int = 4  # to take an honest step
    pause_s: float = 2.0  # before the second of them; then twice as long each time
    coarse_s: float = 3.0
    seconds_max: float = 300.0
    steps_max: int = 60
    arrivals_max: int = 30_000  # of one step: more say nothing more
    rate_least_per_s: float = 0.5
    rate_most_per_s: float = 100_000.0

    @property
    def fine_s(self) -> float:
        """Of steps that shall tell rates within five per cent apart: see `levels.allowance`."""
        return min(FINE_SLOS * self.slo_ms / 1e3, self.seconds_max / FINE_FORESEEN)

    @property
    def shortest_s(self) -> float:
        """A queue that grows by a tenth of what comes is as long as the SLO after ten times the SLO, and not before."""
        return max(self.coarse_s, min(COARSE_SLOS * self.slo_ms / 1e3, self.seconds_max / STEPS_FORESEEN))


class Knee(msgspec.Struct, frozen=True, kw_only=True):
    """`interval` is None where there is no knee; `proven_per_s` is the highest rate that was seen to be carried."""

    interval: Interval | None
    proven_per_s: float
    steps: tuple[Step, ...]
    saturated: Saturation | None
    unfinished: str = ""  # why the search ended before its end


class _Stop(Exception):
    """The search ends here; the message says why. What was measured before may still hold a knee."""


class _Dishonest(_Stop):
    """This rate cannot be measured, however often."""


class _Changed(_Stop):
    """The target is no longer what it was: its steps have nothing in common."""


class _Search:
    def __init__(self, measure: Measure, wait: Wait, settings: KneeSettings) -> None:
        self.steps: list[Step] = []
        self._measure = measure
        self._wait = wait
        self._waited_s = 0.0
        self._in_vain: list[float] = []  # rates that were given up since the last honest step
        self._ceiling = math.inf
        self._settings = settings

    @property
    def bracket(self) -> Bracket:
        return bracket_of(levels_of(self.steps))

    def climb(self) -> None:
        """Up from the start until a step clearly breaks, and down until one is carried."""
        settings = self._settings
        rate = settings.start_per_s
        while True:
            try:
                step = self._step(rate, settings.shortest_s)
            except _Dishonest as dishonest:
                rate = self._below(rate, dishonest)
                continue
            carried, broken = self.bracket.carried, _clearly_broken(step)
            if carried and broken:
                return
            rate = rate / settings.factor if broken else self._above(rate)
            if rate > settings.rate_most_per_s:
                raise _Stop(f"nothing up to {step.rate_per_s:.4g}/s was too much: raise the highest rate")
            if rate < settings.rate_least_per_s:
                raise _Stop(f"even {step.rate_per_s:.4g}/s was too much for the SLO of {settings.slo_ms:g} ms")
            if self._times(rate):
                return

    def narrow(self) -> None:
        """Halves the bracket of all steps, and repeats its ends, until neither is of use."""
        while (rate := self._wanted()) is not None:
            self._step(rate, self._fine_s(rate))

    def _step(self, rate: float, seconds: float) -> Step:
        """One honest step, after as many attempts as it may take."""
        settings = self._settings
        for attempt in range(settings.attempts):
            if attempt:
                self._waited_s += self._wait(min(settings.pause_s * 2 ** (attempt - 1), max(self._left_s(), 0.0)))
            if len(self.steps) >= settings.steps_max:
                raise _Stop(f"{settings.steps_max} steps were not enough")
            if seconds + self._overhead_s() > self._left_s():
                raise _Stop(f"{settings.seconds_max:g} s were not enough")
            self.steps.append(step := self._measure(rate, seconds))
            if step.outcome is not Outcome.NOT_MEASURED:
                self._in_vain.clear()
                self._check_unchanged()
                return step
        self._in_vain.append(rate)
        raise _Dishonest(f"none of {settings.attempts} steps at {rate:.4g}/s was honest")

    def _check_unchanged(self) -> None:
        honest = [step for step in self.steps if step.outcome is not Outcome.NOT_MEASURED]
        for index, before in enumerate(honest):
            if before.outcome is not Outcome.CARRIED:
                continue
            lower = [
                step
                for step in honest[index + 1 :]
                if step.rate_per_s * CHANGED_BELOW <= before.rate_per_s and late_share(step.slices) > CHANGED_SHARE
            ]
            if len(lower) >= CHANGED_STEPS:
                raise _Changed(
                    f"the target changed: it carried {before.rate_per_s:.4g}/s and later not even "
                    f"{lower[-1].rate_per_s:.4g}/s: look for what a load uses up, or what stays refused, and lift it"
                )

    def _below(self, rate: float, dishonest: _Dishonest) -> float:
        """Where to go on when a rate cannot be measured."""
        self._ceiling = rate
        levels = levels_of(self.steps)
        carried = bracket_of(levels).carried if levels else None
        below = math.sqrt(carried * rate) if carried else rate / self._settings.factor
        is_over = len(self._in_vain) >= IN_VAIN_MAX or below < self._settings.rate_least_per_s
        if is_over or sum(each.rate_per_s == rate for each in self.steps) > self._settings.attempts:
            raise dishonest
        return below

    def _above(self, rate: float) -> float:
        """The next rate of the climb. What could not be asked before is asked once more when nothing else is left."""
        if rate >= self._ceiling:
            self._ceiling = math.inf
        higher = rate * self._rise()
        if higher < self._ceiling:
            return higher
        return self._ceiling if self._ceiling <= rate * CEILING_NEAR else math.sqrt(rate * self._ceiling)

    def _rise(self) -> float:
        """The next factor: less than the whole one where the gradient of the latency says that it would break."""
        step, factor = self.steps[-1], self._settings.factor
        before = next(
            (each for each in reversed(self.steps) if each.honest and each.rate_per_s < step.rate_per_s),
            None,
        )
        if before is None or min(step.p99_ms, before.p99_ms) <= 0:
            return factor
        gradient = math.log(step.p99_ms / before.p99_ms) / math.log(step.rate_per_s / before.rate_per_s)
        if gradient < GRADIENT_MIN:
            return factor
        room = math.log(self._settings.slo_ms / step.p99_ms) / gradient
        return min(factor, max(RISE_LEAST, math.exp(min(room, math.log(factor)))))

    def _wanted(self) -> float | None:
        """The rate that would say most, or None when the bracket is narrow and repeated."""
        levels = levels_of(self.steps)
        bracket = bracket_of(levels)
        width = 1 + 2 * self._settings.resolution
        if bracket.carried is None or bracket.broken is None:
            return bracket.crossing * width if bracket.carried else bracket.crossing / width
        if bracket.ratio > width * (1 + 1e-9):
            return self._within(bracket.carried, bracket.broken, width)
        least = min((bracket.carried, bracket.broken), key=self._times)
        return least if self._times(least) <= self._settings.repeats else None

    def _within(self, carried: float, broken: float, width: float) -> float:
        """Where to cut a bracket: about what was done where more was asked, one side of it and then the other."""
        middle = math.sqrt(carried * broken)
        # Near the knee nearly all is done, late: that says nothing, and going after it would creep down.
        flooded = (each for each in self.steps if each.honest and each.done_per_s < OVERLOAD * each.rate_per_s)
        done = min((each.done_per_s for each in flooded), default=0.0)
        side = math.sqrt(width)
        for rate in (done / side, done * side):
            if carried * side <= rate <= broken / side:
                return rate
        return middle

    def _fine_s(self, rate: float) -> float:
        """What is left of the time, shared among the steps that are still foreseen."""
        settings, bracket = self._settings, self.bracket
        narrow = math.log1p(2 * settings.resolution)
        width = math.log(min(bracket.ratio, settings.factor))
        halvings = max(0, math.ceil(math.log2(width / narrow)))
        taken = (
            0 if halvings else sum(min(self._times(end), settings.repeats) for end in (bracket.carried, bracket.broken))
        )
        foreseen = halvings + 2 * settings.repeats - taken + SPARE_STEPS
        share_s = self._left_s() / foreseen - self._overhead_s()
        return max(settings.shortest_s, settings.fine_s, min(share_s, settings.arrivals_max / rate))

    def _times(self, rate: float | None) -> int:
        """How often this rate was measured."""
        return sum(step.rate_per_s == rate and step.outcome is not Outcome.NOT_MEASURED for step in self.steps)

    def _left_s(self) -> float:
        return self._settings.seconds_max - self._waited_s - sum(step.took_s for step in self.steps)

    def _overhead_s(self) -> float:
        """What a step costs beside its slices, warm-up and drain, as the last ones showed."""
        return max((step.took_s - step.seconds for step in self.steps[-4:]), default=0.0)


def _clearly_broken(step: Step) -> bool:
    """Whether bad luck is no explanation: of fifty arrivals one that is late is more than 1 %, and means nothing."""
    offered = sum(each.offered for each in step.slices)
    over = max(sum(each.over for each in step.slices), round((1 - step.achieved_share) * offered))
    if step.outcome is not Outcome.BROKEN:
        return False
    expected = offered * LATE_SHARE_MAX
    fewer = sum(math.exp(count * math.log(expected) - expected - math.lgamma(count + 1)) for count in range(over))
    return 1 - fewer < LUCK_MAX


def find_knee(measure: Measure, wait: Wait, settings: KneeSettings, seed: int) -> Knee:
    """Searches; the seed is the bootstrap's. Whatever `measure` raises goes through."""
    search = _Search(measure, wait, settings)
    unfinished, is_one = "", True
    try:
        search.climb()
        search.narrow()
    except _Stop as stop:
        unfinished, is_one = str(stop), not isinstance(stop, _Changed)
    steps = tuple(search.steps)
    levels = levels_of(steps)
    carried = bracket_of(levels).carried if levels else None
    interval = (
        interval_of(levels, seed, settings.slo_ms / 1e3)
        if is_one and levels and bracket_of(levels).ratio < math.inf
        else None
    )
    return Knee(
        interval=interval,
        proven_per_s=carried or 0.0,
        steps=steps,
        saturated=first_saturated(steps),
        unfinished=unfinished,
    )
