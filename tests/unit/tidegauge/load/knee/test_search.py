"""The search for the knee, over simulated servers of known capacity: a hundred cases, and each way to end early."""

import random
from collections.abc import Callable

import msgspec
import pytest

from support.servers import DRAIN_S, TRUTH, Server, spread, truth, truth_simulated
from tidegauge.budgets import Budgets
from tidegauge.load.knee.finding import knee_finding
from tidegauge.load.knee.levels import levels_of
from tidegauge.load.knee.saturation import first_saturated
from tidegauge.load.knee.search import Knee, KneeSettings, find_knee
from tidegauge.load.knee.steps import Measure, Outcome, Slice, Step
from tidegauge.load.server.rows import Queue, ServerRow
from tidegauge.records import Budget
from tidegauge.verdicts import Verdict

KINDS = ("steady", "scattered", "limit", "degrading", "pausing", "noisy")
# Capacity in 1/s and patience in service times: fast and slow, with a promise that is tight or easy.
SERVERS = [
    (kind, mu, patience) for kind in KINDS for mu, patience in ((170, 85), (150, 40), (800, 8), (800, 60), (3000, 20))
]
DRAINS_S = {170: 4.0}  # a bot with a broker: each step starts a Locust, and looks at what became of the orders
CASES_MIN = 100
NONE = Budgets({})


def search(kind: str, mu: float, patience: float, seed: int) -> Knee:
    """One search of five simulated minutes at most."""
    return found(Server(kind, mu, patience, seed, DRAINS_S.get(int(mu), DRAIN_S)), settings_of(mu, patience), seed)


def found(measure: Measure, settings: KneeSettings, seed: int, waits: list[float] | None = None) -> Knee:
    """A search on a machine that becomes calm as late as it may."""
    asked = [] if waits is None else waits

    def wait(seconds_max: float) -> float:
        asked.append(seconds_max)
        return seconds_max

    knee = find_knee(measure, wait, settings, seed)
    assert sum(each.took_s for each in knee.steps) + sum(asked) <= settings.seconds_max
    return knee


def settings_of(mu: float, patience: float) -> KneeSettings:
    """The settings of a user who knows only the SLO."""
    return KneeSettings(slo_ms=1e3 * patience / mu)


def step(rate: float, share: float, **changes: object) -> Step:
    """A step of ten slices with this share of late arrivals."""
    offered = max(1, round(rate))
    slices = tuple(Slice(offered, round(offered * share)) for _ in range(10))
    given = Step(rate_per_s=rate, seconds=10.0, took_s=11.0, slices=slices, p50_ms=1.0, p99_ms=10.0, achieved_share=1.0)
    return msgspec.structs.replace(given, **changes)


def wall(capacity: float, seconds: list[float] | None = None) -> Measure:
    """A server without any noise: nothing is late below its capacity, everything above it."""

    def measure(rate: float, given_s: float) -> Step:
        if seconds is not None:
            seconds.append(given_s)
        taken = step(rate, 0.0 if rate <= capacity else 1.0)
        return msgspec.structs.replace(taken, seconds=given_s, took_s=given_s + 1)

    return measure


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", KINDS)
def test_the_truth_is_what_a_long_simulation_says(kind: str) -> None:
    """The capacities that the cases are judged by are those of a million arrivals, within half a per cent."""
    for (mu, patience), share in TRUTH[kind].items():
        assert truth_simulated(kind, mu, patience) == pytest.approx(share, rel=0.005)


