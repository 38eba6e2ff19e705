"""Which part of a run a sample belongs to, and how long the target needs to recover from a spike or a fault.

An arrival belongs to the phase in which it was *due*: what a spike asked for is the spike's, however late its answer
comes. The beginning of a run measures caches and connections that are filled for the first time, so it is cut by a
rule that looks at no result: a tenth of the run, WARM_UP_S_MAX at most, unless the user says how long.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from tidegauge.load.times.schedule import Profile
from tidegauge.load.times.shapes import STEADY

WARM_UP: Final = "warm-up"
WARM_UP_SHARE: Final = 0.1
WARM_UP_S_MAX: Final = 5.0
# A single quiet second in the middle of a queue is no recovery.
RECOVERED_ROWS: Final = 3


def warm_up_s(asked_s: float, duration_s: float) -> float:
    """How much of the run is cut: what was asked for, or what the rule says when that is below 0."""
    return asked_s if asked_s >= 0 else min(duration_s * WARM_UP_SHARE, WARM_UP_S_MAX)


def phase_at(profile: Profile | None, cut_s: float) -> Callable[[float], str]:
    """The phase of each moment; without a profile every moment after the warm-up is steady."""

    def at(seconds: float) -> str:
        if seconds < cut_s:
            return WARM_UP
        return profile.phase_at(seconds) if profile else STEADY

    return at


def recovery_s(
    rows: Sequence[Mapping[str, Any]], since_s: float, limit_ms: float, errors_max: float = 0.0
) -> float | None:
    """The seconds from `since_s` until RECOVERED_ROWS rows have their p99 within the limit; None if that never comes.

    A second that was asked and did not answer has no p99, one that only refused has a good one: neither is a recovery.
    """
    after = [row for row in rows if row["t_s"] >= since_s]
    kept = [
        row["p99_due_us"] <= limit_ms * 1e3
        and (row["achieved_per_s"] > 0 or not row["offered_per_s"])
        and row["errors_per_s"] <= errors_max * row["achieved_per_s"]
        for row in after
    ]
    for number in range(len(kept) - RECOVERED_ROWS + 1):
        if all(kept[number : number + RECOVERED_ROWS]):
            return float(after[number]["t_s"] - since_s)
    return None
