"""What a search says: the knee against its budget, with what was at its end first, and who else was there.

    Knee ─▶ Finding

A record passes because nothing was promised of it; a search promises how well it knows the knee, so that a wider
interval without a budget to hold it against is undecided.
"""

import msgspec

from tidegauge.budgets import Budgets
from tidegauge.load.knee.search import Knee, KneeSettings
from tidegauge.load.knee.steps import Outcome, Step
from tidegauge.records import Finding
from tidegauge.verdicts import Verdict

NAME = "load/knee/rate_per_s"
UNIT = "1/s"
NO_CAUSE = "nothing that was seen of the server was at its end: look beyond its process, at what it waits for"
# Half of the interval, as a share of the knee: what a search is for.
PRECISION = 0.05


def knee_finding(knee: Knee, settings: KneeSettings, budgets: Budgets) -> Finding:
    """The knee against its budget, with what was at its end first."""
    evidence = {"proven_per_s": knee.proven_per_s, "steps": [_facts(step) for step in knee.steps]}
    promise = settings.promise or f"p99 from due time within {settings.slo_ms:g} ms"
    interval = knee.interval
    if interval is None:
        verdict = Verdict.UNDECIDED if knee.proven_per_s else Verdict.NOT_MEASURED
        upto = f"{promise} held up to {knee.proven_per_s:.4g}/s" if knee.proven_per_s else "no rate was carried"
        return Finding(
            name=NAME,
            verdict=verdict,
            unit=UNIT,
            budget=budgets.by_name.get(NAME),
            reason=f"no knee: {knee.unfinished}{_not_honest(knee)}; {upto}",
            evidence=evidence,
        )
    finding = budgets.judge(NAME, interval.value, UNIT, interval.low, interval.high)
    cause = f"first at its end: {knee.saturated}: {knee.saturated.advice}" if knee.saturated else NO_CAUSE
    short = f"; {knee.unfinished}, so that the interval is wider than it could be" if knee.unfinished else ""
    short += _not_honest(knee)
    found = f"{promise} up to {interval.value:.4g}/s, known to ±{interval.half:.1%}"
    beside = [step.others_share for step in knee.steps if step.honest and step.others_share is not None]
    others = f"; others used {max(beside):.0%} of the machine at most" if beside else ""
    verdict = finding.verdict
    if finding.budget is None and interval.half > PRECISION:
        verdict = Verdict.UNDECIDED
        short += f"; ±{PRECISION:.0%} is what makes it a knee: search again on a machine that is calm, or for longer"
    reason = f"{found}; {cause}{others}{short}; {finding.reason}"
    return msgspec.structs.replace(finding, verdict=verdict, reason=reason, evidence=evidence)


def _not_honest(knee: Knee) -> str:
    """How much of the time went by for nothing, and why."""
    reasons = [step.reason or "nothing was offered" for step in knee.steps if step.outcome is Outcome.NOT_MEASURED]
    return (
        f"; {len(reasons)} of {len(knee.steps)} steps were not honest, at last because {reasons[-1]}" if reasons else ""
    )


def _facts(step: Step) -> dict[str, float | int | str | None]:
    return {
        "rate_per_s": step.rate_per_s,
        "seconds": step.seconds,
        "outcome": step.outcome.value,
        "p50_ms": step.p50_ms,
        "p99_ms": step.p99_ms,
        "achieved_share": step.achieved_share,
        "offered": sum(each.offered for each in step.slices),
        "over": sum(each.over for each in step.slices),
        "others_share": step.others_share,
        "reason": step.reason,
    }
