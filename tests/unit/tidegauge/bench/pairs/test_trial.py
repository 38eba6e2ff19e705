"""A trial on its way: when it looks, when it ends, by which clock, and on which benchmark."""

from __future__ import annotations

import math
import random
import re
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from support.suites import benchmark, side
from tidegauge.bench.findings import Measured, pair_findings
from tidegauge.bench.judging.decide import Outcome, look
from tidegauge.bench.judging.plan import RESERVE, Plan
from tidegauge.bench.judging.selfproof import Proof
from tidegauge.bench.pairs.pair import Pair, PairJob
from tidegauge.bench.pairs.rounds import LENT_MAX, lend, run_rounds, taken_up
from tidegauge.bench.pairs.trial import PRESSURE_MAX, Trial
from tidegauge.bench.rowlog import RowLog
from tidegauge.bench.store import read_pairs
from tidegauge.verdicts import Verdict

PLAN = Plan()
SIDE = side()
PROOF = Proof(ok=True, reason="it sees", false_alarm=False, seen=True)


def trial(*names: str, plan: Plan = PLAN, judges_wall: bool = True) -> Trial:
    every = [benchmark(name) for name in names or ("time_it",)]
    wall_plan = plan.by_wall_time() if judges_wall else None
    return Trial(name="time_it", benchmarks=every, base=SIDE, head=SIDE, plan=plan, wall_plan=wall_plan)


def pair(
    index: int,
    change: float = 0.0,
    *,
    spread: float = 0.002,
    wait: float = 0.0,
    wall: float = 0.0,
    pressure: float | None = 0.0,
) -> Pair:
    """CPU slower by `change`, wall time by `wall`; it waits `wait` seconds for each that it computes."""
    noise = random.Random(index).gauss(0, spread)
    return Pair(
        benchmark="time_it",
        index=index,
        base_min_ns=100.0,
        head_min_ns=100.0 * (1 + change),
        log_ratio=math.log1p(change) + noise,
        base_wall_min_ns=100.0 * (1 + wait),
        head_wall_min_ns=100.0 * (1 + wait) * (1 + wall),
        wall_log_ratio=math.log1p(wall) + noise,
        pressure=pressure,
        seconds=0.3,
    )


def run(each: Trial, pairs: int = 128, **options: float) -> Trial:
    for index in range(pairs):
        if not each.goes_on:
            break
        each.add(pair(index, **options))
    each.close()
    return each


def test_a_clear_case_ends_at_the_first_look() -> None:
    """Eight pairs that agree decide; no pair more is asked for."""
    assert len(run(trial()).pairs) == len(run(trial(), change=0.2).pairs) == PLAN.looks[0]


def test_a_benchmark_that_computes_is_not_judged_by_wall_time() -> None:
    """Its wall time is its CPU time and what the machine adds."""
    assert run(trial(), wall=0.2).wall is None


def test_what_only_waits_longer_is_slower_by_wall_time() -> None:
    """A lock, a disk or a timer: the CPU sees nothing, the wall clock does, and says so in a finding of its own."""
    each = run(trial(), wait=3.0, wall=0.2)
    assert each.cpu.judgement is not None
    assert each.cpu.judgement.outcome is Outcome.NOT_SLOWER
    of_cpu, of_wall = pair_findings([Measured(each)], PROOF, PLAN, judges_cpu=True)
    assert (of_cpu.verdict, of_wall.verdict) == (Verdict.PASS, Verdict.FAIL)
    assert of_wall.name == "bench/time_it/wall_ratio"
    assert "wall time, more than 0.5% slower" in of_wall.reason


def test_wall_time_of_a_busy_machine_decides_nothing() -> None:
    """Pairs in which others waited for a core do not count, and the finding says how many."""
    each = run(trial(), wait=3.0, wall=0.2, pressure=2 * PRESSURE_MAX)
    _, of_wall = pair_findings([Measured(each)], PROOF, PLAN, judges_cpu=True)
    assert of_wall.verdict is Verdict.UNDECIDED
    assert f"{len(each.pairs)} of {len(each.pairs)} pairs do not count" in of_wall.reason


def test_a_system_that_tells_no_pressure_decides_nothing_by_wall_time() -> None:
    """What is not known to be quiet is not quiet."""
    each = trial()
    for index in range(PLAN.looks[0]):
        each.add(pair(index, wait=3.0, pressure=None))
    assert each.quiet_log_ratios == []


def test_wall_time_is_left_alone_where_it_was_not_asked_for() -> None:
    """Without the wall tier a benchmark that waits is judged by CPU time."""
    assert run(trial(judges_wall=False), wait=3.0, wall=0.2).wall is None


