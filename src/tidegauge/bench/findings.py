"""What the lane has measured of one benchmark, and the findings that it becomes: one a tier, side by side.

Measured ──cpu_finding──▶ bench/NAME/cpu_ratio           the fields of a finding are stable: names outlive code
         └─count_finding▶ bench/NAME/instructions_ratio
"""

from __future__ import annotations

import hashlib
import math
from typing import Any

import msgspec

from tidegauge.bench.decide import Judgement, Outcome
from tidegauge.bench.instructions import Count, CountJudgement, CountSettings, compared
from tidegauge.bench.model import Benchmark
from tidegauge.bench.pair import Pair
from tidegauge.bench.selfproof import Proof
from tidegauge.bench.why import Why
from tidegauge.records import Budget, Finding
from tidegauge.verdicts import Verdict

SUBJECT_MAX = 160
COUNT_VERDICTS = {
    Outcome.SLOWER: Verdict.FAIL,
    Outcome.UNDECIDED: Verdict.UNDECIDED,
    Outcome.NOT_SLOWER: Verdict.PASS,
    Outcome.FASTER: Verdict.PASS,
    Outcome.NOT_MEASURED: Verdict.NOT_MEASURED,
}


class Measured(msgspec.Struct):
    """One benchmark on its way: its pairs so far and the last look at them, its counts, and why it is slower."""

    benchmark: Benchmark
    pairs: list[Pair] = []
    looks: int = 0
    judgement: Judgement | None = None
    note: str = ""  # an error or a side that skipped it: no pair more
    count: Count | None = None
    count_judgement: CountJudgement | None = None
    why: Why | None = None

    @property
    def log_ratios(self) -> list[float]:
        return [pair.log_ratio for pair in self.pairs if pair.log_ratio is not None]

    @property
    def seconds(self) -> float:
        return sum(pair.seconds for pair in self.pairs)

    @property
    def is_slower(self) -> bool:
        """By any tier."""
        outcomes = {judged.outcome for judged in (self.judgement, self.count_judgement) if judged is not None}
        return Outcome.SLOWER in outcomes and not self.note


def subject_of(name: str) -> str:
    """A benchmark's name as the middle of a finding's: printable, bounded, without what separates the parts."""
    plain = "".join(each if each.isprintable() and each != "/" else "|" for each in name).strip()
    if len(plain) <= SUBJECT_MAX:
        return plain
    return f"{plain[: SUBJECT_MAX - 9]}~{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def cpu_finding(each: Measured, verdict_of: dict[str, Verdict], proof: Proof, delta: float) -> Finding:
    """What the pairs say, with what the counts add to it."""
    name = f"bench/{subject_of(each.benchmark.name)}/cpu_ratio"
    evidence: dict[str, Any] = {"pairs": len(each.log_ratios), "seconds": round(each.seconds, 3)}
    if each.note or each.judgement is None:
        failed = bool(each.pairs and each.pairs[-1].error)
        verdict = Verdict.FAIL if failed else Verdict.NOT_MEASURED
        return Finding(name=name, verdict=verdict, reason=each.note or "it has no pair", evidence=evidence)
    judgement, (clause, _) = each.judgement, compared(each.judgement, each.count_judgement)
    verdict = verdict_of[each.benchmark.name]
    reason = judgement.reason
    if not proof.ok:
        verdict, reason = Verdict.NOT_MEASURED, f"the machine did not prove itself: {proof.reason}"
    elif judgement.outcome is Outcome.UNDECIDED and judgement.pairs_wanted:
        reason = f"{reason}; {judgement.pairs_wanted} pairs more would probably decide"
    elif judgement.outcome is Outcome.SLOWER:
        reason = f"{reason}{clause}{_clause(each)}"
        evidence = evidence | _details(each)
    return Finding(
        name=name,
        verdict=verdict,
        value=judgement.estimate,
        unit="x",
        low=judgement.low if judgement.low is None or math.isfinite(judgement.low) else None,
        high=judgement.high if judgement.high is None or math.isfinite(judgement.high) else None,
        budget=Budget(max=1 + delta, unit="x", why="a slowdown beyond it must not pass"),
        reason=reason,
        evidence=evidence | {"outcome": judgement.outcome.value, "detectable": judgement.detectable},
    )


def count_finding(each: Measured, settings: CountSettings) -> Finding | None:
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
        reason = f"{reason}{compared(each.judgement, judgement)[1]}{_clause(each)}"
        evidence |= _details(each)
    return Finding(
        name=f"bench/{subject_of(each.benchmark.name)}/instructions_ratio",
        verdict=Verdict.FAIL if counted.error else COUNT_VERDICTS[judgement.outcome],
        value=judgement.ratio,
        unit="" if judgement.ratio is None else "x",
        low=judgement.low,
        high=judgement.high,
        budget=Budget(max=1 + settings.threshold, unit="x", why="what computes more for the same result is slower"),
        reason=reason,
        evidence=evidence,
    )


def not_compared(benchmark: Benchmark) -> Finding:
    """What no tier judges: new, or no time."""
    if benchmark.is_new:
        reason = "it is new on head: there is nothing to compare it with"
        return Finding(name=f"bench/{subject_of(benchmark.name)}/new", verdict=Verdict.PASS, reason=reason)
    reason = f"it measures {benchmark.kind}, and this lane judges time"
    return Finding(
        name=f"bench/{subject_of(benchmark.name)}/{benchmark.kind}", verdict=Verdict.NOT_MEASURED, reason=reason
    )


def _clause(each: Measured) -> str:
    return each.why.clause if each.why else ""


def _details(each: Measured) -> dict[str, Any]:
    return {"why": msgspec.to_builtins(each.why)} if each.why else {}
