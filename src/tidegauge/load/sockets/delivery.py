"""Whether a fan-out kept its promise: findings from what the sockets of a load counted and timed.

    counters, rows of clocks, limits -> judge_sockets -> Findings `load/<cohort>/...`

A cohort is all clients of one kind: `ws` hears as fast as it can, `ws slow` reads late on purpose, `ws storm` leaves
and comes back all at once. A message that was lost without a word is a gap; one of which the server says itself that
it dropped it is its policy, judged only where a limit is set. Nothing heard is nothing measured, and without numbers
or times there is neither order nor delivery to judge.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from tidegauge.budgets import Budgets
from tidegauge.records import Budget, Finding
from tidegauge.verdicts import Verdict

HEALTHY: Final = "ws"
SLOW: Final = "ws slow"
STORM: Final = "ws storm"
COHORTS: Final = (HEALTHY, SLOW, STORM)
AGAIN: Final = "again"  # from leaving to the first message that is heard again
SUBJECTS: Final = tuple(name for cohort in COHORTS for name in (cohort, f"{cohort} {AGAIN}"))
EARLY_SHARE_MAX: Final = 0.01
NUMBERED_SHARE_MIN: Final = 0.5

FAITHFUL: Final = (
    "a client cannot mend what it does not know of: each message comes once, in order, or its loss is told"
)
# What is promised wherever nothing else is said, for every cohort.
PROMISED: Final = {
    name: Budget(max=0, unit="1", why=FAITHFUL) for name in ("gaps", "duplicates", "reordered", "unreadable", "broken")
}


def judge_sockets(counters: Mapping[str, int], clocks: Iterable[Mapping[str, Any]], limits: Budgets) -> list[Finding]:
    """`clocks` are the rows of a snapshot, all phases merged or of one phase; a limit has the name of its finding."""
    rows = {row["subject"]: row for row in clocks if row["clock"] == "service" and row["count"]}
    found = []
    for cohort in COHORTS:
        counts = {name.removeprefix(f"{cohort}."): n for name, n in counters.items() if name.startswith(f"{cohort}.")}
        if counts:
            found += _order(cohort, counts, limits)
            found.append(_delivery(cohort, counts, rows.get(cohort), limits))
            found += _ends(cohort, counts, limits)
            if (again := rows.get(f"{cohort} {AGAIN}")) is not None:
                # From the moment at which all of them left to the first message that one hears again.
                found.append(limits.judge(f"load/{cohort}/again_p99_ms", again["p99_us"] / 1e3, "ms"))
    return found


def _order(cohort: str, counts: Mapping[str, int], limits: Budgets) -> list[Finding]:
    """Lost, doubled and late messages: told apart by their numbers, so without these nothing is known of them."""
    heard, numbered = counts.get("messages", 0), counts.get("numbered", 0)
    lost = counts.get("missed", 0) - counts.get("reordered", 0)
    figures = {"gaps": lost, "duplicates": counts.get("duplicates", 0), "reordered": counts.get("reordered", 0)}
    blind = ""
    if not heard:
        blind = (
            f"none of {counts.get('connected', 0)} connections heard a message: is the token right, and is there news?"
        )
    elif numbered < heard * NUMBERED_SHARE_MIN:
        blind = f"only {numbered} of {heard} messages carry a number, so none can be missed; see the dialect's read"
    found = []
    for name, figure in figures.items():
        if blind and not figure:  # a fault that was seen is a fault
            found.append(_not_measured(f"load/{cohort}/{name}", "1", blind, limits))
        else:
            found.append(_promised(cohort, name, figure, limits))
    return found


def _delivery(cohort: str, counts: Mapping[str, int], row: Mapping[str, Any] | None, limits: Budgets) -> Finding:
    name = f"load/{cohort}/delivery_p99_ms"
    timed, early = counts.get("timed", 0), counts.get("early", 0)
    if row is None:
        return _not_measured(name, "ms", "no message carried the server's time; see the dialect's read", limits)
    if early > timed * EARLY_SHARE_MAX:
        reason = (
            f"{early} of {timed} messages came before they were sent: the server's clock is ahead of ours. "
            "Measure on one machine, or let both follow one clock"
        )
        return _not_measured(name, "ms", reason, limits)
    return limits.judge(name, row["p99_us"] / 1e3, "ms")


def _ends(cohort: str, counts: Mapping[str, int], limits: Budgets) -> list[Finding]:
    """What is held only where a limit is set, and what no client can go on from."""
    found = [_promised(cohort, name, counts.get(name, 0), limits) for name in ("unreadable", "broken")]
    told = ("dropped", "refused", "closed", "cut", "silent")
    return found + [limits.judge(f"load/{cohort}/{name}", counts.get(name, 0), "1") for name in told]


def _promised(cohort: str, measure: str, figure: int, limits: Budgets) -> Finding:
    """Against the limit that was set, else against what is promised anyway."""
    name = f"load/{cohort}/{measure}"
    return Budgets({name: PROMISED[measure]} | limits.by_name).judge(name, figure, "1")


def _not_measured(name: str, unit: str, reason: str, limits: Budgets) -> Finding:
    budget = limits.by_name.get(name)
    return Finding(name=name, verdict=Verdict.NOT_MEASURED, unit=unit, budget=budget, reason=reason)
