"""A session: samples in, findings and rows out, the same whether one process made them or several."""

from collections.abc import Callable

import pytest

from tidegauge.budgets import Budgets
from tidegauge.load.judging.session import LOOKS_MAX, ROWS_MAX, LoadSession, Plan
from tidegauge.load.judging.slo import rank_bounds, samples_for, tightest_p99_ms
from tidegauge.load.server import leaks
from tidegauge.load.server.rows import ServerRow
from tidegauge.load.sockets.heard import Dialect, Mark, Opening, Tally
from tidegauge.load.times.clocks import Clocks
from tidegauge.load.times.phases import WARM_UP, recovery_s
from tidegauge.load.times.schedule import Profile
from tidegauge.records import Budget, Finding
from tidegauge.tomlfile import TomlFile
from tidegauge.verdicts import Verdict


class Time:
    """A clock that a test sets."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def promise(**limits: float) -> Budgets:
    return Budgets(
        {f"load/{name.replace('__', '/')}": Budget(max=limit, unit="ms", why="w") for name, limit in limits.items()}
    )


def session_of(plan: Plan, *, number: int = 2_000, us: int = 1_000, phase: str = "steady") -> LoadSession:
    """A run of 10 s with an honest generator."""
    time = Time()
    session = LoadSession(plan, clock=time)
    for second in range(10):
        time.now_s = 100.0 + second + 1
        for _ in range(number // 10):
            session.count("arrivals/scheduled")
            session.count("arrivals/started")
            session.record("entry", "lag", 10, phase)
            session.record("entry", "workflow", us, phase)
        session.tick()
    return session


def row(second: int, *, slow: bool = False, answers: int = 10, errors: int = 0) -> dict[str, int]:
    """A second in which ten were asked."""
    p99_us = 0 if not answers else 900_000 if slow else 1_000
    return {
        "t_s": second,
        "p99_due_us": p99_us,
        "offered_per_s": 10,
        "achieved_per_s": answers,
        "errors_per_s": errors,
    }


def named(session: LoadSession, name: str) -> Finding:
    return next(finding for finding in session.verdicts() if finding.name == name)


def test_a_promise_is_kept_or_broken() -> None:
    """p99 from the due time is judged by [load.slo]; without a promise it is a record."""
    quick = session_of(Plan(budgets=promise(entry__p99_due_ms=5.0)))
    assert named(quick, "load/entry/p99_due_ms").verdict is Verdict.PASS
    slow = session_of(Plan(budgets=promise(entry__p99_due_ms=0.5)))
    assert named(slow, "load/entry/p99_due_ms").verdict is Verdict.FAIL
    assert named(slow, "load/entry/p50_due_ms").budget is None


def test_too_few_samples_bound_no_percentile() -> None:
    """A p99.9 of 200 samples is not measured, however good it looks; one that is certainly too high is a fail."""
    few = session_of(Plan(budgets=promise(entry__p999_due_ms=5.0)), number=200)
    found = named(few, "load/entry/p999_due_ms")
    assert found.verdict is Verdict.NOT_MEASURED
    assert str(samples_for(0.999)) in found.reason
    slow = session_of(Plan(budgets=promise(entry__p999_due_ms=0.5)), number=200)
    assert named(slow, "load/entry/p999_due_ms").verdict is Verdict.FAIL


def test_rank_bounds_hold_what_they_say() -> None:
    """The least number of samples that bounds a percentile does so, and one less does not always."""
    for share in (0.5, 0.99, 0.999):
        enough = samples_for(share)
        assert rank_bounds(enough, share)[1] <= enough
        assert rank_bounds(enough // 2, share)[1] > enough // 2


def test_a_promise_that_nothing_measured_is_not_forgotten() -> None:
    """A subject that never came leaves its promise not measured."""
    session = session_of(Plan(budgets=promise(exit__p99_due_ms=5.0)))
    assert named(session, "load/exit/p99_due_ms").verdict is Verdict.NOT_MEASURED


def test_the_warm_up_does_not_count() -> None:
    """Samples that were due in the warm-up are kept apart and judged by nobody."""
    session = session_of(Plan(budgets=promise(entry__p99_due_ms=5.0)))
    for _ in range(500):
        session.record("entry", "workflow", 900_000, WARM_UP)
    session.tick()
    assert named(session, "load/entry/p99_due_ms").verdict is Verdict.PASS


def test_an_error_that_nobody_allowed_fails() -> None:
    """Without a promise about errors there must be none; with one, its share decides."""
    session = session_of(Plan())
    session.failed("entry", "steady")
    session.tick()
    assert named(session, "load/entry/error_share").verdict is Verdict.FAIL
    allowed = Budgets({"load/entry/error_share": Budget(max=0.01, unit="1", why="w")})
    session = session_of(Plan(budgets=allowed))
    session.failed("entry", "steady")
    session.tick()
    assert named(session, "load/entry/error_share").verdict is Verdict.PASS


def test_phases_are_judged_by_their_own_promises() -> None:
    """A slow spike breaks the promise of the spike, under its own name."""
    session = session_of(
        Plan(profile=Profile.named("spike", 600, 9), budgets=promise(**{"entry@spike__p99_due_ms": 50.0}))
    )
    for _ in range(1_000):
        session.record("entry", "workflow", 400_000, "spike")
    session.tick()
    assert named(session, "load/entry@spike/p99_due_ms").verdict is Verdict.FAIL
    assert named(session, "load/entry@steady/p99_due_ms").verdict is Verdict.PASS


def test_workers_intervals_make_the_rows_of_one() -> None:
    """Intervals of two workers, in whatever order, give the totals and the rows of one process."""
    alone, master = LoadSession(), LoadSession()
    for second in range(30):
        for clocks_of in (alone, master):
            parts = [Clocks(), Clocks()]
            for number in range(20):
                part = parts[number % 2 if clocks_of is master else 0]
                part.record("entry", "workflow", "steady", 100 + number)
                part.add("arrivals/scheduled")
            for part in parts if second % 2 else reversed(parts):
                clocks_of.absorb([(second, part)])
    assert master.series() == alone.series()
    assert len(master.series()) == 30
    assert master.total.select("workflow").bins == alone.total.select("workflow").bins


def test_rows_are_bounded() -> None:
    """A run of any length keeps its rows within their bound, the newest among them."""
    session = LoadSession()
    for second in range(ROWS_MAX * 2):
        session.absorb([(second, Clocks())])
    assert len(session.series()) <= ROWS_MAX + 20
    assert session.series()[-1]["t_s"] == ROWS_MAX * 2 - 1


def test_a_worker_whose_master_is_gone_keeps_its_samples_within_a_bound() -> None:
    """Intervals that nobody fetches are merged, and none is lost."""
    session = LoadSession()
    for _ in range(1_000):
        session.record("entry", "workflow", 10)
        session.take()
    assert len(session.outbox) <= 600
    assert sum(clocks.select("workflow").count for _, clocks in session.outbox) == 1_000


def test_closed_users_have_no_due_time() -> None:
    """In closed loop a promise from the due time is not measured, and the schedule is asked nothing."""
    session = LoadSession(Plan(open_loop=False, budgets=promise(**{"GET |look__p99_due_ms": 5.0})))
    for _ in range(1_000):
        session.record("GET |look", "service", 100, "steady")
    session.tick()
    assert named(session, "load/GET |look/p99_due_ms").verdict is Verdict.NOT_MEASURED
    assert named(session, "load/GET |look/p99_service_ms").verdict is Verdict.PASS
    assert not any(finding.name == "load/generator/achieved_share" for finding in session.verdicts())


def test_nothing_measured_is_no_finding() -> None:
    """A session in which nothing ran says nothing, so that its verdict is not measured."""
    assert LoadSession().verdicts() == []


def test_recovery_is_the_first_lasting_return() -> None:
    """One quiet second in the middle of a queue is no recovery; three on end are."""
    rows = [row(second, slow=second not in {11, 14, 15, 16}) for second in range(10, 17)]
    assert recovery_s(rows, 10.0, 50.0) == 4.0
    assert recovery_s(rows[:-1], 10.0, 50.0) is None


def test_refusals_and_silence_are_no_recovery() -> None:
    """A second in which every answer is a quick error, or none comes, has not recovered; a share may be allowed."""
    silent = [row(second, answers=0) for second in (10, 11, 12)]
    refusing = [row(second, errors=9) for second in (13, 14, 15)]
    good = [row(second) for second in (16, 17, 18)]
    assert recovery_s([*silent, *refusing, *good], 10.0, 50.0) == 6.0
    assert recovery_s([*silent, *refusing, *good], 10.0, 50.0, errors_max=0.9) == 3.0


def test_after_a_fault_the_way_back_is_timed() -> None:
    """The profile `fault` asks for the same all the time; how long after it p99 holds again is a finding."""
    session = LoadSession(Plan(profile=Profile.named("fault", 10, 20), budgets=promise(entry__p99_due_ms=50.0)))
    for second in range(20):
        clocks = Clocks()
        clocks.record("entry", "workflow", "fault", 1_000)
        clocks.record("GET |entry", "due", "fault", 90_000 if 8 <= second < 14 else 1_000)
        clocks.add("arrivals/scheduled")
        session.absorb([(second, clocks)])
    session.ended_s = session.started_s + 20
    assert named(session, "load/recovery/after_fault_s").value == 2.0


def test_errors_that_a_phase_may_have_are_judged_there() -> None:
    """What a fault's phase is allowed counts nowhere else, and the other phases are still allowed none."""
    may = Budgets({"load/entry@fault/error_share": Budget(max=1.0, unit="1", why="w")})
    for phase, verdict in (("fault", Verdict.PASS), ("recovery", Verdict.FAIL)):
        session = session_of(Plan(profile=Profile.named("fault", 200, 10), budgets=may))
        session.record("entry", "workflow", 1_000, phase)
        session.record("entry", "workflow", 1_000, "fault")
        session.failed("entry", phase)
        session.tick()
        assert named(session, "load/entry@fault/error_share").verdict is Verdict.PASS
        assert named(session, "load/entry/error_share").verdict is verdict


