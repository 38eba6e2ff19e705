"""From what the sockets counted to findings: no fault passes, and nothing not measured does."""

from typing import Any

import pytest

from tidegauge.budgets import Budgets
from tidegauge.load.sockets.delivery import judge_sockets
from tidegauge.records import Budget, Finding
from tidegauge.verdicts import Verdict

GOOD = {"connected": 10, "messages": 1_000, "numbered": 990, "timed": 900}
LIMITS = Budgets({"load/ws/delivery_p99_ms": Budget(max=20, unit="ms", why="a screen is looked at")})


def row(subject: str = "ws", p99_us: int = 5_000, count: int = 900, clock: str = "service") -> dict[str, Any]:
    return {"subject": subject, "clock": clock, "phase": "", "count": count, "p99_us": p99_us}


def judged(
    counts: dict[str, int], *rows: dict[str, Any], cohort: str = "ws", limits: Budgets = LIMITS
) -> dict[str, Finding]:
    counters = {f"{cohort}.{name}": n for name, n in counts.items()}
    return {each.name.removeprefix("load/"): each for each in judge_sockets(counters, rows, limits)}


def test_a_faithful_stream_passes_and_says_its_figures() -> None:
    """Without a fault every finding passes, delivery against its limit and in its unit."""
    found = judged(GOOD, row(), row(p99_us=900_000, clock="reading"))
    assert {each.verdict for each in found.values()} == {Verdict.PASS}
    assert found["ws/delivery_p99_ms"].value == 5.0
    assert found["ws/gaps"].value == 0
    assert found["ws/gaps"].budget is not None


@pytest.mark.parametrize(
    ("faults", "finding", "value"),
    [
        ({"missed": 3, "reordered": 1}, "ws/gaps", 2),
        ({"missed": 1, "reordered": 1}, "ws/reordered", 1),
        ({"duplicates": 1}, "ws/duplicates", 1),
        ({"unreadable": 1}, "ws/unreadable", 1),
        ({"broken": 1}, "ws/broken", 1),
    ],
)
def test_one_fault_fails_though_nobody_set_a_limit(faults: dict[str, int], finding: str, value: int) -> None:
    """Each message once, in order: that is promised by the protocol, so a single fault among a thousand fails."""
    found = judged(GOOD | faults, row(), limits=Budgets({}))
    assert found[finding].verdict is Verdict.FAIL
    assert found[finding].value == value


def test_what_came_late_after_all_is_no_gap() -> None:
    """A number that was jumped over and then heard is reordered and not lost."""
    found = judged(GOOD | {"missed": 4, "reordered": 4}, row())
    assert found["ws/gaps"].verdict is Verdict.PASS


def test_a_loss_that_the_server_admits_is_its_policy_until_somebody_limits_it() -> None:
    """Dropped messages are recorded; against a limit they fail, and they never are gaps."""
    limits = Budgets({"load/ws/dropped": Budget(max=10, unit="1", why="a dashboard may skip a little")})
    assert judged(GOOD | {"dropped": 50}, row())["ws/dropped"].verdict is Verdict.PASS
    found = judged(GOOD | {"dropped": 50}, row(), limits=limits)
    assert found["ws/dropped"].verdict is Verdict.FAIL
    assert found["ws/gaps"].verdict is Verdict.PASS


def test_a_silent_stream_is_not_measured_in_order_nor_in_time() -> None:
    """Connections that heard nothing lost nothing that we know of: neither passes."""
    found = judged({"connected": 10}, limits=LIMITS)
    for name in ("ws/gaps", "ws/duplicates", "ws/reordered", "ws/delivery_p99_ms"):
        assert found[name].verdict is Verdict.NOT_MEASURED, name


def test_a_stream_without_numbers_has_no_order_to_judge() -> None:
    """Where few messages carry a number a gap could not be seen; a fault that was seen is one all the same."""
    found = judged(GOOD | {"numbered": 10, "duplicates": 1}, row())
    assert found["ws/gaps"].verdict is Verdict.NOT_MEASURED
    assert found["ws/duplicates"].verdict is Verdict.FAIL


def test_a_clock_that_is_ahead_of_ours_leaves_delivery_unmeasured() -> None:
    """More than one in a hundred messages from the future: the latency of all the others is not to be believed."""
    assert judged(GOOD | {"early": 9}, row())["ws/delivery_p99_ms"].verdict is Verdict.PASS
    found = judged(GOOD | {"early": 10}, row())
    assert found["ws/delivery_p99_ms"].verdict is Verdict.NOT_MEASURED
    assert "clock" in found["ws/delivery_p99_ms"].reason


def test_cohorts_are_judged_apart() -> None:
    """What the slow and the returning suffer is theirs; a limit set for one says nothing of another."""
    storm = judged(GOOD, row("ws storm", p99_us=900_000), row("ws storm again", p99_us=250_000), cohort="ws storm")
    assert storm["ws storm/delivery_p99_ms"].verdict is Verdict.PASS
    assert storm["ws storm/again_p99_ms"].value == 250.0
    slow = judged(GOOD | {"missed": 1}, row("ws slow"), cohort="ws slow")
    assert slow["ws slow/gaps"].verdict is Verdict.FAIL
    assert "ws/gaps" not in slow
