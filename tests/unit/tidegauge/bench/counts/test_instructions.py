"""What counts allow to be said, alone and beside CPU time."""

import pytest

from support.suites import benchmark, side
from tidegauge.bench.counts.instructions import Count, CountJudgement, CountSettings, _is_clear, compared, judge
from tidegauge.bench.findings import Measured, count_finding, pair_findings
from tidegauge.bench.judging.decide import Judgement, Outcome
from tidegauge.bench.judging.plan import Plan
from tidegauge.bench.judging.selfproof import Proof
from tidegauge.bench.pairs.trial import Course, Trial
from tidegauge.bench.why.explain import Gain, Why
from tidegauge.verdicts import Verdict

SETTINGS = CountSettings()
BENCHMARK = benchmark("bench.time_it")
PROOF = Proof(ok=True, reason="it sees", false_alarm=False, seen=True)


def trial(cpu: Judgement | None = None) -> Trial:
    base = side()
    return Trial(
        name=BENCHMARK.name, benchmarks=[BENCHMARK], base=base, head=base, plan=Plan(), cpu=Course(judgement=cpu)
    )


def counted(base: tuple[float, ...], head: tuple[float, ...]) -> Count:
    return Count(benchmark="bench.time_it", number=10, batches=5, base=base, head=head)


def slower_by_cpu(change: float) -> Judgement:
    return Judgement(outcome=Outcome.SLOWER, reason=f"{change:+.2%} CPU time", pairs=8, estimate=1 + change)


@pytest.mark.parametrize(
    ("head", "outcome", "verdict"),
    [
        (1_000_000, Outcome.NOT_SLOWER, Verdict.PASS),
        (1_003_000, Outcome.NOT_SLOWER, Verdict.PASS),
        (1_004_400, Outcome.NOT_SLOWER, Verdict.PASS),
        (1_004_600, Outcome.SLOWER, Verdict.FAIL),
        (1_005_000, Outcome.SLOWER, Verdict.FAIL),
        (995_600, Outcome.NOT_SLOWER, Verdict.PASS),
        (995_400, Outcome.FASTER, Verdict.PASS),
    ],
)
def test_half_a_per_cent_decides(head: float, outcome: Outcome, verdict: Verdict) -> None:
    """What may be a rise of half a per cent, as far as it can be read, is a fail; anything less is a pass."""
    count = counted((1_000_000, 1_000_001), (head, head + 1))
    judgement = judge(count, SETTINGS)
    assert judgement.outcome is outcome
    assert judgement.low is not None
    assert judgement.ratio is not None
    assert judgement.high is not None
    assert judgement.low <= judgement.ratio <= judgement.high
    finding = count_finding(Measured(trial(), count=count, count_judgement=judgement), SETTINGS)
    assert finding is not None
    assert (finding.name, finding.verdict) == ("bench/bench.time_it/instructions_ratio", verdict)


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (1.0046e6, "+0.46% instructions, at least 0.5%, as far as can be read (0.05%), more"),
        (1.006e6, "+0.60% instructions, at least 0.5% more"),
        (0.994e6, "-0.60% instructions, at least 0.5% fewer"),
        (1.003e6, "+0.30% instructions, less than 0.5% more"),
    ],
)
def test_the_sentence_says_what_the_threshold_allows_for(head: float, reason: str) -> None:
    """Whoever reads that 0.46 % is at least 0.5 % is told why."""
    assert judge(counted((1e6, 1e6), (head, head)), SETTINGS).reason == reason


@pytest.mark.parametrize(
    ("side", "base", "head"),
    [("base", (1e6, 1.008e6), (1.008e6, 1.008e6)), ("head", (1e6, 1e6), (1.004e6, 1.0121e6))],
)
def test_runs_that_reach_across_the_threshold_are_undecided(
    side: str, base: tuple[float, ...], head: tuple[float, ...]
) -> None:
    """Where the runs could mean either, the reason names the side that scatters and what could have been seen."""
    judgement = judge(counted(base, head), SETTINGS)
    assert judgement.outcome is Outcome.UNDECIDED
    assert f"2 runs of {side} differ by 0.8" in judgement.reason
    assert "a rise of 1.3% could have been seen" in judgement.reason


def test_runs_that_scatter_on_one_side_of_the_threshold_decide() -> None:
    """What is said holds for the least favourable two of the runs."""
    assert judge(counted((1e6, 1.002e6), (1.02e6, 1.022e6)), SETTINGS).outcome is Outcome.SLOWER
    assert judge(counted((1e6, 1.002e6), (1e6, 1.003e6)), SETTINGS).outcome is Outcome.NOT_SLOWER
    assert judge(counted((1e6, 1.002e6), (0.98e6, 0.982e6)), SETTINGS).outcome is Outcome.FASTER


