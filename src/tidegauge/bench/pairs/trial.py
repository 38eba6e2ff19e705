"""One benchmark on its way to a verdict: what is to be measured next, what was measured, and the last look at it.

    Trial.job(index) ─▶ a pair ─▶ Trial.add ─▶ Course.look, for CPU and for wall time ─▶ Judgement

A trial compares two sides of one benchmark. The trials of the self-proof compare the base with itself, once as it is
and once slowed down, on all benchmarks in turn: they speak for the suite, not for one of it.

Wall time is judged where it says something else, in benchmarks that wait; and only by pairs that were measured while
hardly anybody waited for a core, because what a busy machine adds to wall time is not the program's.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import msgspec

from tidegauge.bench.judging.decide import Judgement, Outcome, look
from tidegauge.bench.judging.plan import RESERVE, Plan
from tidegauge.bench.pairs.pair import Pair, PairJob
from tidegauge.bench.suites.model import Benchmark, Side

WAITS_FROM = 1.25  # wall time to CPU time
PRESSURE_MAX = 0.05
PATIENCE = 3


class Course(msgspec.Struct):
    """The looks at one kind of figure; `left` is what the last looks of earlier runs have left of each level."""

    looks: int = 0
    judgement: Judgement | None = None
    left: float = 1.0

    @property
    def is_decided(self) -> bool:
        return self.judgement is not None and self.judgement.outcome.is_decided

    def look(self, log_ratios: Sequence[float], plan: Plan) -> None:
        """Judge at each planned number of pairs, once."""
        looks = plan.looks_taken()
        while not self.is_decided and self.looks < len(looks) and len(log_ratios) >= looks[self.looks]:
            is_last = self.looks == len(looks) - 1
            pairs = log_ratios[: looks[self.looks]]
            self.judgement = look(pairs, plan, self.looks, is_last=is_last, left=self.left)
            self.looks += 1

    def close(self, log_ratios: Sequence[float], plan: Plan) -> None:
        """Time is up: a last look, at what has been looked at too, for there was less to spend then."""
        if not self.is_decided and self.looks < len(plan.looks_taken()):
            left = (1 - RESERVE) * self.left
            self.judgement = look(log_ratios, plan, self.looks, is_last=True, left=left)
            self.left *= RESERVE


class Trial(msgspec.Struct):
    """`benchmarks` is one, or all in turn; `plan` says when it ends, and judges CPU time."""

    name: str
    benchmarks: list[Benchmark]
    base: Side
    head: Side
    plan: Plan
    slowdown: float = 0.0
    wall_plan: Plan | None = None  # None: wall time is not judged
    pairs: list[Pair] = []
    cpu: Course = msgspec.field(default_factory=Course)
    wall: Course | None = None  # while nothing says that it waits
    lent_s: float = 0.0  # beyond what the plan gives it
    closed_at: int = -1  # pairs, when it was closed last
    note: str = ""  # an error, or a side that skips it: no pair more

    @property
    def log_ratios(self) -> list[float]:
        return [pair.log_ratio for pair in self.pairs if pair.log_ratio is not None]

    @property
    def quiet_log_ratios(self) -> list[float]:
        """Of wall time."""
        quiet = (pair for pair in self.pairs if pair.pressure is not None and pair.pressure <= PRESSURE_MAX)
        return [pair.wall_log_ratio for pair in quiet if pair.wall_log_ratio is not None]

    @property
    def seconds(self) -> float:
        return sum(pair.seconds for pair in self.pairs)

    @property
    def waits(self) -> bool:
        """Whether it spends more time than it computes; a wait for a core does not count."""
        times = [(pair.base_wall_min_ns, pair.base_min_ns) for pair in self.pairs]
        shares = [wall_ns / cpu_ns for wall_ns, cpu_ns in times if wall_ns and cpu_ns]
        return bool(shares) and median(shares) >= WAITS_FROM

    @property
    def is_over(self) -> bool:
        """Whether more time is of no use."""
        courses = [self.cpu] if self.wall is None else [self.cpu, self.wall]
        is_decided = all(course.is_decided for course in courses)
        return bool(self.note) or is_decided or len(self.log_ratios) >= self.plan.looks_taken()[-1]

    @property
    def goes_on(self) -> bool:
        """Whether another pair is wanted, and there is time for it."""
        is_late = self.seconds >= self.plan.seconds_max + self.lent_s
        has_enough = len(self.log_ratios) >= self.plan.looks[0] or self._is_too_long
        return not self.is_over and not (is_late and has_enough)

    @property
    def is_closed(self) -> bool:
        """Whether no pair came since it was closed."""
        return self.closed_at == len(self.pairs)

    @property
    def spare_s(self) -> float:
        """What it leaves to others."""
        return max(0.0, self.plan.seconds_max - self.seconds) if self.is_over else 0.0

    @property
    def borrows(self) -> bool:
        """Whether more time could decide it: wall time wants a quiet machine rather."""
        return not self.is_over and not self.cpu.is_decided and not self._is_too_long

    @property
    def _is_too_long(self) -> bool:
        """Whether the pairs of the first look would take far more than its time."""
        first_look_s = self.plan.looks[0] * self.seconds / max(1, len(self.pairs))
        return first_look_s > PATIENCE * self.plan.seconds_max

    def job(self, *, ahead: int = 0) -> PairJob:
        """The next pair, or one of those after it."""
        index = len(self.pairs) + ahead
        benchmark = self.benchmarks[index % len(self.benchmarks)]
        return PairJob(benchmark=benchmark, base=self.base, head=self.head, index=index, head_slowdown=self.slowdown)

    def add(self, pair: Pair) -> None:
        """Take a pair in and look, where a look is due."""
        self.pairs.append(pair)
        if pair.log_ratio is None:
            self._drop(pair)
        self.cpu.look(self.log_ratios, self.plan)
        if (
            self.wall_plan is not None
            and self.wall is None
            and len(self.log_ratios) >= self.plan.looks[0]
            and self.waits
        ):
            self.wall = Course()
        if self.wall is not None and self.wall_plan is not None:
            self.wall.look(self.quiet_log_ratios, self.wall_plan)

    def close(self) -> bool:
        """No pair more in this run; whether that spent anything: a look was taken that no plan had foreseen."""
        is_new = not self.is_over and not self.is_closed
        if not self.note and not self.is_closed:
            self.closed_at = len(self.pairs)
            self.cpu.close(self.log_ratios, self.plan)
            if self.wall is not None and self.wall_plan is not None:
                self.wall.close(self.quiet_log_ratios, self.wall_plan)
        return is_new

    def _drop(self, pair: Pair) -> None:
        """The benchmark that gave no number; without it the trial may have nothing left to measure."""
        used = self.benchmarks[pair.index % len(self.benchmarks)]
        if len(self.benchmarks) > 1:
            self.benchmarks = [each for each in self.benchmarks if each is not used]
        elif pair.error:
            self.note = f"it failed on {pair.error_side}: {pair.error}"
        else:
            self.note = f"{pair.skipped} skips it"


def is_slower(course: Course | None) -> bool:
    return course is not None and course.judgement is not None and course.judgement.outcome is Outcome.SLOWER
