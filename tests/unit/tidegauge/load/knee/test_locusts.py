"""A step as it is read from what a Locust left behind: who was late, who was to blame, and what was never done."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tidegauge.budgets import Budgets
from tidegauge.load.judging.result import SCHEMA, Result
from tidegauge.load.knee.locusts import Limits, Ran, step_of
from tidegauge.load.knee.others import Others
from tidegauge.load.knee.steps import Outcome, Slice, Step
from tidegauge.load.times.clocks import Clocks
from tidegauge.load.times.phases import WARM_UP
from tidegauge.records import Budget, Finding
from tidegauge.verdicts import Verdict

SECONDS = 10
RATE = 100


def second(*, late: int = 0, failed: int = 0, dropped: int = 0, phase: str = "steady") -> Clocks:
    """A hundred arrivals of `entry`, whose limit is 50 ms."""
    clocks = Clocks()
    clocks.add("arrivals/scheduled", RATE)
    clocks.add("arrivals/dropped", dropped)
    for number in range(RATE - dropped):
        clocks.record("entry", "workflow", phase, 80_000 if number < late else 10_000)
    clocks.add("errors/entry/steady", failed)
    return clocks


def ran(clocks: list[Clocks], *findings: Finding, **counters: int) -> Ran:
    snapshot: dict[str, Any] = {
        "counters": counters,
        "generator": {"scheduled": RATE * len(clocks)},
        "server": [{"t_s": 1.0, "wall_s": 2.0, "cpu_share": 0.5}],
    }
    told = Result(schema=SCHEMA, findings=findings, snapshot=snapshot, clocks={})
    return Ran(told, tuple((float(number), 1.0, each) for number, each in enumerate(clocks)), 12.0)


def read(what: Ran, *, in_flight_max: int = 2_000, slo_ms: float = 500.0) -> Step:
    limits = Limits.of(Budgets({"load/entry/p99_due_ms": Budget(max=50, unit="ms", why="w")}), slo_ms)
    return step_of(what, limits, rate=RATE, seconds=SECONDS, warm_up_s=1.0, in_flight_max=in_flight_max)


def of_generator(measure: str) -> Finding:
    return Finding(name=f"load/generator/{measure}", verdict=Verdict.NOT_MEASURED, reason="it was")


def test_an_arrival_is_late_by_its_own_promise() -> None:
    """A workflow with a promised p99 is held to that, and the warm-up second counts for nothing."""
    step = read(ran([second(late=90, phase=WARM_UP), *[second(late=2) for _ in range(SECONDS)]]))
    assert step.slices == (Slice(RATE, 2),) * SECONDS
    assert step.outcome is Outcome.BROKEN
    assert step.p99_ms == pytest.approx(500 * 80 / 50, rel=0.01)  # so far beyond its limit, on the scale of the other
    assert step.server[0].cpu_share == 0.5


def test_what_is_done_while_it_drains_was_not_borne() -> None:
    """Only what ended between warm-up and the last arrival counts as done at this rate."""
    seconds = [second(phase=WARM_UP), *[second(dropped=40) for _ in range(SECONDS)], second(), second()]
    assert read(ran(seconds)).done_per_s == RATE - 40


def test_only_promises_of_workflows_are_limits_of_arrivals() -> None:
    """A step's promise is no workflow's, and neither is that of a phase which the search does not have."""
    promised = (
        "load/entry/p99_due_ms",
        "load/GET |x/p99_due_ms",
        "load/entry@spike/p99_due_ms",
        "load/entry/p50_due_ms",
    )
    budget = Budget(max=50, unit="ms", why="w")
    assert Limits.of(Budgets(dict.fromkeys(promised, budget)), 500).own_ms == {"entry": 50}


def test_late_and_failed_is_one_arrival() -> None:
    """An arrival is over once, whatever was wrong with it; one that never left is over too."""
    step = read(ran([second(), second(late=3, failed=2, dropped=1), second(failed=4)]))
    assert [each.over for each in step.slices] == [4, 4]


def test_what_the_target_refused_was_not_carried() -> None:
    """A target that only refuses is quick, and carries nothing: what the workload counted so is over."""
    refusing = second()
    refusing.add("refused.breaker", 30)
    step = read(ran([second(), *[refusing] * 3]))
    assert step.slices == (Slice(RATE, 30),) * 3
    assert step.outcome is Outcome.BROKEN


def test_the_drops_of_a_pool_that_holds_them_all_are_the_targets() -> None:
    """A pool as large as rate times limit is full of late arrivals: the target is at its end, not the generator."""
    full = ran([second(), *[second(dropped=40)] * 3], of_generator("dropped"), **{"arrivals/dropped": 120})
    assert read(full).outcome is Outcome.BROKEN
    assert read(full).achieved_share == pytest.approx(0.7)
    small = read(full, in_flight_max=10)
    assert small.outcome is Outcome.NOT_MEASURED
    assert "dropped" in small.reason


def test_a_generator_that_was_late_says_nothing_about_the_target() -> None:
    """Whatever else was wrong with the generator leaves the step without an outcome, with the reason."""
    step = read(ran([second()] * 3, of_generator("cpu_share")))
    assert (step.outcome, step.reason) == (Outcome.NOT_MEASURED, "cpu_share: it was")


def test_a_step_beside_others_says_nothing_about_the_target() -> None:
    """Where others took part of what was wanted the step has no outcome; where they left enough it says so."""
    beside = msgspec.structs.replace(ran([second()] * 3), others=Others(share=0.3, idle=0.05, cores=2))
    assert read(beside).outcome is Outcome.NOT_MEASURED
    assert read(beside).reason.startswith("others used 30% of the machine")
    calm = msgspec.structs.replace(beside, others=Others(share=0.04, idle=0.05, cores=2))
    assert (read(calm).outcome, read(calm).others_share) == (Outcome.CARRIED, 0.04)


def test_a_locust_that_came_to_nothing_is_no_step() -> None:
    """Without a result there is a reason and the time that it cost."""
    step = read(Ran(None, (), 3.0, "it broke"))
    assert (step.outcome, step.reason, step.took_s) == (Outcome.NOT_MEASURED, "it broke", 3.0)