def test_an_error_ends_the_trial_with_its_sentence() -> None:
    """What fails on one side is over, and never faster."""
    each = trial()
    each.add(Pair(benchmark="time_it", index=0, error_side="head", error="ValueError: x"))
    assert not each.goes_on
    (finding,) = pair_findings([Measured(each)], PROOF, PLAN, judges_cpu=True)
    assert (finding.verdict, finding.reason) == (Verdict.FAIL, "it failed on head: ValueError: x")


def test_a_trial_of_many_benchmarks_takes_them_in_turn_and_drops_what_fails() -> None:
    """The proof speaks for the suite, and one broken benchmark does not silence it."""
    each = trial("a", "b", "c")
    assert [each.job(ahead=ahead).benchmark.name for ahead in range(4)] == ["a", "b", "c", "a"]
    each.add(Pair(benchmark="time_it", index=0, error_side="base", error="ValueError: x"))
    assert each.goes_on
    assert {each.job(ahead=ahead).benchmark.name for ahead in range(4)} == {"b", "c"}


def test_time_that_is_up_ends_it_with_a_last_look() -> None:
    """At least the pairs of the first look, then no more; what there is is judged."""
    each = run(trial(plan=Plan(seconds_max=2.6)), spread=0.1)
    assert PLAN.looks[0] < len(each.pairs) < PLAN.looks[1]
    assert each.cpu.judgement is not None
    assert each.cpu.judgement.pairs == len(each.pairs)


@pytest.mark.parametrize(("pairs", "spread"), [(21, 0.026), (24, 0.031)])
def test_what_the_looks_have_left_is_spent_when_time_is_up(pairs: int, spread: float) -> None:
    """Between two looks and at one: what its own level leaves undecided, the levels of the later ones decide."""
    plan = Plan(seconds_max=0.3 * pairs - 0.1, family=4)
    each = run(trial(plan=plan), change=0.03, spread=spread)
    assert len(each.pairs) == pairs
    assert look(each.log_ratios, plan, 4).outcome is Outcome.UNDECIDED
    assert each.cpu.judgement is not None
    assert each.cpu.judgement.outcome is Outcome.SLOWER


def test_a_trial_is_taken_up_where_it_was_left() -> None:
    """The pairs of an earlier run count, those of other benchmarks do not, and none is measured twice."""
    before = [pair(index) for index in range(5)]
    other = Pair(benchmark="other", index=0, log_ratio=3.0)
    each = taken_up(trial(), [other, *before])
    assert len(each.pairs) == 5
    assert each.job().index == 5


def test_undecided_says_how_much_longer_would_decide() -> None:
    """In seconds, by what a pair has taken so far."""
    each = run(trial(plan=Plan(seconds_max=3.0)), spread=0.05)
    (finding,) = pair_findings([Measured(each)], PROOF, PLAN, judges_cpu=True)
    assert finding.verdict is Verdict.UNDECIDED
    assert re.search(r"about \d+ pairs more would decide, in about \d+ s \(--max-seconds\)$", finding.reason)


def test_pairs_that_take_too_long_are_not_waited_for() -> None:
    """Where the first look would need many times the time there is, it says so after one pair."""
    each = trial(plan=Plan(seconds_max=10.0))
    each.add(msgspec.structs.replace(pair(0), seconds=14.0))
    assert not each.goes_on
    each.close()
    (finding,) = pair_findings([Measured(each)], PROOF, PLAN, judges_cpu=True)
    assert finding.verdict is Verdict.UNDECIDED
    assert finding.reason.endswith("7 more are needed, in about 98 s (--max-seconds)")


def test_pairs_that_take_a_little_too_long_are_waited_for() -> None:
    """A busy machine makes a pair longer: eight of them are measured all the same."""
    each = trial(plan=Plan(seconds_max=10.0))
    for index in range(7):
        each.add(msgspec.structs.replace(pair(index, spread=0.1), seconds=2.0))
    assert each.seconds > 10.0
    assert each.goes_on


def late(seed: int) -> Trial:
    """One that 10 s did not decide: 2 % slower, give or take 5."""
    each = trial(judges_wall=False)
    for index in range(1_000 * seed, 1_000 * seed + 128):
        if not each.goes_on:
            break
        each.add(pair(index, 0.02, spread=0.05))
    assert not each.is_over
    return each


def test_what_the_decided_leave_is_lent_to_the_undecided() -> None:
    """Eight pairs of 0.3 s leave 7.6 s; two that are not decided share them, and go on where they stopped."""
    decided, borrowers = run(trial()), [late(1), late(2)]
    before = [len(each.pairs) for each in borrowers]
    assert lend([decided, *borrowers]) == borrowers
    assert [each.lent_s for each in borrowers] == [pytest.approx(3.8)] * 2
    for seed, each in enumerate(borrowers, 1):
        assert each.goes_on
        assert each.cpu.judgement is not None
        while each.goes_on:
            each.add(pair(1_000 * seed + len(each.pairs), 0.02, spread=0.05))
    assert [len(each.pairs) for each in borrowers] > before
    assert sum(each.seconds for each in (decided, *borrowers)) <= 3 * PLAN.seconds_max + 2 * 0.3  # a pair is a pair


