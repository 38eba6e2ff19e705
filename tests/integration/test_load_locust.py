"""Real Locust with our plugin against a server that says the truth about itself. What a busy machine delays is never
asserted: where the generator says that it was late, its figures must be withdrawn, and that is what is proved then.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from support import locusts
from tidegauge.records import Finding
from tidegauge.verdicts import Verdict


def assert_true(finding: Finding, outcome: locusts.Outcome, truth_ms: float, tolerance: float) -> None:
    """A figure is never below the truth, and one that counts is the truth."""
    assert finding.value is not None
    assert finding.value >= truth_ms * (1 - tolerance)
    if all(
        other.verdict is Verdict.PASS
        for other in outcome.result.findings  # type: ignore[union-attr]
        if other.name.startswith("load/generator/")
    ):
        assert finding.value <= truth_ms * (1 + tolerance)
    else:
        assert finding.verdict is Verdict.NOT_MEASURED


@pytest.mark.parametrize("locustfile", [locusts.OURS, locusts.FOREIGN], ids=["FastHttpUser", "HttpUser"])
def test_a_stall_is_seen_from_the_due_times(tmp_path: Path, locustfile: str) -> None:
    """A stall of 0.4 s at 100 arrivals a second is in p99 as the server's own account has it, for a locustfile that
    knows nothing of us too.
    """
    with locusts.serving(tmp_path, stall_at_s=1.5, stall_s=0.4) as server:
        outcome = locusts.run(tmp_path, locustfile, server.url, rate=100, seconds=4)
        account = server.stop()
    assert len(account) == 400
    truth_ms = account.due_ms(0.99, started_s=outcome.snapshot["started_s"], rate=100)
    assert truth_ms > 300
    for subject in ("look", "GET |look"):
        assert_true(outcome.finding(f"load/{subject}/p99_due_ms"), outcome, truth_ms, 0.03)


@pytest.mark.load
@pytest.mark.timeout(180)
@pytest.mark.parametrize("locustfile", [locusts.OURS, locusts.FOREIGN], ids=["FastHttpUser", "HttpUser"])
def test_a_second_of_stall_in_full(tmp_path: Path, locustfile: str) -> None:
    """Of 20 s at 500 a second with one second's stall p99 is true to 3 %, p99.9 to 1 %, or does not count."""
    with locusts.serving(tmp_path, stall_at_s=8, stall_s=1.0) as server:
        outcome = locusts.run(tmp_path, locustfile, server.url, rate=500, seconds=20)
        account = server.stop()
    for share, measure, tolerance in ((0.99, "p99_due_ms", 0.03), (0.999, "p999_due_ms", 0.01)):
        truth_ms = account.due_ms(share, started_s=outcome.snapshot["started_s"], rate=500)
        finding = outcome.finding(f"load/GET |look/{measure}")
        assert_true(finding, outcome, truth_ms, tolerance)


def test_a_user_keeps_its_greenlet(tmp_path: Path) -> None:
    """All arrivals of a user run in one greenlet, as in Locust, and a greenlet has one user."""
    faithful = """
import greenlet
from locust import FastHttpUser, task

class Trader(FastHttpUser):
    home = None

    @task
    def look(self):
        here = greenlet.getcurrent()
        self.home = self.home or here
        is_mine = self.home is here and vars(here).setdefault("user", self) is self
        self.client.get("/look" if is_mine else "/wrong")
"""
    with locusts.serving(tmp_path, stall_at_s=0.3, stall_s=0.2) as server:
        outcome = locusts.run(tmp_path, faithful, server.url, rate=100, seconds=1.5)
        account = server.stop()
    assert len(account) == 150
    assert outcome.finding("load/look/error_share").value == 0


def test_the_collector_is_calm_during_a_test_only(tmp_path: Path) -> None:
    """While arrivals run what was imported is not walked again; afterwards the process collects as it did before."""
    watching = """
import gc
from locust import FastHttpUser, events, task

before = gc.get_threshold(), gc.get_freeze_count()

class Trader(FastHttpUser):
    @task
    def look(self):
        is_calm = gc.get_freeze_count() > 10_000 and gc.get_threshold() > before[0]
        self.client.get("/look" if is_calm else "/wrong")

@events.quitting.add_listener
def over(**_):
    print("as before:", (gc.get_threshold(), gc.get_freeze_count()) == before)
"""
    with locusts.serving(tmp_path) as server:
        outcome = locusts.run(tmp_path, watching, server.url, rate=20, seconds=1)
    assert outcome.finding("load/look/error_share").value == 0
    assert "as before: True" in outcome.output


def test_a_pool_that_is_too_small_says_so(tmp_path: Path) -> None:
    """Arrivals that find no free user are counted, and nothing of the run counts as measured."""
    with locusts.serving(tmp_path, stall_at_s=0.2, stall_s=0.6) as server:
        outcome = locusts.run(tmp_path, locusts.OURS, server.url, rate=100, seconds=1.5, in_flight=10)
    dropped = outcome.finding("load/generator/dropped")
    assert dropped.verdict is Verdict.NOT_MEASURED
    assert (dropped.value or 0) > 20
    assert outcome.finding("load/look/error_share").verdict is Verdict.NOT_MEASURED
    assert outcome.status == 4


