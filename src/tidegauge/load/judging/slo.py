"""What a load says of its target: a finding for each workflow and step, against the promises of `tidegauge.toml`.

    [load.slo]
    "entry/p99_due_ms" = { max = 50, unit = "ms", why = "the quotes it chose by are still true" }
    "entry@spike/p99_due_ms" = { max = 400, unit = "ms", why = "an open market is no quiet one" }

A subject is a workflow, or a step as Locust names it with its slashes as bars (`POST |api|workflows|entry`); with
`@phase` it is judged in that phase alone, without one in all of the run but its warm-up. A percentile comes with the
order statistics that bound it at 95 %; too few samples for that bound are no measurement. An error that nobody allowed
is a fail, as it is to Locust itself.
"""

import math
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Final, TypeVar

import msgspec

from tidegauge.budgets import Budgets
from tidegauge.load.sockets.delivery import SUBJECTS as HEARD  # messages, which `judge_sockets` judges
from tidegauge.load.times.clocks import Clocks, Histogram
from tidegauge.load.times.phases import WARM_UP
from tidegauge.records import Budget, Finding
from tidegauge.verdicts import Verdict

LANE: Final = "load"
KNEE: Final = f"{LANE}/knee/"
# Measure, clock of a step, clock of a workflow, share.
PERCENTILES: Final = (
    ("p50_due_ms", "due", "workflow", 0.5),
    ("p99_due_ms", "due", "workflow", 0.99),
    ("p999_due_ms", "due", "workflow", 0.999),
    ("p99_service_ms", "service", "service", 0.99),
)
# Two-sided 95 %: the normal bound of a rank.
RANK_Z: Final = 1.96
NO_ERRORS: Final = Budget(max=0.0, unit="1", why="no SLO allows an error, and Locust allows none either")

T = TypeVar("T")


class Judge:
    """One run's clocks against its promises."""

    def __init__(
        self,
        clocks: Clocks,
        budgets: Budgets,
        seconds: dict[str, float],
        pause: Callable[[], None] = lambda: None,
    ) -> None:
        self._clocks = clocks
        self._pause = pause
        self._budgets = budgets
        self._seconds = {phase: length for phase, length in seconds.items() if phase != WARM_UP}

    def findings(self) -> list[Finding]:
        """Every figure of every subject, and of its phases where the run has several."""
        named = (subject for subject, clock, _ in self._clocks.histograms if clock != "lag")
        subjects = dict.fromkeys(subject for subject in named if subject not in HEARD)
        phases = list(dict.fromkeys(phase for *_, phase in self._clocks.histograms if phase != WARM_UP))
        found: list[Finding] = []
        for subject in paced(subjects, self._pause):
            found += self._subject(subject, subject, phases)
            for phase in phases if len(phases) > 1 else ():
                found += self._subject(subject, f"{subject}@{phase}", [phase])
        return found

    def _subject(self, subject: str, title: str, phases: list[str]) -> Iterator[Finding]:
        is_workflow = any(its == subject and clock == "workflow" for its, clock, _ in self._clocks.histograms)
        for measure, of_step, of_workflow, share in PERCENTILES:
            histogram = self._clocks.select(of_workflow if is_workflow else of_step, subject, phases)
            if histogram.count:
                yield self._percentile(f"{LANE}/{title}/{measure}", histogram, share)
        histogram = self._clocks.select("workflow" if is_workflow else "service", subject, phases)
        if not histogram.count:
            return
        yield self._errors(subject, title, phases, histogram.count)
        if seconds := sum(self._seconds.get(phase, 0.0) for phase in phases):
            yield self._budgets.judge(f"{LANE}/{title}/throughput_per_s", histogram.count / seconds, "1/s")

    def _percentile(self, name: str, histogram: Histogram, share: float) -> Finding:
        value = histogram.value_at(share) / 1e3
        evidence = {"samples": histogram.count, "max_ms": histogram.max_us / 1e3}
        low, high = rank_bounds(histogram.count, share)
        if high > histogram.count and name in self._budgets.by_name:
            finding = self._too_few(name, value, histogram, share, low)
        else:
            bottom, top = histogram.value_of_rank(low) / 1e3, histogram.value_of_rank(high) / 1e3
            finding = self._budgets.judge(name, value, "ms", bottom, top)
        return msgspec.structs.replace(finding, evidence=evidence)

    def _too_few(self, name: str, value: float, histogram: Histogram, share: float, low: int) -> Finding:
        """Nothing bounds the percentile from above; it can still be certainly too high."""
        bottom = histogram.value_of_rank(low) / 1e3
        finding = self._budgets.judge(name, value, "ms", bottom, max(value, histogram.max_us / 1e3))
        if finding.verdict is Verdict.FAIL:
            return finding
        reason = f"{histogram.count} samples bound no p{share * 100:g}; it takes {samples_for(share)} or more"
        return msgspec.structs.replace(finding, verdict=Verdict.NOT_MEASURED, high=None, low=None, reason=reason)

    def _errors(self, subject: str, title: str, phases: list[str], count: int) -> Finding:
        name, budgets = f"{LANE}/{title}/error_share", self._budgets
        if name not in budgets.by_name and title == subject:
            budgets = Budgets({name: NO_ERRORS})
            # What a phase of its own may have, a fault's for one, is judged there.
            allowed = {phase for phase in phases if f"{LANE}/{subject}@{phase}/error_share" in self._budgets.by_name}
            phases = [phase for phase in phases if phase not in allowed]
        failed = sum(self._clocks.counters.get(errors_of(subject, phase), 0) for phase in phases)
        finding = budgets.judge(name, failed / count, "1")
        return msgspec.structs.replace(finding, evidence={"failed": failed, "of": count})


def paced(items: Iterable[T], pause: Callable[[], None]) -> Iterator[T]:
    """Each of them after a pause."""
    for item in items:
        pause()
        yield item


def unmet(budgets: Budgets, measured: Collection[str], reason: str) -> list[Finding]:
    """Promises that nothing measured. The knee's is another verb's: no single load can keep it or break it."""
    return [finding for finding in budgets.unmet(LANE, measured, reason) if not finding.name.startswith(KNEE)]


def errors_of(subject: str, phase: str) -> str:
    """The counter of a subject's failures."""
    return f"errors/{subject}/{phase}"


def rank_bounds(count: int, share: float) -> tuple[int, int]:
    """The ranks between which the true percentile lies, at 95 %; the upper may lie beyond the last sample."""
    reach = RANK_Z * math.sqrt(count * share * (1 - share))
    return max(math.floor(count * share - reach), 1), math.ceil(count * share + reach) + 1


def samples_for(share: float) -> int:
    """The least number of samples of which one bounds the percentile."""
    count = 2
    while rank_bounds(count, share)[1] > count:
        count = math.ceil(count * 1.05) + 1
    return count


def tightest_p99_ms(budgets: Budgets) -> float | None:
    """The least p99 that is promised to anybody, in milliseconds."""
    return min(_p99_limits(budgets.by_name.items()), default=None)


def errors_max(budgets: Budgets) -> float:
    """The largest share of errors that is promised of a whole run."""
    return max(
        (
            budget.max
            for name, budget in budgets.by_name.items()
            if name.startswith(f"{LANE}/") and name.endswith("/error_share") and "@" not in name and budget.max
        ),
        default=0.0,
    )


def _p99_limits(budgets: Iterable[tuple[str, Budget]]) -> Iterator[float]:
    for name, budget in budgets:
        lane, _, measure = name.split("/")
        if lane == LANE and measure in {"p99_due_ms", "p99_service_ms"} and budget.max is not None:
            yield budget.max
