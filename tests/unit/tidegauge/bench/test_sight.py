"""What a self-proof at length says when there are fewer pairs than it wanted."""

from __future__ import annotations

import msgspec
import pytest

from support.suites import benchmark, side
from tidegauge.bench.judging.plan import Plan
from tidegauge.bench.pairs.pair import Pair
from tidegauge.bench.sight import GOES_ON, POWER_PAIRS, of_itself, sight_findings
from tidegauge.bench.suites.model import Suite
from tidegauge.verdicts import Verdict

PLAN = Plan()
TIMED = benchmark("bench.time_it")


def test_a_suite_that_times_nothing_is_not_measured_and_no_crash() -> None:
    """Nothing is asked for, and the one finding says why."""
    tracks = msgspec.structs.replace(TIMED, kind="track")
    trial = of_itself(side(), Suite(benchmarks=(tracks,), raw=()), PLAN)
    (finding,) = sight_findings(trial, PLAN, seed=1)
    assert (trial.goes_on, finding.verdict) == (False, Verdict.NOT_MEASURED)
    assert finding.reason.endswith(": no benchmark times anything")


@pytest.mark.parametrize("pairs", [0, 7, 8, 95, POWER_PAIRS])
def test_too_few_pairs_are_one_finding_and_more_are_counted(pairs: int) -> None:
    """From the first look on each size of slowdown has its finding; less than all of the pairs are named in it."""
    trial = of_itself(side(), Suite(benchmarks=(TIMED,), raw=()), PLAN)
    for index in range(pairs):
        trial.add(Pair(benchmark=trial.name, index=index, log_ratio=1e-4 * (-1) ** index, seconds=0.1))
    findings = list(sight_findings(trial, PLAN, seed=1))
    if pairs < PLAN.looks[0]:
        assert [(each.name, each.verdict) for each in findings] == [("bench/self-proof/power", Verdict.NOT_MEASURED)]
        return
    assert [each.name.split("/")[-1] for each in findings][:2] == ["false_alarms", "seen_at_1_percent"]
    said = f"; from {pairs} of {POWER_PAIRS} pairs: {GOES_ON}"
    assert {each.reason.endswith(said) for each in findings} == {pairs < POWER_PAIRS}
