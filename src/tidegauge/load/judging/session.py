"""One load run as everybody sees it: what is recorded goes in here, what is known of it comes out.

Users, arrivals and sockets call `record` and `count`; once a second `tick` closes the interval. Where Locust runs
alone the interval goes to `absorb` at once; a worker keeps it in `outbox` for its master, whose `absorb` takes the
intervals of all workers. `absorb` adds them to the totals, which judge, and to the row of their second, which draws.
So the same code sees the same samples, however many processes made them. `snapshot` is all of it as builtins,
`verdicts` the findings; whoever looks while the load goes on takes them of `still`, with pauses. Neither Locust nor
gevent is imported here.
"""

import copy
import time
from collections.abc import Callable
from typing import Any, Final, Self

import msgspec

from tidegauge.budgets import Budgets
from tidegauge.load.judging import honesty, recovery, slo
from tidegauge.load.judging.honesty import Generator
from tidegauge.load.server import leaks
from tidegauge.load.server.rows import Extremes, ServerRow
from tidegauge.load.sockets.delivery import SUBJECTS, judge_sockets
from tidegauge.load.times import phases
from tidegauge.load.times.clocks import Clocks
from tidegauge.load.times.schedule import Profile
from tidegauge.load.times.shapes import STEADY
from tidegauge.records import Finding
from tidegauge.verdicts import Verdict

# Two hours by the second, for what judges the way back after a fault.
ROWS_MAX: Final = 7_200
# Looks at the target are drawn: as many as a chart has points. All of them grew by some ten megabytes an hour.
LOOKS_MAX: Final = 1_200
# A worker reports every three seconds; a second older than this many is complete.
ROW_OPEN_S: Final = 8
OUTBOX_MAX: Final = 600
# Seconds after the common moment at which a worker began, and before it: the largest of both are the span of all.
BEGAN_LATE: Final = "generator/began_late_s"
BEGAN_EARLY: Final = "generator/began_early_s"