@pytest.mark.parametrize("workers", [1, 2])
def test_arrivals_that_never_end_count_at_their_age(tmp_path: Path, workers: int) -> None:
    """What is still on its way when the time to drain is over has failed, at least as late as it is by then."""
    with locusts.serving(tmp_path, stall_at_s=0, stall_s=100) as server:
        more = ["--processes", str(workers)] if workers > 1 else []
        outcome = locusts.run(tmp_path, locusts.OURS, server.url, *more, rate=20, seconds=1, drain=4)
    (clock,) = (row for row in outcome.snapshot["clocks"] if (row["subject"], row["clock"]) == ("look", "workflow"))
    assert clock["count"] == 20
    assert outcome.snapshot["counters"]["arrivals/unfinished"] >= 16  # it answers the first, before it stands still
    assert clock["p50_us"] > 500_000
    assert outcome.finding("load/generator/workers_lost").verdict is Verdict.PASS


def test_a_generator_that_is_held_up_says_so(tmp_path: Path) -> None:
    """A task that computes keeps the others waiting: the run is late, busy, and not measured."""
    burning = locusts.OURS + "        import time\n        end = time.perf_counter() + 0.03\n"
    burning += "        while time.perf_counter() < end:\n            pass\n"
    with locusts.serving(tmp_path) as server:
        outcome = locusts.run(tmp_path, burning, server.url, rate=60, seconds=3)
    assert outcome.finding("load/generator/lag_p99_ms").verdict is Verdict.NOT_MEASURED
    assert outcome.finding("load/look/p99_due_ms").verdict is Verdict.NOT_MEASURED
    assert outcome.status == 4


def test_an_error_that_nobody_allowed_is_no_pass(tmp_path: Path) -> None:
    """A server that says 503 fails the run, unless the generator cannot be believed."""
    with locusts.serving(tmp_path) as server:
        outcome = locusts.run(tmp_path, locusts.OURS.replace("/look", "/wrong"), server.url, rate=20, seconds=1.5)
    finding = outcome.finding("load/look/error_share")
    assert finding.value == 1.0
    assert finding.verdict in {Verdict.FAIL, Verdict.NOT_MEASURED}
    assert outcome.status == finding.verdict.exit_status


def test_several_workers_share_one_schedule(tmp_path: Path) -> None:
    """Three workers make the arrivals of one, each once, and the master has every sample."""
    with locusts.serving(tmp_path) as server:
        outcome = locusts.run(tmp_path, locusts.OURS, server.url, "--processes", "3", rate=90, seconds=2)
        account = server.stop()
    generator = outcome.snapshot["generator"]
    assert generator["scheduled"] == len(account) == 180, outcome.output
    assert generator["workers"] == 3
    assert outcome.finding("load/generator/workers_lost").verdict is Verdict.PASS
    (clock,) = (row for row in outcome.snapshot["clocks"] if (row["subject"], row["clock"]) == ("look", "workflow"))
    assert clock["count"] == 180


def test_the_number_of_users_is_the_rate(tmp_path: Path) -> None:
    """Without a profile as many arrivals come a second as Locust has users, also when a shape changes them."""
    shape = """
from locust import LoadTestShape

class Steps(LoadTestShape):
    def tick(self):
        since = self.get_run_time()
        return None if since > 4.2 else (50, 50) if since > 2 else (20, 20)
"""
    with locusts.serving(tmp_path) as server:
        outcome = locusts.run(tmp_path, locusts.OURS + shape, server.url, profile="users")
    rates = [row["offered_per_s"] for row in outcome.snapshot["series"]]
    assert rates[0] < 35 < max(rates), (rates, outcome.output)  # 20, and later 50


def test_the_run_time_begins_with_the_test(tmp_path: Path) -> None:
    """What a foreign file takes to import is not taken from --run-time."""
    slow = "import time\nend = time.perf_counter() + 2\nwhile time.perf_counter() < end:\n    pass\n" + locusts.OURS
    with locusts.serving(tmp_path) as server:
        outcome = locusts.run(tmp_path, slow, server.url, "-t", "2s", "-u", "10", "-r", "10", profile="users")
    assert outcome.snapshot["elapsed_s"] > 1.0  # of 2; without it nothing would be left


def test_closed_users_are_timed_as_they_are(tmp_path: Path) -> None:
    """Closed, Locust's users run as they do without us: they have a service time, and no due time."""
    with locusts.serving(tmp_path) as server:
        outcome = locusts.run(tmp_path, locusts.OURS, server.url, "--run-time", "2s", "-u", "1", mode="closed")
    assert {row["clock"] for row in outcome.snapshot["clocks"]} == {"service"}
