"""What the lane has measured of one benchmark, and the findings that it becomes: one a tier, side by side.

    Measured ──pair_findings──▶ bench/NAME/cpu_ratio, bench/NAME/wall_ratio
             └─count_finding──▶ bench/NAME/instructions_ratio
    Values ──value_finding──▶ bench/NAME/peakmem_ratio, bench/NAME/track_ratio
    Proof, PowerRow ──▶ bench/self-proof/…

The names are stable: they outlive code.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from tidegauge.bench.counts.instructions import Count, CountJudgement, CountSettings, compared
from tidegauge.bench.judging.decide import Judgement, Outcome, verdicts
from tidegauge.bench.judging.plan import Plan
from tidegauge.bench.judging.selfproof import PowerRow, Proof
from tidegauge.bench.pairs.trial import Course, Trial, is_slower
from tidegauge.bench.promises import CPU, INSTRUCTIONS, WALL, Promises, figure
from tidegauge.bench.suites.model import Benchmark, Side, subject_of
from tidegauge.bench.values import ValueJudgement, Values
from tidegauge.bench.why.explain import Why
from tidegauge.records import Budget, Finding
from tidegauge.verdicts import Verdict

PROOF_NAME = "bench/self-proof/seen"
UNFINISHED = "the run ended before this was decided: `tidegauge bench --resume` goes on"
NO_PROMISES = Promises()
COUNT_VERDICTS = {
    Outcome.SLOWER: Verdict.FAIL,
    Outcome.UNDECIDED: Verdict.UNDECIDED,
    Outcome.NOT_SLOWER: Verdict.PASS,
    Outcome.FASTER: Verdict.PASS,
    Outcome.NOT_MEASURED: Verdict.NOT_MEASURED,
}


class Measured(msgspec.Struct):
    """One benchmark: its pairs and what they say, its counts, and why it is slower."""

    trial: Trial
    count: Count | None = None
    count_judgement: CountJudgement | None = None
    why: Why | None = None

    @property
    def benchmark(self) -> Benchmark:
        return self.trial.benchmarks[0]

    @property
    def is_slower(self) -> bool:
        """By any tier."""
        counted = self.count_judgement is not None and self.count_judgement.outcome is Outcome.SLOWER
        return not self.trial.note and (counted or is_slower(self.trial.cpu) or is_slower(self.trial.wall))

    @property
    def slowdown(self) -> float:
        """The ratio of CPU time, where it is slower for sure; else 0."""
        judgement = self.trial.cpu.judgement
        return judgement.estimate or 0.0 if judgement is not None and is_slower(self.trial.cpu) else 0.0


def pair_findings(
    measured: list[Measured], proof: Proof, plan: Plan, *, judges_cpu: bool, promises: Promises = NO_PROMISES
) -> Iterator[Finding]:
    """What the pairs say of CPU time, and of wall time where a benchmark waits: each clock is a family of its own."""
    family = plan.for_suite(len(measured))
    budget = Budget(max=1 + plan.delta, unit="x", why="a slowdown beyond it must not pass")
    for clock in (CPU, WALL):
        judged = {
            each.trial.name: course.judgement
            for each in measured
            if (course := _course(each, clock)) is not None and course.judgement is not None and not each.trial.note
        }
        verdict_of = verdicts(judged, family)
        for each in measured:
            if judges_cpu if clock == CPU else _course(each, clock) is not None:
                held = promises.budget(figure(each.benchmark, clock), budget)
                yield _pair_finding(each, clock, judged.get(each.trial.name), verdict_of, proof, held)


def _course(each: Measured, clock: str) -> Course | None:
    return each.trial.cpu if clock == CPU else each.trial.wall


def _pair_finding(  # noqa: PLR0917 - one finding's parts
    each: Measured,
    clock: str,
    judgement: Judgement | None,
    verdict_of: dict[str, Verdict],
    proof: Proof,
    budget: Budget,
) -> Finding:
    trial = each.trial
    name = figure(each.benchmark, clock)
    evidence: dict[str, Any] = {"pairs": len(trial.log_ratios), "seconds": round(trial.seconds, 3)}
    evidence |= {"version": each.benchmark.version, "environment": _environment(trial.head)}
    if clock == WALL:
        evidence["quiet_pairs"] = len(trial.quiet_log_ratios)
    if trial.note or judgement is None:
        failed = bool(trial.pairs and trial.pairs[-1].error)
        verdict = Verdict.FAIL if failed else Verdict.NOT_MEASURED
        return Finding(name=name, verdict=verdict, reason=trial.note or UNFINISHED, evidence=evidence)
    verdict, reason = verdict_of[trial.name], judgement.reason
    if not proof.ok:
        verdict, reason = Verdict.NOT_MEASURED, f"the machine did not prove itself: {proof.reason}"
    elif judgement.outcome is Outcome.UNDECIDED:
        after = f"; {UNFINISHED}" if trial.goes_on else _what_would_decide(trial, judgement, clock)
        reason = f"{reason}{after}"
    elif judgement.outcome is Outcome.SLOWER:
        reason = f"{reason}{compared(judgement, each.count_judgement)[0] if clock == 'cpu' else ''}{_clause(each)}"
        evidence |= _details(each)
    return Finding(
        name=name,
        verdict=verdict,
        value=judgement.estimate,
        unit="" if judgement.estimate is None else "x",
        low=judgement.low,
        high=judgement.high,
        budget=budget,
        reason=reason,
        evidence=evidence | {"outcome": judgement.outcome.value, "detectable": judgement.detectable},
    )


def _environment(side: Side) -> str:
    """What must be equal for ratios of two runs to be compared: no paths, which are a machine's own."""
    return " ".join((side.release, *(f"{name} {what}" for name, what in side.requirements.items())))


