"""Budgets of single benchmarks: what they change of a test, which are refused, and which are not forgotten."""

from __future__ import annotations

import math

import msgspec
import pytest

from support.suites import benchmark, side
from tidegauge.bench.counts.instructions import Count, CountSettings
from tidegauge.bench.counts.instructions import judge as judge_count
from tidegauge.bench.findings import Measured, pair_findings, value_finding
from tidegauge.bench.judging.plan import Plan
from tidegauge.bench.judging.selfproof import Proof
from tidegauge.bench.pairs.pair import Pair
from tidegauge.bench.pairs.trial import Trial
from tidegauge.bench.promises import CPU, TIERS, WALL, Promises
from tidegauge.bench.values import Values, judge_values
from tidegauge.budgets import Budgets
from tidegauge.errors import TidegaugeError
from tidegauge.records import Budget, Finding
from tidegauge.verdicts import Verdict

NAME = "bench/b.time_it/cpu_ratio"
PLAN = Plan()
TIMED = benchmark("b.time_it")
TRACKED = msgspec.structs.replace(TIMED, name="b.track_it", kind="track")
PROOF = Proof(ok=True, reason="it sees", false_alarm=False, seen=True)


def promised(*assignments: str, **limits: float) -> Promises:
    """What the command line says, and the file of one benchmark's measures."""
    table = {f"bench/b.time_it/{key}": Budget(max=value, unit="x", why="agreed") for key, value in limits.items()}
    return Promises.made(Budgets(table), assignments)


def judged(promises: Promises, change: float) -> Finding:
    """The CPU finding of a benchmark whose pairs all say the same."""
    plan = promises.plan(TIMED, CPU, PLAN)
    trial = Trial(name=TIMED.name, benchmarks=[TIMED], base=side(), head=side(), plan=plan)
    for index in range(PLAN.looks[0]):
        trial.add(Pair(benchmark=TIMED.name, index=index, log_ratio=math.log1p(change), seconds=0.1))
    (finding,) = pair_findings([Measured(trial)], PROOF, PLAN, judges_cpu=True, promises=promises)
    return finding


@pytest.mark.parametrize(
    ("change", "without", "verdict"),
    [
        (0.0, Verdict.PASS, Verdict.PASS),
        (0.08, Verdict.FAIL, Verdict.PASS),
        (1.10 - 1, Verdict.FAIL, Verdict.UNDECIDED),
        (0.12, Verdict.FAIL, Verdict.FAIL),
    ],
)
def test_a_limit_is_what_fails_and_what_passes(change: float, without: Verdict, verdict: Verdict) -> None:
    """At 1.10 what is 8 % slower passes and 12 % fails; without the limit all of it fails."""
    assert judged(Promises(), change).verdict is without
    found = judged(promised(f"{NAME}=1.10"), change)
    assert (found.verdict, found.budget and found.budget.max) == (verdict, 1.1)


def test_the_command_line_replaces_the_file() -> None:
    """The file's reason stays, its number goes, and other benchmarks keep what the run has."""
    promises = promised(f"{NAME}=1.2", cpu_ratio=1.1)
    assert promises.budgets.by_name[NAME] == Budget(max=1.2, unit="x", why="agreed")
    assert promises.plan(TIMED, CPU, PLAN).slower_from == pytest.approx(0.2)
    assert promises.plan(TIMED, WALL, PLAN) is promises.plan(TRACKED, CPU, PLAN) is PLAN


def test_instructions_and_values_have_limits_of_their_own() -> None:
    """4 % more instructions or bytes pass where 5 % are granted, and fail where nothing is."""
    promises = promised("bench/b.time_it/instructions_ratio=1.05", "bench/b.track_it/track_ratio=1.05")
    counted = Count(benchmark=TIMED.name, number=1, batches=1, base=(100.0, 100.0), head=(104.0, 104.0))
    assert judge_count(counted, CountSettings()).outcome == "slower"
    assert judge_count(counted, promises.counting(TIMED, CountSettings())).outcome == "not_slower"
    values = Values(benchmark=TRACKED.name, base=(100.0,), head=(104.0,))
    for granted, verdict in ((Promises(), Verdict.FAIL), (promises, Verdict.PASS)):
        delta = granted.delta(TRACKED, 0.03)
        finding = value_finding(TRACKED, values, judge_values(values, "bytes", delta), 0.03, granted)
        assert (finding.verdict, finding.budget and finding.budget.max) == (verdict, 1 + delta)


@pytest.mark.parametrize(
    ("assignment", "problem"),
    [
        ("check/entry/p50_ms=30", "no such budget"),
        ("bench/b.time_it/culprit=2", "no such budget"),
        (f"{NAME}=fast", "is not KEY=NUMBER"),
        (f"{NAME}=1.005", "above 1.005 and at most 2"),
        (f"{NAME}=10", "above 1.005 and at most 2"),
        ("bench/b.time_it/instructions_ratio=0.9", "a limit is 1 or more"),
    ],
)
def test_a_limit_that_no_test_can_hold_is_wrong_use(assignment: str, problem: str) -> None:
    """One sentence names the key, before anything is built."""
    with pytest.raises(TidegaugeError, match=problem) as refusal:
        promised(assignment)
    assert refusal.value.exit_code == 2


@pytest.mark.parametrize(
    "budget",
    [Budget(max=1.1, unit="ms", why="w"), Budget(min=1.1, unit="x", why="w"), Budget(min=1, max=2, unit="x", why="w")],
)
def test_a_budget_of_the_file_is_a_max_of_head_to_base(budget: Budget) -> None:
    """What is no limit of a ratio is refused, not passed over."""
    with pytest.raises(TidegaugeError, match="is not a max in 'x'"):
        Promises.made(Budgets({NAME: budget}))


def test_a_name_that_the_run_does_not_judge_is_wrong_use() -> None:
    """A typing error, a tier that was not asked for: the sentence says what would be judged."""
    promised(f"{NAME}=1.1").check_asked([TIMED], TIERS)
    for asked, tiers in (("bench/b.time_its/cpu_ratio", TIERS), (NAME, ("values",))):
        with pytest.raises(TidegaugeError, match="this run judges no such figure"):
            promised(f"{asked}=1.1").check_asked([TIMED], tiers)


def test_a_budget_that_nothing_was_measured_for_is_not_forgotten() -> None:
    """Except where --bench or --tier left it out, or its benchmark is new on head."""
    promises = promised(cpu_ratio=1.1)
    (finding,) = promises.unmet((), [], (), TIERS)
    assert (finding.name, finding.verdict) == (NAME, Verdict.NOT_MEASURED)
    assert list(promises.unmet((), [], ("time_it",), TIERS))
    new = msgspec.structs.replace(TIMED, is_new=True)
    for told, benchmarks, select, tiers in (
        ((NAME,), [], (), TIERS),
        ((), [], ("other",), TIERS),
        ((), [], (), (WALL,)),
        ((), [new], (), TIERS),
    ):
        assert not list(promises.unmet(told, benchmarks, select, tiers))