def test_nobody_is_lent_more_than_would_help() -> None:
    """Of twenty decided one undecided gets twice its own time; and from those that are late themselves, nothing."""
    borrower = late(1)
    lend([*(run(trial()) for _ in range(20)), borrower])
    assert borrower.lent_s == LENT_MAX * PLAN.seconds_max
    assert lend([late(1), late(2)]) == []
    assert lend([run(trial()), run(trial())]) == []


def test_who_waits_for_a_quiet_machine_borrows_nothing() -> None:
    """Wall time that a busy machine leaves open is not decided by more of the same."""
    each = trial()
    while each.goes_on:
        each.add(pair(len(each.pairs), wait=3.0, pressure=0.5))
    assert each.cpu.is_decided
    assert not each.is_over
    assert lend([run(trial()), each]) == []


def test_the_last_look_is_taken_when_the_borrowed_time_is_up() -> None:
    """Before, only planned looks are taken: what the last one spends is spent once."""
    each = late(1)
    looks = each.cpu.looks
    lend([run(trial()), each])
    while each.goes_on:
        each.add(pair(1_000 + len(each.pairs), 0.02, spread=0.05))
    before = each.cpu.judgement
    each.close()
    assert each.cpu.looks >= looks
    assert each.cpu.judgement is not None
    assert before is not None
    assert each.cpu.judgement.pairs == len(each.log_ratios) >= before.pairs


def test_a_resumed_run_takes_up_pairs_of_borrowed_time() -> None:
    """They are beyond what the plan gives, and nothing is measured twice."""
    each = late(1)
    lend([run(trial()), each])
    while each.goes_on:
        each.add(pair(1_000 + len(each.pairs), 0.02, spread=0.05))
    again = taken_up(trial(judges_wall=False), each.pairs)
    assert len(again.pairs) == len(each.pairs)
    assert not again.goes_on


def test_a_last_look_is_spent_once_however_often_a_run_is_resumed() -> None:
    """Each run that ends undecided leaves a tenth; one that is resumed without a pair more spends nothing."""
    each = late(1)
    assert each.close()
    assert each.cpu.left == pytest.approx(RESERVE)
    assert not each.close()
    assert each.cpu.left == pytest.approx(RESERVE)
    each.add(pair(9_999, 0.02, spread=0.05))
    assert each.close()
    assert each.cpu.left == pytest.approx(RESERVE**2)


def test_a_resumed_run_knows_that_a_last_look_was_taken() -> None:
    """What the log says of it is read back: the looks that follow have what was left, and the verdict stays."""
    first = late(1)
    pairs = [*first.pairs]
    assert first.close()
    pairs.append(Pair(benchmark="time_it", index=len(pairs), closes=True))
    again = taken_up(trial(judges_wall=False), pairs)
    assert again.cpu.left == first.cpu.left
    assert again.cpu.judgement == first.cpu.judgement
    assert len(again.pairs) == len(first.pairs)
    assert not again.close()


def test_a_decided_trial_needs_no_last_look() -> None:
    """What a planned look decided is told to nobody as closed."""
    each = run(trial())
    assert each.is_over
    assert not each.close()


class Replayed:
    """A pipeline whose pairs are known."""

    def measure(self, job: PairJob, _following: object) -> Pair:
        slow = job.benchmark.name == "slow"
        return pair(job.index, 0.02 if slow else 0.0, spread=0.05 if slow else 0.002)


def test_rounds_lend_time_and_tell_of_a_last_look(tmp_path: Path) -> None:
    """What is open when its time is up goes on in borrowed time; its end is told, and stands in the log."""
    quick, slow = trial("quick", judges_wall=False), trial("slow", judges_wall=False)
    quick.name, slow.name = "quick", "slow"
    told: list[Trial] = []
    path = tmp_path / "pairs.jsonl"
    with RowLog(path) as log:
        run_rounds(
            [quick, slow], cast("Any", Replayed()), log, told=told.append, show=lambda _said: None, bank=[quick, slow]
        )
    assert slow.seconds > PLAN.seconds_max
    assert slow.seconds <= PLAN.seconds_max + slow.lent_s + 0.3
    assert told[-1] is slow
    assert slow.is_closed
    assert [row.benchmark for row in read_pairs(path) if row.closes] == ["slow"]