@pytest.mark.parametrize(
    ("count", "verdict", "reason"),
    [
        (Count(benchmark="b", error_side="head", error="ValueError: x"), Verdict.FAIL, "it failed on head: ValueError"),
        (Count(benchmark="b", skipped="both"), Verdict.NOT_MEASURED, "both skips it"),
        (Count(benchmark="b", unfit="it does not fit"), Verdict.NOT_MEASURED, "it does not fit"),
        (counted((0.0, 0.0), (1.0, 1.0)), Verdict.NOT_MEASURED, "no instruction was counted on base"),
    ],
)
def test_what_was_not_counted_is_never_a_pass(count: Count, verdict: Verdict, reason: str) -> None:
    """A suite that fails is a fail; what callgrind cannot count is not measured, with its reason."""
    judgement = judge(count, SETTINGS)
    assert judgement.outcome is Outcome.NOT_MEASURED
    finding = count_finding(Measured(trial(), count=count, count_judgement=judgement), SETTINGS)
    assert finding is not None
    assert (finding.verdict, finding.value) == (verdict, None)
    assert finding.reason.startswith(reason)


def test_slower_with_flat_instructions_is_memory_bound() -> None:
    """As it was measured where a list of 300 000 floats is summed up shuffled instead of in order."""
    count = counted((12_002_191.6, 12_002_191.6), (12_002_191.6, 12_002_191.6))
    each = Measured(trial(slower_by_cpu(0.1922)), count=count, count_judgement=judge(count, SETTINGS))
    (finding,) = pair_findings([each], PROOF, Plan(), judges_cpu=True)
    assert finding.reason.startswith("+19.22% CPU time; memory-bound: +0.00% instructions")
    counts = count_finding(each, SETTINGS)
    assert counts is not None
    assert counts.verdict is Verdict.PASS


def test_slower_by_both_is_not_memory_bound() -> None:
    """Where the instructions rose with the time, they explain it."""
    counts = judge(counted((1e6, 1e6), (1.3e6, 1.3e6)), SETTINGS)
    assert compared(slower_by_cpu(0.32), counts) == ("", "")


def test_more_instructions_at_the_same_time_are_a_fail_that_says_so() -> None:
    """By instructions alone it is slower; the sentence says what CPU time said."""
    cpu = Judgement(outcome=Outcome.NOT_SLOWER, reason="flat", pairs=8, estimate=1.001)
    of_cpu, of_counts = compared(cpu, judge(counted((1e6, 1e6), (1.02e6, 1.02e6)), SETTINGS))
    assert (of_cpu, of_counts) == ("", "; by CPU time it is not slower (+0.10%)")


@pytest.mark.parametrize("outcome", [Outcome.UNDECIDED, Outcome.NOT_MEASURED])
def test_counts_that_decide_nothing_label_nothing(outcome: Outcome) -> None:
    """Memory-bound is said of instructions that are flat for sure."""
    counts = CountJudgement(outcome=outcome, reason="", ratio=1.0 if outcome is Outcome.UNDECIDED else None)
    assert compared(slower_by_cpu(0.3), counts) == ("", "")
    assert compared(slower_by_cpu(0.3), None) == ("", "")


def test_what_is_slower_says_where() -> None:
    """The greatest gain ends the sentence, and the table stands in the evidence."""
    count = counted((1e6, 1e6), (1.1e6, 1.1e6))
    gain = Gain(function="toy.work", base=900.0, head=1_000.0, share=0.1, base_calls=1, head_calls=2)
    each = Measured(trial(), count=count, count_judgement=judge(count, SETTINGS), why=Why(cpu_ns=(gain,)))
    assert each.is_slower
    finding = count_finding(each, SETTINGS)
    assert finding is not None
    assert finding.reason.endswith("; the greatest gain of CPU time is in toy.work (+10.0%)")
    assert finding.evidence["why"]["cpu_ns"][0]["head_calls"] == 2


@pytest.mark.parametrize(
    ("base", "head", "clear"),
    [
        ((1e6, 1e6), (1.0045e6, 1.0045e6), True),
        ((1e6, 1.001e6), (1e6, 1.001e6), True),
        ((1e6, 1.001e6), (1.012e6, 1.012e6), True),
        ((1e6, 1.001e6), (1.004e6, 1.005e6), False),
        ((1e6, 1.004e6), (1e6, 1.004e6), False),
    ],
)
def test_more_runs_are_made_where_their_spread_could_reach_the_threshold(
    base: tuple[float, ...], head: tuple[float, ...], clear: bool
) -> None:
    """Runs that agree, or lie several spreads away from it, are enough; near it, they are not."""
    assert _is_clear(base, head, SETTINGS) is clear
