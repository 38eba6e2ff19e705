"""What a step of the search was, read from what its Locust left behind; `capacity` starts one for each step.

    rate, seconds ─▶ Locust, its result and its log by the second ─▶ Ran ─▶ Step

A process of its own for each step costs two seconds of start, and is worth them: no step inherits a queue, a
connection or a late clock from the one before, and any locustfile will do, on any number of workers.

Every step meets the target as the last one left it, and a target past its knee may have begun to refuse: what a
workload counts as `refused.WHY` was answered in time, and not carried.

An arrival is over when its workflow's own promise is broken, its p99 from due time under [load.slo]; a workflow without
one has `slo_ms`. So that one p99 says how near all of them are, times are read as shares of their limits. A second's
arrivals are counted where they ended, which is near enough where a step is long beside its limit.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from tidegauge.budgets import Budgets
from tidegauge.load.judging.result import Result
from tidegauge.load.knee.others import Others
from tidegauge.load.knee.steps import Slice, Step
from tidegauge.load.server.rows import ServerRow
from tidegauge.load.times.clocks import Clocks, Histogram, top_of
from tidegauge.load.times.phases import WARM_UP
from tidegauge.verdicts import Verdict

REFUSED: Final = "refused."  # how a workload counts what the target would not do
GENERATOR: Final = "load/generator/"
# What a full pool breaks, whoever filled it.
OF_DROPS: Final = frozenset({f"{GENERATOR}dropped", f"{GENERATOR}achieved_share"})
MEASURE: Final = "p99_due_ms"
MOMENT_S: Final = 1e-3


class Limits(msgspec.Struct, frozen=True):
    """How late is too late, by workflow."""

    slo_ms: float
    own_ms: Mapping[str, float]

    @classmethod
    def of(cls, budgets: Budgets, slo_ms: float) -> "Limits":
        """From the promises, and one limit for all who have none."""
        own = {}
        for name, budget in budgets.by_name.items():
            lane, subject, measure = name.split("/")
            is_workflow = not {"|", "@"} & set(subject)  # neither a step nor a phase
            if lane == "load" and measure == MEASURE and is_workflow and budget.max is not None:
                own[subject] = budget.max
        return cls(slo_ms, own)

    def ms(self, subject: str) -> float:
        """The limit of a workflow."""
        return self.own_ms.get(subject, self.slo_ms)


class Ran(msgspec.Struct, frozen=True):
    """What a Locust left behind; `result` is None where it came to nothing."""

    result: Result | None
    seconds: tuple[tuple[float, float, Clocks], ...]  # start, length, and what came in it
    took_s: float
    why: str = ""
    others: Others | None = None  # who used the target's machine meanwhile


def step_of(ran: Ran, limits: Limits, *, rate: float, seconds: float, warm_up_s: float, in_flight_max: int) -> Step:
    """Reads one step."""
    if ran.result is None:
        return Step(
            rate_per_s=rate,
            seconds=seconds,
            took_s=ran.took_s,
            slices=(),
            p50_ms=0.0,
            p99_ms=0.0,
            achieved_share=0.0,
            honest=False,
            reason=ran.why,
        )
    snapshot = ran.result.snapshot
    counters, made = snapshot["counters"], snapshot["generator"]
    undone = counters.get("arrivals/dropped", 0) + counters.get("arrivals/unfinished", 0)
    ratios = _ratios((clocks for _, _, clocks in ran.seconds), limits)
    # A pool that holds all arrivals of one limit is only ever full of late ones: then a drop is the target's doing.
    holds_all = in_flight_max >= rate * max([limits.slo_ms, *limits.own_ms.values()]) / 1e3
    broken = [
        finding
        for finding in ran.result.findings
        if finding.name.startswith(GENERATOR)
        and finding.verdict is not Verdict.PASS
        and not (holds_all and finding.name in OF_DROPS)
    ]
    reasons = [f"{finding.name.removeprefix(GENERATOR)}: {finding.reason}" for finding in broken]
    if ran.others and ran.others.took_part:
        reasons.append(ran.others.took_part)
    # What ends while it drains was not borne at this rate, but after it.
    kept = [
        (length_s, clocks) for start_s, length_s, clocks in ran.seconds if warm_up_s <= start_s < warm_up_s + seconds
    ]
    done = sum(histogram.count for _, clocks in kept for _, histogram in _workflows(clocks))
    return Step(
        rate_per_s=rate,
        seconds=seconds,
        took_s=ran.took_s,
        slices=tuple(_slice(clocks, limits) for start_s, _, clocks in ran.seconds if start_s >= warm_up_s),
        p50_ms=_at(ratios, 0.5) * limits.slo_ms,
        p99_ms=_at(ratios, 0.99) * limits.slo_ms,
        achieved_share=1 - min(undone / made["scheduled"], 1.0) if made["scheduled"] else 0.0,
        done_per_s=done / max(sum(length_s for length_s, _ in kept), MOMENT_S),
        honest=not reasons,
        reason="; ".join(reasons),
        others_share=ran.others.share if ran.others else None,
        server=tuple(msgspec.convert(row, ServerRow) for row in snapshot["server"]),
    )


def _slice(clocks: Clocks, limits: Limits) -> Slice:
    """Late, failed, refused or never sent; who was both late and failed is one."""
    over = 0
    for subject, histogram in _workflows(clocks):
        limit_us = limits.ms(subject) * 1e3
        late = sum(count for index, count in histogram.bins.items() if top_of(index) > limit_us)
        failed = sum(n for name, n in clocks.counters.items() if name.startswith(f"errors/{subject}/"))
        over += max(late, min(failed, histogram.count))
    over += clocks.counters.get("arrivals/dropped", 0)
    over += sum(n for name, n in clocks.counters.items() if name.startswith(REFUSED))
    offered = clocks.counters.get("arrivals/scheduled", 0)
    return Slice(offered=offered, over=min(over, offered))


def _workflows(clocks: Clocks) -> Iterable[tuple[str, Histogram]]:
    return (
        (subject, histogram)
        for (subject, clock, phase), histogram in clocks.histograms.items()
        if clock == "workflow" and phase != WARM_UP
    )


def _ratios(seconds: Iterable[Clocks], limits: Limits) -> list[tuple[float, int]]:
    """(time as a share of its limit, how many), ascending."""
    counts: dict[float, int] = {}
    for clocks in seconds:
        for subject, histogram in _workflows(clocks):
            for index, count in histogram.bins.items():
                ratio = top_of(index) / 1e3 / limits.ms(subject)
                counts[ratio] = counts.get(ratio, 0) + count
    return sorted(counts.items())


def _at(ratios: list[tuple[float, int]], share: float) -> float:
    """The ratio below which that share lies."""
    left = share * sum(count for _, count in ratios)
    for ratio, count in ratios:
        left -= count
        if left <= 0:
            return ratio
    return 0.0