# Which promises a load answers for: every one that was made, or those that it has something to say about.
ALL: Final = "all"
MEASURED: Final = "measured"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for, as far as it decides how to read the samples."""

    budgets: Budgets = Budgets({})
    profile: Profile | None = None
    warm_up_s: float = -1.0
    open_loop: bool = True
    promises: str = ALL

    @property
    def cut_s(self) -> float:
        """How much of the beginning does not count; without a profile nobody knows the end, so the most."""
        return phases.warm_up_s(self.warm_up_s, self.profile.duration_s if self.profile else 1e9)


class LoadSession:
    """The samples of one run; `begin` starts another in its place."""

    def __init__(self, plan: Plan | None = None, *, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        # Between two parts of a long calculation: where arrivals wait for this process, they go first.
        self.pause: Callable[[], None] = lambda: None
        # Told of each second when it is complete, in the order of time.
        self.on_second: Callable[[int, Clocks], None] = lambda _second, _clocks: None
        self.begin(plan or Plan(), started_s=clock())

    def begin(self, plan: Plan, *, started_s: float) -> None:
        """Forgets everything: a new run begins at `started_s` of the clock."""
        self.plan = plan
        self.phase_at = phases.phase_at(plan.profile, plan.cut_s)
        self.started_s = started_s
        self.ended_s: float | None = None
        self.recent = Clocks()
        self.total = Clocks()
        self.outbox: list[tuple[int, Clocks]] = []
        self.server: list[dict[str, Any]] = []
        self._looks: list[ServerRow] = []
        self._extremes = Extremes()
        self.workers: dict[str, bool] = {}
        self._rows: list[dict[str, Any]] = []
        self._open: dict[int, Clocks] = {}
        self._findings: list[Finding] = []

    @property
    def elapsed_s(self) -> float:
        """Since the start; it stands still after the end."""
        return max((self._clock() if self.ended_s is None else self.ended_s) - self.started_s, 0.0)

    def record(self, subject: str, clock: str, us: int, phase: str | None = None) -> None:
        """One sample; without a phase it belongs to the one that is now."""
        self.recent.record(subject, clock, self.phase_at(self.elapsed_s) if phase is None else phase, us)

    def count(self, name: str, n: int = 1) -> None:
        """Something happened that has no duration."""
        self.recent.add(name, n)

    def peak(self, name: str, value: float) -> None:
        """Something has a largest value."""
        self.recent.peak(name, value)

    def failed(self, subject: str, phase: str | None = None) -> None:
        """A step or a workflow did not do what it should."""
        self.count(slo.errors_of(subject, self.phase_at(self.elapsed_s) if phase is None else phase))

    def add(self, finding: Finding) -> None:
        """What another room found out: an invariant, a gap, a knee. The last of a name counts."""
        self._findings = [other for other in self._findings if other.name != finding.name] + [finding]

    def see(self, row: ServerRow) -> None:
        """A look at the target, put on the axis of this run; one of another time is of no use here."""
        t_s = row.t_s - self.started_s
        if 0 <= t_s <= self.elapsed_s:
            self._looks.append(msgspec.structs.replace(row, t_s=t_s))
            self.server.append(msgspec.to_builtins(self._looks[-1]))
            self._extremes.add(self.server[-1])
        if len(self.server) > LOOKS_MAX:
            del self.server[::2], self._looks[::2]

    def take(self) -> list[tuple[int, Clocks]]:
        """Closes the interval, and hands over all that were not handed over yet: (second, what came)."""
        # Of the second that is over, also when its end was seen a little late.
        self.outbox.append((int(max(self.elapsed_s - 0.5, 0.0)), self.recent.take()))
        while len(self.outbox) > OUTBOX_MAX:  # nobody fetches them: the master is gone
            (second, first), (_, following) = self.outbox[0], self.outbox.pop(1)
            first.merge(following)
            self.outbox[0] = (second, first)
        return self.outbox

    def tick(self) -> None:
        """The end of an interval where this process is all there is."""
        intervals, self.outbox = self.take(), []
        self.absorb(intervals)

    def absorb(self, intervals: list[tuple[int, Clocks]]) -> None:
        """Takes intervals of this process or of a worker."""
        for second, clocks in intervals:
            self.total.merge(clocks)
            self._open.setdefault(second, Clocks()).merge(clocks)
        self._close(max(self._open, default=0) - ROW_OPEN_S)
        if len(self._rows) > ROWS_MAX:
            del self._rows[::2]  # a long run is drawn more coarsely; what judges is in the totals

    def close(self) -> None:
        """Nothing comes any more: every second is complete."""
        self._close(max(self._open, default=0) + 1)

    def _close(self, before: int) -> None:
        for second in sorted(second for second in self._open if second < before):
            clocks = self._open.pop(second)
            self._rows.append(_row(second, clocks))
            self.on_second(second, clocks)

    def series(self) -> list[dict[str, Any]]:
        """A row a second, those that may still change included."""
        complete, others = self._rows.copy(), sorted(self._open.items())
        return complete + [_row(second, clocks) for second, clocks in slo.paced(others, self.pause)]

    def generator(self) -> Generator:
        """What the run knows of its own making."""
        counters, peaks = self.total.counters, self.total.peaks
        pool_us, clocks_us = counters.get("flight/pool_us", 0), counters.get("flight/clocks_us", 0)
        asked = sum(
            histogram.count
            for (_, clock, phase), histogram in self.total.histograms.items()
            if clock == "service" and phase != phases.WARM_UP
        )
        apart_s = peaks.get(BEGAN_LATE, 0.0) + peaks.get(BEGAN_EARLY, 0.0)
        lasts_s = self.plan.profile.duration_s if self.plan.profile else self.elapsed_s
        return Generator(
            scheduled=counters.get("arrivals/scheduled", 0),
            started=counters.get("arrivals/started", 0),
            dropped=counters.get("arrivals/dropped", 0),
            lag_p99_us=self.total.select("lag").value_at(0.99),
            cpu_share=peaks.get("generator/cpu_share", 0.0),
            in_flight=pool_us / 1e6 / self.elapsed_s if self.elapsed_s else 0.0,
            littles_law_off=abs(pool_us - clocks_us) / max(pool_us, clocks_us, 1),
            workers=len(self.workers) or 1,
            # Until the end nobody has handed over everything.
            workers_lost=sum(not done for done in self.workers.values()) if self.ended_s is not None else 0,
            workers_apart_share=apart_s / lasts_s if lasts_s else 0.0,
            slow_names_share=counters.get("names/slow", 0) / max(asked, 1),
        )

    def verdicts(self) -> list[Finding]:
        """Every finding of the run as far as it is: the generator's first, for all others hang on them."""
        if not self.total.histograms and not self.total.counters:
            return []
        budgets = self.plan.budgets
        honest = honesty.judge(self.generator(), slo.tightest_p99_ms(budgets))
        if self.ended_s is None:  # what is under way stands in one of the two books alone
            honest = [finding for finding in honest if not finding.name.endswith("/littles_law")]
        if not self.plan.open_loop:  # closed users are due whenever they are: no schedule can lie
            honest = [finding for finding in honest if finding.name.endswith(honesty.WITHOUT_SCHEDULE)]
        found = slo.Judge(self.total, budgets, self._seconds(), self.pause).findings()
        if found and self.plan.profile:
            found += recovery.findings(self.plan.profile, budgets, self.series(), self.elapsed_s)
        found += self._sockets()
        found = [*honest, *honesty.withdraw(found, honest), *self._findings]
        unmet = "it was promised, but nothing of this load measured it; mend the load or remove the promise"
        if self.plan.promises == MEASURED:
            return found
        return found + slo.unmet(budgets, {finding.name for finding in found}, unmet)

    def still(self, pause: Callable[[], None]) -> Self:
        """As it is now, and so it stays for as long as the calculation takes with its pauses."""
        now_s = self._clock()
        seen = copy.copy(self)
        vars(seen).update(pause=pause, _clock=lambda: now_s, total=self.total.copy())
        return seen

    def snapshot(self) -> dict[str, Any]:
        """All of it, as builtins."""
        generator = self.generator()
        return {
            "started_s": self.started_s,
            "elapsed_s": self.elapsed_s,
            "clocks": [
                {"subject": subject, "clock": clock, "phase": phase, "count": histogram.count}
                | {"mean_us": histogram.mean_us, "max_us": histogram.max_us}
                | {
                    f"p{name}_us": histogram.value_at(share)
                    for name, share in (("50", 0.5), ("90", 0.9), ("99", 0.99), ("999", 0.999))
                }
                for (subject, clock, phase), histogram in slo.paced(self.total.histograms.items(), self.pause)
            ],
            "generator": {
                "scheduled": generator.scheduled,
                "started": generator.started,
                "dropped": generator.dropped,
                "achieved_share": generator.achieved_share,
                "lag_p99_us": generator.lag_p99_us,
                "cpu_share": generator.cpu_share,
                "in_flight": generator.in_flight,
                "littles_law_off": generator.littles_law_off,
                "workers": generator.workers,
                "workers_lost": generator.workers_lost,
                "workers_apart_share": generator.workers_apart_share,
                "slow_names_share": generator.slow_names_share,
            },
            "series": self.series(),
            "server": self.server,
            "server_extremes": {name: kept.copy() for name, kept in self._extremes.by_name.items()},
            "verdicts": [msgspec.to_builtins(finding) for finding in self.verdicts()],
            "counters": self.total.counters,
        }

    def _seconds(self) -> dict[str, float]:
        """How long each phase was, without what the warm-up cut from it."""
        profile, cut_s = self.plan.profile, self.plan.cut_s
        if profile is None:
            return {STEADY: max(self.elapsed_s - cut_s, 0.0)}
        lengths: dict[str, float] = {}
        at_s = 0.0
        for piece in profile.pieces:
            end_s = min(at_s + piece.seconds, self.elapsed_s)
            lengths[piece.phase] = lengths.get(piece.phase, 0.0) + max(end_s - max(at_s, cut_s), 0.0)
            at_s += piece.seconds
        return lengths

    def _sockets(self) -> list[Finding]:
        """What was pushed to our clients, and whether the target keeps what they cost it."""
        counted = dict.fromkeys(phase for *_, phase in self.total.histograms if phase != phases.WARM_UP)
        rows = []
        for subject in SUBJECTS:
            heard = self.total.select("service", subject, counted)
            rows.append({"subject": subject, "clock": "service", "count": heard.count, "p99_us": heard.value_at(0.99)})
        found = judge_sockets(self.total.counters, rows, self.plan.budgets)
        leak = leaks.sockets_finding(self._looks)
        # Most loads are too short for a trend, or of another machine: nobody was promised one.
        if leak.verdict is not Verdict.NOT_MEASURED or leaks.NAME in self.plan.budgets.by_name:
            found.append(leak)
        return found


def _row(second: int, clocks: Clocks) -> dict[str, Any]:
    """What is drawn of one second; the times are those of what ended in it."""
    due = clocks.select("due")
    shown = due if due.count else clocks.select("service")
    workflows = clocks.select("workflow")
    return {
        "t_s": second,
        "offered_per_s": clocks.counters.get("arrivals/scheduled", 0),
        "achieved_per_s": workflows.count or shown.count,
        "p50_due_us": shown.value_at(0.5),
        "p99_due_us": shown.value_at(0.99),
        "errors_per_s": clocks.counters.get("requests/failed", 0),
    }
