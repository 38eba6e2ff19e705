"""Did the generator do what it says it did? A few questions; one "no" and nothing counts as measured.

A generator that is late, that left out arrivals, or that had no core to itself measures itself. Each limit is a share
of what is measured or of what was scheduled. Little's law holds the books together: the mean number of workflows in
flight, as the pool saw it, must be what came per second times how long it took, as the clocks saw it; where the two
part, something was lost on the way.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from tidegauge.records import Budget, Finding
from tidegauge.verdicts import Verdict

LAG_SHARE_MAX: Final = 0.10
LAG_MS_MAX: Final = 10.0
ACHIEVED_MIN: Final = 0.99
CPU_SHARE_MAX: Final = 0.80
LITTLE_MAX: Final = 0.05
# Less than a p99.9 can see.
SLOW_NAMES_MAX: Final = 0.001
# Of the run, as at the achieved share: so long the workers together asked for less than the schedule says.
APART_MAX: Final = 0.01

# Questions to a generator whose users are due whenever they are.
WITHOUT_SCHEDULE: Final = ("/cpu_share", "/workers_lost", "/slow_names_share")


class Generator(msgspec.Struct, frozen=True, kw_only=True):
    """What a run knows of its own making, all workers together; the CPU is that of the busiest."""

    scheduled: int = 0
    started: int = 0
    dropped: int = 0
    lag_p99_us: int = 0
    cpu_share: float = 0.0
    in_flight: float = 0.0
    littles_law_off: float = 0.0
    workers: int = 1
    workers_lost: int = 0
    workers_apart_share: float = 0.0
    slow_names_share: float = 0.0

    @property
    def achieved_share(self) -> float:
        """Of the arrivals that were due, how many were started while the schedule lasted."""
        return self.started / self.scheduled if self.scheduled else 0.0


class Rule(msgspec.Struct, frozen=True):
    """One question: the figure, its limit, and what to do about a bad answer."""

    measure: str
    value: Callable[[Generator], float]
    unit: str
    remedy: str
    max: float | None = None
    min: float | None = None

    def judge(self, generator: Generator) -> Finding:
        """A limit that does not hold leaves the run not measured: it says nothing about the target."""
        value = self.value(generator)
        budget = Budget(max=self.max, min=self.min, unit=self.unit, why=self.remedy)
        ok = (self.max is None or value <= self.max) and (self.min is None or value >= self.min)
        return Finding(
            name=f"load/generator/{self.measure}",
            verdict=Verdict.PASS if ok else Verdict.NOT_MEASURED,
            value=value,
            unit=self.unit,
            budget=budget,
            reason="the generator did what it says" if ok else f"the generator measured itself: {self.remedy}",
        )


def lag_ms_max(slo_p99_ms: float | None) -> float:
    """How late a question may be by the generator's own doing."""
    return LAG_MS_MAX if slo_p99_ms is None else slo_p99_ms * LAG_SHARE_MAX


def rules(slo_p99_ms: float | None) -> tuple[Rule, ...]:
    """The questions; how late is too late depends on the tightest promise."""
    return (
        Rule(
            "lag_p99_ms",
            lambda made: made.lag_p99_us / 1e3,
            "ms",
            "arrivals started late; ask for less a process, add workers, or free a core for it",
            max=lag_ms_max(slo_p99_ms),
        ),
        Rule(
            "dropped",
            lambda made: made.dropped,
            "1",
            "arrivals found no free user; raise --tidegauge-in-flight, or ask for less",
            max=0,
        ),
        Rule(
            "achieved_share",
            lambda made: made.achieved_share,
            "1",
            "arrivals that were due were not started; ask for less a process, or add workers",
            min=ACHIEVED_MIN,
        ),
        Rule(
            "cpu_share",
            lambda made: made.cpu_share,
            "1",
            "its core was busy with itself; add workers, on other cores than the target's",
            max=CPU_SHARE_MAX,
        ),
        Rule(
            "littles_law",
            lambda made: made.littles_law_off,
            "1",
            "workflows in flight and workflows timed do not agree; some never ended, or a worker lost its samples",
            max=LITTLE_MAX,
        ),
        Rule(
            "workers_lost",
            lambda made: made.workers_lost,
            "1",
            "workers went without handing over what they had measured; see their output, and run it again",
            max=0,
        ),
        Rule(
            "workers_apart_share",
            lambda made: made.workers_apart_share,
            "1",
            "workers began apart, so that their shares are not one schedule; free their cores, or set their clocks",
            max=APART_MAX,
        ),
        Rule(
            "slow_names_share",
            lambda made: made.slow_names_share,
            "1",
            "questions waited for the target's name to be looked up; give its address, or mend the resolver",
            max=SLOW_NAMES_MAX,
        ),
    )


def judge(generator: Generator, slo_p99_ms: float | None) -> list[Finding]:
    """A finding for each question."""
    return [rule.judge(generator) for rule in rules(slo_p99_ms)]


def withdraw(findings: list[Finding], generator: list[Finding]) -> list[Finding]:
    """What the target was judged by, as far as the generator can be believed: not at all, or as it is."""
    broken = [finding.name.rpartition("/")[2] for finding in generator if finding.verdict is not Verdict.PASS]
    if not broken:
        return findings
    reason = f"the generator cannot be believed, see load/generator: {', '.join(broken)}"
    return [
        msgspec.structs.replace(finding, verdict=Verdict.NOT_MEASURED, reason=reason, evidence=finding.evidence)
        for finding in findings
    ]