def test_slos_are_read_from_the_file(toml: Callable[[str], TomlFile]) -> None:
    """[load.slo] makes promises of the lane, and the tightest p99 of them is known."""
    budgets = Budgets.read(
        toml(
            """
            [load.slo]
            "entry/p99_due_ms" = { max = 50, unit = "ms", why = "w" }
            "POST |api|workflows|entry/p99_service_ms" = { max = 20, unit = "ms", why = "w" }
            """
        )
    )
    assert set(budgets.by_name) == {"load/entry/p99_due_ms", "load/POST |api|workflows|entry/p99_service_ms"}
    assert tightest_p99_ms(budgets) == 20


def test_a_wrong_slo_names_its_line(toml: Callable[[str], TomlFile]) -> None:
    """A key of [load.slo] that is no subject/measure is said with the line in which it stands."""
    from tidegauge.errors import TidegaugeError

    with pytest.raises(TidegaugeError, match=r"tidegauge.toml:3: load.slo.p99: is not subject/measure"):
        Budgets.read(toml('\n[load.slo]\n"p99" = { max = 1, unit = "ms", why = "w" }\n'))


def test_looks_at_the_target_lie_on_the_axis_of_the_run() -> None:
    """A row says how long after the beginning it was made; what was seen before or after the run is another's."""
    time = Time()
    session = LoadSession(Plan(), clock=time)
    time.now_s = 110.0
    for t_s in (99.0, 103.5, 111.0):
        session.see(ServerRow(t_s=t_s, wall_s=0.0, fds=7))
    assert [(row["t_s"], row["fds"]) for row in session.snapshot()["server"]] == [(3.5, 7)]