@pytest.mark.timeout(300)
def test_the_interval_covers_the_truth_in_95_of_100_cases() -> None:
    """Whatever the server is like, its knee in the long run lies in the interval of five minutes."""
    cases = [(server, seed) for seed in range(1 + CASES_MIN // len(SERVERS)) for server in SERVERS]
    missed = []
    for number, (server, seed) in enumerate(cases):
        knee = search(*server, seed=1_000 * seed + number)
        assert sum(each.took_s for each in knee.steps) <= settings_of(*server[1:]).seconds_max
        if not (knee.interval and knee.interval.low <= truth(*server) <= knee.interval.high):
            missed.append((server, seed, truth(*server), knee.interval, knee.unfinished))
    assert len(cases) >= CASES_MIN
    assert len(missed) <= 0.05 * len(cases), missed


@pytest.mark.parametrize("kind", KINDS)
def test_searches_of_one_server_agree_within_five_per_cent(kind: str) -> None:
    """Five searches of a bot that carries hundreds a second differ by a coefficient of variation of 5 % at most."""
    intervals = [search(kind, 800, 60, seed).interval for seed in range(5)]
    assert spread([each.value for each in intervals if each]) <= 0.05
    assert len([each for each in intervals if each]) == 5


def test_a_sharp_knee_is_known_to_five_per_cent() -> None:
    """Where the server's end is sudden, the interval is the last bracket, less than 5 % to each side."""
    knee = found(wall(431.0), KneeSettings(slo_ms=100), 1)
    assert knee.interval is not None
    assert knee.interval.low <= 431.0 <= knee.interval.high
    assert knee.interval.high <= 1.1 * knee.interval.low
    ends = [level for level in levels_of(knee.steps) if len(level.steps) >= 4]
    assert len(ends) == 2  # each end of the bracket, and three repeats


def test_what_is_done_in_overload_says_where_the_knee_is() -> None:
    """A target that bears what it can while more is asked: the next two rates enclose that."""

    def measure(rate: float, given_s: float) -> Step:
        return msgspec.structs.replace(wall(431.0)(rate, given_s), done_per_s=min(rate, 431.0))

    rates = [each.rate_per_s for each in found(measure, KneeSettings(slo_ms=100), 1).steps]
    assert rates[:6] == [20, 40, 80, 160, 320, 640]
    assert rates[6] < 431 < rates[7]
    assert rates[7] == pytest.approx(1.05 * rates[6])


def test_what_is_done_late_says_nothing_of_the_knee() -> None:
    """Where nearly all was done, only not in time, the bracket is halved: going after that would creep down."""

    def measure(rate: float, given_s: float) -> Step:
        return msgspec.structs.replace(wall(431.0)(rate, given_s), done_per_s=0.97 * rate)

    rates = [each.rate_per_s for each in found(measure, KneeSettings(slo_ms=100), 1).steps]
    assert rates[6] == pytest.approx((320 * 640) ** 0.5)


def test_a_server_that_is_borne_for_moments_only_is_no_capacity() -> None:
    """At two per cent too much half a second of queue takes 25 s to grow: the interval reaches down to what holds."""
    knees = [search("steady", 170, 85, seed) for seed in range(10)]
    lows = [knee.interval.low for knee in knees if knee.interval]
    assert sum(low <= truth("steady", 170, 85) for low in lows) >= 9
    longest_s = [max(each.seconds for each in knee.steps if each.outcome is Outcome.CARRIED) for knee in knees]
    assert min(longest_s) >= settings_of(170, 85).fine_s == 30


@pytest.mark.parametrize("honest_per_s", [100.0, 300.0, 500.0])
def test_a_generator_that_is_not_honest_finds_no_knee_above_the_truth(honest_per_s: float) -> None:
    """Beyond what it can drive the generator sees a fast server; no search believes it, none proves too much."""
    for seed in range(20):
        kind = KINDS[seed % len(KINDS)]
        server = Server(kind, 800, 20, seed)

        def measure(rate: float, seconds: float, server: Server = server) -> Step:
            if rate <= honest_per_s:
                return server(rate, seconds)
            return msgspec.structs.replace(
                server(honest_per_s, seconds), rate_per_s=rate, honest=False, reason="its lag p99 was 90 ms"
            )

        knee = found(measure, KneeSettings(slo_ms=25), seed)
        limit = 1.05 * truth(kind, 800, 20)
        assert knee.proven_per_s <= min(limit, honest_per_s)
        if knee.interval:
            assert knee.interval.value <= limit
        else:
            finding = knee_finding(knee, KneeSettings(slo_ms=25), NONE)
            assert finding.verdict is Verdict.UNDECIDED
            assert "its lag p99 was 90 ms" in finding.reason
            assert f"held up to {knee.proven_per_s:.4g}/s" in finding.reason


def busy(measure: Measure, is_busy: Callable[[int, float], bool]) -> Measure:
    """A machine that others use at some steps, by number and rate: nothing is done in time then."""
    number = 0

    def measured(rate: float, seconds: float) -> Step:
        nonlocal number
        number += 1
        taken = measure(rate, seconds)
        if not is_busy(number, rate):
            return taken
        late = tuple(Slice(each.offered, each.offered) for each in taken.slices)
        return msgspec.structs.replace(taken, slices=late, honest=False, reason="others used 60% of the machine")

    return measured


def test_a_machine_that_is_busy_for_a_moment_costs_pauses_and_not_the_knee() -> None:
    """Three steps in a row that were not honest are taken again, after pauses that double, in the time there is."""
    for began in (1, 3, 8, 12):
        waits: list[float] = []
        measure = busy(wall(431.0), lambda number, _rate, began=began: began <= number < began + 3)  # type: ignore[misc]
        knee = found(measure, KneeSettings(slo_ms=100), 1, waits)
        assert waits == [2, 4, 8]
        assert knee.interval is not None
        assert knee.interval.low <= 431.0 <= knee.interval.high
        assert knee.interval.half <= 0.05
        assert sum(each.outcome is Outcome.NOT_MEASURED for each in knee.steps) == 3


def test_a_rate_that_cannot_be_asked_is_given_up_and_the_knee_looked_for_below() -> None:
    """What the generator cannot drive counts as nothing: the search goes on between it and what was carried."""
    knee = found(busy(wall(250.0), lambda _number, rate: rate > 300), KneeSettings(slo_ms=100), 1)
    rates = [each.rate_per_s for each in knee.steps]
    assert rates.count(320) == KneeSettings(slo_ms=100).attempts
    assert max(rates[rates.index(320) + 4 :]) < 320  # what is enclosed below is not asked above
    assert knee.interval is not None
    assert knee.interval.low <= 250.0 <= knee.interval.high
    assert knee.interval.half <= 0.05


def test_a_rate_that_was_given_up_is_asked_once_more_when_nothing_else_is_left() -> None:
    """A machine that was busy for long is calm again: its ceiling was none, and the climb goes on beyond it."""
    knee = found(busy(wall(431.0), lambda number, _rate: 3 <= number < 8), KneeSettings(slo_ms=100), 1)
    assert [each.rate_per_s for each in knee.steps if not each.honest] == [80.0] * 4 + [pytest.approx(80 / 2**0.5)]
    assert knee.interval is not None
    assert knee.interval.low <= 431.0 <= knee.interval.high


def test_a_search_ends_at_what_can_be_asked() -> None:
    """What cannot be driven twice over, after pauses, is the end: up to there the target carried everything."""
    knee = found(busy(wall(431.0), lambda _number, rate: rate > 300), KneeSettings(slo_ms=100), 1)
    assert knee.interval is None
    assert knee.proven_per_s == pytest.approx(269, abs=1)
    assert [each.rate_per_s for each in knee.steps if not each.honest] == [320.0] * 8
    assert "none of 4 steps at" in knee.unfinished


def test_where_nothing_can_be_measured_there_is_no_knee() -> None:
    """A machine that is never calm ends the search before its time, not measured, and the reason says why."""
    knee = found(busy(wall(431.0), lambda _number, _rate: True), KneeSettings(slo_ms=100), 1)
    finding = knee_finding(knee, KneeSettings(slo_ms=100), NONE)
    assert [each.rate_per_s for each in knee.steps] == [20.0] * 4 + [10.0] * 4 + [5.0] * 4
    assert (finding.verdict, finding.value) == (Verdict.NOT_MEASURED, None)
    assert "others used 60% of the machine" in finding.reason
    assert "no rate was carried" in finding.reason


def test_a_knee_that_is_enclosed_stays_so_when_the_machine_becomes_busy() -> None:
    """What was honest before still says between which rates the knee lies; so wide a record is no pass."""
    knee = found(busy(wall(431.0), lambda number, _rate: number > 6), KneeSettings(slo_ms=100), 1)
    finding = knee_finding(knee, KneeSettings(slo_ms=100), NONE)
    assert knee.interval is not None
    assert knee.interval.low <= 431.0 <= knee.interval.high
    assert knee.interval.half > 0.05
    assert finding.verdict is Verdict.UNDECIDED
    assert f"known to ±{knee.interval.half:.1%}" in finding.reason
    assert "others used 60% of the machine" in finding.reason
    promised = Budgets({"load/knee/rate_per_s": Budget(min=300, unit="1/s", why="a busy open")})
    assert knee_finding(knee, KneeSettings(slo_ms=100), promised).verdict is Verdict.PASS  # all of it is above


def test_a_target_that_changed_has_no_knee() -> None:
    """One that carried a rate and then breaks far below it has used something up; no knee is made of both."""
    taken = 0

    def measure(rate: float, seconds: float) -> Step:
        nonlocal taken
        taken += 1
        return wall(431.0 if taken < 8 else 0.1)(rate, seconds)

    knee = found(measure, KneeSettings(slo_ms=100), 1)
    finding = knee_finding(knee, KneeSettings(slo_ms=100), NONE)
    assert knee.interval is None
    assert finding.verdict is Verdict.UNDECIDED
    assert "the target changed: it carried" in finding.reason


def test_a_record_of_a_knee_says_who_was_there() -> None:
    """Without a budget a knee that is known to five per cent passes as a record, with what others used meanwhile."""

    def measure(rate: float, seconds: float) -> Step:
        return msgspec.structs.replace(wall(431.0)(rate, seconds), others_share=0.04)

    finding = knee_finding(found(measure, KneeSettings(slo_ms=100), 1), KneeSettings(slo_ms=100), NONE)
    assert finding.verdict is Verdict.PASS
    assert "no budget is set for it" in finding.reason
    assert "others used 4% of the machine at most" in finding.reason
    assert finding.evidence["steps"][0]["others_share"] == 0.04


def test_a_step_that_was_not_honest_is_taken_again() -> None:
    """A generator with hiccups costs steps, not the search."""
    rng = random.Random(3)
    honest = wall(431.0)

    def measure(rate: float, seconds: float) -> Step:
        taken = honest(rate, seconds)
        before = measured and not measured[-1].honest
        measured.append(msgspec.structs.replace(taken, honest=bool(before) or rng.random() < 0.8))
        return measured[-1]

    measured: list[Step] = []
    knee = found(measure, KneeSettings(slo_ms=100), 1)
    assert knee.interval is not None
    assert knee.interval.low <= 431.0 <= knee.interval.high
    assert any(each.outcome is Outcome.NOT_MEASURED for each in knee.steps)


def test_the_climb_slows_down_where_the_latency_climbs() -> None:
    """Where p99 grows so steeply that the next doubling would break it, the search goes no further than that."""

    def measure(rate: float, seconds: float) -> Step:
        taken = wall(200.0)(rate, seconds)
        return msgspec.structs.replace(taken, p99_ms=(rate / 200) ** 2 * 100)

    rates = [each.rate_per_s for each in found(measure, KneeSettings(slo_ms=100), 1).steps]
    assert max(rates) < 200 * 1.25
    assert max(each.rate_per_s for each in found(wall(200.0), KneeSettings(slo_ms=100), 1).steps) >= 320


@pytest.mark.parametrize(("capacity", "said"), [(0.1, "even 0.625/s was too much"), (1e9, "nothing up to 8.192e+04/s")])
def test_a_search_without_an_end_says_where_it_looked(capacity: float, said: str) -> None:
    """A target that carries nothing, and one that carries everything, have no knee."""
    knee = found(wall(capacity), KneeSettings(slo_ms=100), 1)
    finding = knee_finding(knee, KneeSettings(slo_ms=100), NONE)
    assert knee.interval is None
    assert said in finding.reason
    assert finding.verdict is (Verdict.UNDECIDED if capacity > 1 else Verdict.NOT_MEASURED)


def test_what_time_there_was_gives_a_wider_interval() -> None:
    """A search that is cut short by its bound says so, and its interval holds what it could not tell apart."""
    settings = KneeSettings(slo_ms=100, seconds_max=40)
    knee = found(wall(431.0), settings, 1)
    assert sum(each.took_s for each in knee.steps) <= 40
    assert knee.interval is not None
    assert knee.interval.low <= 431 <= knee.interval.high
    assert "40 s were not enough" in knee_finding(knee, settings, NONE).reason
    assert len(found(wall(431.0), KneeSettings(slo_ms=100, steps_max=5), 1).steps) == 5


def test_no_step_is_short_beside_the_promise() -> None:
    """Where half a second is soon enough, an overload of a tenth shows after seconds: the climb must not miss it."""

    def measure(rate: float, seconds: float) -> Step:
        lengths.append(seconds)
        grown_s = max(rate / 110 - 1, 0) * seconds  # how long the queue is at the end
        taken = step(rate, min(max(grown_s - 0.5, 0.0), 1.0))
        return msgspec.structs.replace(taken, seconds=seconds, took_s=seconds + 3)

    lengths: list[float] = []
    knee = found(measure, KneeSettings(slo_ms=500, start_per_s=40), 1)
    assert min(lengths) == 6
    assert KneeSettings(slo_ms=5_000).shortest_s == 10  # or there would be no time for a search
    assert max(each.rate_per_s for each in knee.steps) == 160


def test_one_late_arrival_of_few_ends_no_climb() -> None:
    """At a low rate one arrival in sixty is more than 1 %, and still no sign of the knee."""

    def measure(rate: float, seconds: float) -> Step:
        taken = wall(431.0)(rate, seconds)
        if rate < 30:
            return msgspec.structs.replace(taken, slices=(Slice(59, 0), Slice(1, 1)))
        return taken

    knee = found(measure, KneeSettings(slo_ms=100), 1)
    assert knee.interval is not None
    assert knee.interval.low <= 431 <= knee.interval.high


@pytest.mark.parametrize(("minimum", "verdict"), [(300, Verdict.PASS), (431, Verdict.UNDECIDED), (600, Verdict.FAIL)])
def test_the_budget_of_a_knee_is_judged_by_its_interval(minimum: float, verdict: Verdict) -> None:
    """All of the interval above the promise passes, all below fails, across is undecided."""
    budgets = Budgets({"load/knee/rate_per_s": Budget(min=minimum, unit="1/s", why="a busy open")})
    finding = knee_finding(found(wall(431.0), KneeSettings(slo_ms=100), 1), KneeSettings(slo_ms=100), budgets)
    assert finding.verdict is verdict


def row(**seen: object) -> ServerRow:
    """A look at an idle server, but for what is given."""
    return msgspec.convert({"t_s": 0.0, "wall_s": 0.0, "cpu_busiest_share": 0.2, "loop_lag_ms": 1.0} | seen, ServerRow)


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        ({"cpu_busiest_share": 0.97}, "server CPU at 0.97 cores"),
        ({"cpu_busiest_share": 0.97, "loop_lag_ms": 400.0}, "server CPU"),
        ({"loop_lag_ms": 400.0}, "loop lag at 400 ms"),
        ({"answer_ms": 400.0, "loop_lag_ms": None}, "loop lag at 400 ms"),
        ({"queues": {"outbox": Queue(95, 100), "log": Queue(1, 100)}}, "queue outbox at 0.95 full"),
        ({"queues": {"db_pool": Queue(10, 10), "log": Queue(1, 100)}}, "pool db_pool at 1 full"),
        ({"disk_wait_share": 0.6}, "disk at 0.6"),
        ({"machine_cpu_share": 1.0}, "machine CPU at 1 of all cores"),
    ],
)
def test_what_was_at_its_end_first_is_named(seen: dict[str, object], said: str) -> None:
    """Of the rows beside the steps: the resource that reached its end at the lowest rate, with the rate."""
    steps = [step(100, 0, server=(row(),) * 3), step(200, 0.02, server=(row(), row(**seen), row(**seen)))]
    first = first_saturated([*steps, step(300, 1, server=(row(cpu_busiest_share=1.0),) * 3)])
    assert str(first).startswith(said)
    assert "from 200/s on" in str(first)


