"""Which commit made it slower? Halving the commits between base and head, by the same pairs as the comparison.

    slower benchmarks ─▶ middle of the worst one's range ─▶ build ─▶ pairs against base ─▶ slow │ fast │ skipped
                              ▲                                                              │
                              └────────────── each range that the commit lies in shrinks ────┘

All benchmarks are halved together: a commit that is built is asked about every benchmark whose range it lies in, and
as ranges only shrink it is never built again. A probe is slow when it is nearer to head's level than to base's: its
pairs are tested against the middle of the two on the log scale, look by look, until one side is excluded. What does
not build, errs, or stays in the middle to the last look, is skipped as `git bisect skip` does: the answer may then be
a range. The risk of a wrong turn, of all probes together, is at most the plan's alpha.

Bounds: probes by the logarithm of the commits and one for each skip, pairs by the plan, all by the time; a build or a
pair that has begun is not cut short.

It is not called bisect: `worker.py` runs as a file from this folder, where a module of that name would stand in for
the standard library's.
"""

import enum
import math
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from tidegauge.bench.judging.decide import Outcome, look
from tidegauge.bench.judging.plan import Plan
from tidegauge.bench.pairs.pair import Pair

# Against the middle itself: the least delta that a plan takes, which is no per cent but a rounding.
NOTHING = 1e-9


class State(enum.StrEnum):
    """What is known of one benchmark at one commit."""

    FAST = "fast"
    SLOW = "slow"
    SKIPPED = "skipped"
    OUT_OF_TIME = "out_of_time"


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """One benchmark at one commit; `ratio` to base where there are enough pairs to tell it."""

    commit: str
    state: State
    ratio: float | None = None
    pairs: int = 0
    reason: str = ""


class Slower(msgspec.Struct, frozen=True, kw_only=True):
    """A benchmark that the comparison found slower on head, by this ratio to base, which is more than one."""

    benchmark: str
    ratio: float


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """The culprit is one of `commits`, oldest first: the only one, or why there are more.

    `before` and `after` are the ratios to base of the last commit that is fast and the first that is slow.
    """

    benchmark: str
    commits: tuple[str, ...]
    before: float
    after: float
    probes: tuple[Probe, ...]
    why: str


class Measurer(Protocol):
    """What the search asks of the outside world."""

    def build(self, commit: str) -> str:
        """Makes `commit` the one that pairs are measured on; why it cannot, or nothing."""

    def measure(self, benchmark: str, index: int) -> Pair:
        """One pair of base and the commit that was built last."""


class _Search:
    """One benchmark's range: fast at place `fast`, slow at place `slow`; -1 is base."""

    def __init__(self, slower: Slower, commits: Sequence[str]) -> None:
        self.benchmark = slower.benchmark
        self.middle = math.log(slower.ratio) / 2
        self.probes: list[Probe] = []
        self._commits = commits
        self._fast, self._slow = -1, len(commits) - 1
        self._before, self._after = 1.0, slower.ratio
        self._skipped: set[int] = set()

    def wants(self, place: int) -> bool:
        return self._fast < place < self._slow and place not in self._skipped

    def next(self) -> int | None:
        """The place nearest to the middle of the range that may still tell something."""
        centre = (self._fast + self._slow) / 2
        places = [place for place in range(self._fast + 1, self._slow) if self.wants(place)]
        return min(places, key=lambda place: abs(place - centre), default=None)

    def take(self, place: int, probe: Probe) -> None:
        self.probes.append(probe)
        if probe.state is State.FAST:
            self._fast, self._before = place, probe.ratio or self._before
        elif probe.state is State.SLOW:
            self._slow, self._after = place, probe.ratio or self._after
        elif probe.state is State.SKIPPED:
            self._skipped.add(place)

    def found(self) -> Found:
        commits = tuple(self._commits[self._fast + 1 : self._slow + 1])
        skipped = [probe.reason for probe in self.probes if probe.commit in commits and probe.state is State.SKIPPED]
        why = ""
        if self.next() is not None:
            why = "time was up"
        elif skipped:
            why = f"{len(skipped)} of them could not be judged, the first because {skipped[0]}"
        return Found(
            benchmark=self.benchmark,
            commits=commits,
            before=self._before,
            after=self._after,
            probes=tuple(self.probes),
            why=why if len(commits) > 1 else "",
        )


def halve(
    commits: Sequence[str], slower: Sequence[Slower], measurer: Measurer, plan: Plan, is_out_of_time: Callable[[], bool]
) -> list[Found]:
    """`commits`: those after base, oldest first, the last of which is head; an answer for each benchmark."""
    searches = [_Search(each, commits) for each in sorted(slower, key=lambda each: -each.ratio)]
    plan = probing(plan, probes=len(searches) * len(commits).bit_length())
    while not is_out_of_time():
        place = next((at for at in (search.next() for search in searches) if at is not None), None)
        if place is None:
            break
        commit = commits[place]
        why = measurer.build(commit)
        for search in searches:
            if search.wants(place):
                probe = (
                    Probe(commit=commit, state=State.SKIPPED, reason=why)
                    if why
                    else probe_commit(
                        commit, search.benchmark, search.middle, measurer, plan, is_out_of_time=is_out_of_time
                    )
                )
                search.take(place, probe)
    return [search.found() for search in searches]


def probing(plan: Plan, *, probes: int) -> Plan:
    """The plan by which one of so many probes is judged, without the looks that are too early to say anything."""
    family = max(1, probes)
    alpha = plan.alpha / family
    looks = plan.looks_taken()
    every = msgspec.structs.replace(
        plan,
        family=family,
        confidence=1 - alpha,
        effect_min=0.0,
        delta=NOTHING,
        looks=looks,
        pairs_max=looks[-1],
    )
    first = next((number for number in range(len(looks)) if every.level_of_change(number)), len(looks) - 1)
    return msgspec.structs.replace(every, looks=looks[first:])


def probe_commit(
    commit: str, benchmark: str, middle: float, measurer: Measurer, plan: Plan, *, is_out_of_time: Callable[[], bool]
) -> Probe:
    """On which side of `middle`, a log ratio, the commit that was built last lies."""
    ratios: list[float] = []
    ratio: float | None = None
    for number, pairs in enumerate(plan.looks):
        while len(ratios) < pairs:
            if is_out_of_time():
                return Probe(commit=commit, state=State.OUT_OF_TIME, ratio=ratio, pairs=len(ratios))
            pair = measurer.measure(benchmark, len(ratios))
            if pair.log_ratio is None:
                reason = f"it failed on {pair.error_side}: {pair.error}" if pair.error else f"{pair.skipped} skips it"
                return Probe(commit=commit, state=State.SKIPPED, pairs=len(ratios), reason=reason)
            ratios.append(pair.log_ratio)
        judgement = look([each - middle for each in ratios], plan, number)
        if judgement.outcome is Outcome.NOT_MEASURED or judgement.estimate is None:
            return Probe(commit=commit, state=State.SKIPPED, pairs=len(ratios), reason=judgement.reason)
        ratio = judgement.estimate * math.exp(middle)
        if judgement.outcome.is_decided:
            state = State.SLOW if judgement.outcome is Outcome.SLOWER else State.FAST
            return Probe(commit=commit, state=state, ratio=ratio, pairs=len(ratios))
    reason = f"after {len(ratios)} pairs it is neither nearer to base nor to head"
    return Probe(commit=commit, state=State.SKIPPED, ratio=ratio, pairs=len(ratios), reason=reason)
