"""The way back: how long it takes after a spike or a fault until p99 keeps its promise again, as a finding."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tidegauge.budgets import Budgets
from tidegauge.load.judging import slo
from tidegauge.load.times import phases
from tidegauge.load.times.schedule import Profile
from tidegauge.load.times.shapes import FAULT, RECOVERY, SPIKE
from tidegauge.records import Finding
from tidegauge.verdicts import Verdict


def findings(
    profile: Profile, budgets: Budgets, series: Sequence[Mapping[str, Any]], elapsed_s: float
) -> Iterator[Finding]:
    """One for each disturbance of the profile that the run has left behind; `series` are its rows, by the second."""
    limit_ms = slo.tightest_p99_ms(budgets)
    for phase in (SPIKE, FAULT):
        span = profile.span(phase)
        if not span or limit_ms is None or elapsed_s < span[1]:
            continue
        name = f"{slo.LANE}/{RECOVERY}/after_{phase}_s"
        took_s = phases.recovery_s(series, span[1], limit_ms, slo.errors_max(budgets))
        if took_s is not None:
            yield budgets.judge(name, took_s, "s")
            continue
        reason = f"for {phases.RECOVERED_ROWS} s on end p99 never kept {limit_ms:g} ms without errors after the "
        reason += f"{phase}, as long as it was asked"
        yield Finding(name=name, verdict=Verdict.FAIL, unit="s", reason=reason)