def _what_would_decide(trial: Trial, judgement: Judgement, clock: str) -> str:
    busy = len(trial.log_ratios) - len(trial.quiet_log_ratios)
    if clock == WALL and busy:
        return f"; {busy} of {len(trial.log_ratios)} pairs do not count, because others waited for a core meanwhile"
    if judgement.pairs_wanted and trial.pairs:
        return f", in about {judgement.pairs_wanted * trial.seconds / len(trial.pairs):.0f} s (--max-seconds)"
    return ""


def proof_finding(proof: Proof, silent: Trial, slowed: Trial) -> Finding:
    """Whether anything of the run counts."""
    seconds = round(silent.seconds + slowed.seconds, 3)
    evidence = {"false_alarm": proof.false_alarm, "seen": proof.seen, "delta": slowed.slowdown, "seconds": seconds}
    verdict = Verdict.PASS if proof.ok else Verdict.NOT_MEASURED
    return Finding(name=PROOF_NAME, verdict=verdict, reason=proof.reason, evidence=evidence)


def power_findings(rows: Sequence[PowerRow], trial: Trial) -> Iterator[Finding]:
    """What this machine sees of each slowdown, and what it sees where there is none."""
    plan = trial.plan
    evidence: dict[str, Any] = {"pairs": len(trial.log_ratios), "seconds": round(trial.seconds, 3)}
    for row in rows:
        share = row.slower
        reason = f"a slowdown of {row.effect:.0%} is called one in {share:.1%} of comparisons"
        name, budget = f"bench/self-proof/seen_at_{row.effect * 100:.0f}_percent", None
        if not row.effect:
            share = row.slower + row.faster
            name, reason = "bench/self-proof/false_alarms", f"identical code is called different in {share:.1%} of them"
            budget = Budget(max=plan.alpha, unit="share", why="the promised risk")
        elif row.effect >= plan.delta:
            budget = Budget(min=0.95, unit="share", why="a slowdown that must not pass must be seen")
        reason = f"{reason}, after {row.pairs_mean:.0f} pairs; undecided in {row.undecided:.1%}"
        kept = budget is None or (share <= (budget.max or 1.0) and share >= (budget.min or 0.0))
        verdict = Verdict.PASS if kept else Verdict.FAIL
        yield Finding(
            name=name, verdict=verdict, value=share, unit="share", budget=budget, reason=reason, evidence=evidence
        )


def value_finding(
    benchmark: Benchmark, values: Values, judgement: ValueJudgement, delta: float, promises: Promises = NO_PROMISES
) -> Finding:
    """What a benchmark that times nothing says of itself."""
    name = figure(benchmark, benchmark.kind)
    budget = promises.budget(name, Budget(max=1 + delta, unit="x", why="less is better"))
    return Finding(
        name=name,
        verdict=Verdict.FAIL if values.error else COUNT_VERDICTS[judgement.outcome],
        value=judgement.ratio,
        unit="" if judgement.ratio is None else "x",
        low=judgement.low,
        high=judgement.high,
        budget=None if judgement.ratio is None else budget,
        reason=judgement.reason,
        evidence={"base": values.base, "head": values.head, "unit": benchmark.unit, "seconds": values.seconds},
    )


def count_finding(each: Measured, settings: CountSettings, promises: Promises = NO_PROMISES) -> Finding | None:
    """What the counts say, with what the pairs add to it; None where the run ended before they were made."""
    judgement, counted = each.count_judgement, each.count
    if judgement is None or counted is None:
        return None
    reason = judgement.reason
    evidence: dict[str, Any] = {"seconds": counted.seconds, "outcome": judgement.outcome.value}
    if judgement.ratio is not None:
        evidence |= {"calls": counted.number * counted.batches, "spread": judgement.spread}
        evidence |= {"base_instructions": counted.base, "head_instructions": counted.head}
    if judgement.outcome is Outcome.SLOWER:
        reason = f"{reason}{compared(each.trial.cpu.judgement, judgement)[1]}{_clause(each)}"
        evidence |= _details(each)
    name = figure(each.benchmark, INSTRUCTIONS)
    budget = Budget(max=1 + settings.limit, unit="x", why="what computes more for the same result is slower")
    return Finding(
        name=name,
        verdict=Verdict.FAIL if counted.error else COUNT_VERDICTS[judgement.outcome],
        value=judgement.ratio,
        unit="" if judgement.ratio is None else "x",
        low=judgement.low,
        high=judgement.high,
        budget=promises.budget(name, budget),
        reason=reason,
        evidence=evidence,
    )


def not_compared(benchmark: Benchmark) -> Finding:
    """A benchmark of which the base knows nothing."""
    reason = "it is new on head: there is nothing to compare it with"
    return Finding(name=f"bench/{subject_of(benchmark.name)}/new", verdict=Verdict.PASS, reason=reason)


def _clause(each: Measured) -> str:
    return each.why.clause if each.why else ""


def _details(each: Measured) -> dict[str, Any]:
    return {"why": msgspec.to_builtins(each.why)} if each.why else {}