def test_what_is_always_full_is_not_at_its_end() -> None:
    """What was full while the promise was kept hinders nobody, and hides nobody who came to his end later."""
    lines = {"market.lines": Queue(100, 100), "outbox": Queue(1, 100)}
    steps = [step(rate, 0, server=(row(queues=lines),) * 3) for rate in (100, 200)]
    assert first_saturated([*steps, step(220, 1, server=(row(queues=lines),) * 3)]) is None
    jammed = step(220, 1, server=(row(queues=lines | {"outbox": Queue(95, 100)}),) * 3)
    assert str(first_saturated([*steps, jammed])).startswith("queue outbox at 0.95 full")


def test_a_step_that_was_not_honest_accuses_nobody() -> None:
    """A machine that others filled is no resource of the target's that came to its end."""
    crowded = step(100, 0, server=(row(machine_cpu_share=1.0),) * 3, honest=False)
    first = first_saturated([crowded, step(200, 1, server=(row(cpu_busiest_share=0.97),) * 3)])
    assert str(first).startswith("server CPU")


def test_a_server_that_nobody_saw_is_not_accused() -> None:
    """Without rows, or with idle ones, the finding sends a person elsewhere."""
    assert first_saturated([step(100, 0), step(200, 1, server=(row(),))]) is None
    knee = found(wall(431.0), KneeSettings(slo_ms=100), 1)
    assert (
        "nothing that was seen of the server was at its end"
        in knee_finding(knee, KneeSettings(slo_ms=100), NONE).reason
    )


def test_a_finding_says_what_to_do() -> None:
    """A simulated server that is busy names its CPU, and the reason says what to look at."""
    finding = knee_finding(search("steady", 800, 60, 1), settings_of(800, 60), NONE)
    assert "first at its end: server CPU at" in finding.reason
    assert "profile the step that costs most" in finding.reason