def test_a_target_that_keeps_sockets_is_named() -> None:
    """Sockets that rise beside the load all the time are a fail of the load; too few looks are nobody's finding."""
    session = session_of(Plan())
    for look in range(100):
        if look == 10:
            assert not [finding for finding in session.verdicts() if finding.name == leaks.NAME]
        session.see(ServerRow(t_s=100.0 + look / 10, wall_s=0.0, sockets=3 * look, fds=3 * look, client_sockets=0))
    assert named(session, leaks.NAME).verdict is Verdict.FAIL


def test_what_sockets_heard_is_judged_without_its_warm_up() -> None:
    """A lost message fails, delivery is what came after the warm-up, and all of it under the cohort's name alone."""
    session = session_of(Plan(budgets=promise(ws__delivery_p99_ms=10.0)))
    for _ in range(100):
        session.record("ws", "service", 900_000, WARM_UP)
    for _ in range(500):
        session.record("ws", "service", 2_000, "steady")
    for name, n in (("messages", 501), ("numbered", 501), ("timed", 501), ("missed", 1), ("connected", 1)):
        session.count(f"ws.{name}", n)
    session.tick()
    assert named(session, "load/ws/gaps").verdict is Verdict.FAIL
    assert named(session, "load/ws/delivery_p99_ms").value == pytest.approx(2, rel=0.01)
    assert not [finding for finding in session.verdicts() if finding.name == "load/ws/throughput_per_s"]


def test_a_socket_that_reads_late_is_no_late_generator() -> None:
    """What lay unread in a socket is that clock's alone; the lag of arrivals stays what it was."""
    session = session_of(Plan())
    tally = Tally(session, "ws slow", Dialect(lambda _last: Opening("/ws"), lambda _payload: Mark()))
    for _ in range(5_000):
        tally.unread(4_000_000)
    session.tick()
    assert session.generator().lag_p99_us <= 10


def test_session_judges_the_end_at_the_end() -> None:
    """While a load goes on nobody has handed over everything and something is under way: neither is held against it."""
    now_s = 10.0
    session = LoadSession(clock=lambda: now_s)
    session.workers = {"one": False, "two": False}
    session.count("arrivals/scheduled", 100)
    session.count("arrivals/started", 100)
    session.count("flight/pool_us", 2_000_000)
    session.count("flight/clocks_us", 1_000_000)
    session.tick()
    now_s = 20.0
    told = {finding.name: finding.verdict for finding in session.verdicts()}
    assert told["load/generator/workers_lost"] is Verdict.PASS
    assert "load/generator/littles_law" not in told
    session.ended_s = 20.0
    told = {finding.name: finding.verdict for finding in session.verdicts()}
    assert told["load/generator/workers_lost"] is Verdict.NOT_MEASURED
    assert told["load/generator/littles_law"] is Verdict.NOT_MEASURED


def test_session_knows_the_extremes_of_a_long_run() -> None:
    """What a look at the server showed counts among the least and the most, also when it is drawn no longer."""
    session = LoadSession(clock=lambda: 1e6)
    session.started_s = 0.0
    for second in range(LOOKS_MAX + 50):
        session.see(ServerRow(t_s=float(second), wall_s=0.0, fds=900 if second == 1 else 10, threads=None))
    told = session.snapshot()["server_extremes"]
    assert told == {"fds": {"least": 10, "most": 900, "samples": LOOKS_MAX + 50, "now": 10}}
