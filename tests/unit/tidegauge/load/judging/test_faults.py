"""A hundred seeded runs of a simulated generator, most of them with a fault of its own: none may pass for it.

Arrivals, a target and the generator's books are simulated in no time at all; what is proved is what the session makes
of the books. `tests/integration/test_load_faults.py` and `benchmarks/load/faults.py` do the same to real Locust.
"""

import heapq
import random
from collections import Counter
from collections.abc import Iterator

import msgspec
import pytest

from tidegauge.budgets import Budgets
from tidegauge.load.judging.session import BEGAN_EARLY, BEGAN_LATE, LoadSession, Plan
from tidegauge.load.times.schedule import Profile
from tidegauge.records import Budget
from tidegauge.verdicts import Verdict, worst

RATE, SECONDS = 100, 20
PROMISED_MS = 50.0
# A target that keeps its promise, and one that does not.
QUICK_S, SLOW_S = 0.010, 0.080


class Fault(msgspec.Struct, frozen=True):
    """What is wrong with the generator, each size 0 where it is not."""

    late_s: float = 0.0  # the loop stands still for so long, in the middle of the run
    starved_s: float = 0.0  # of each second it has no core for so long
    places: int = 1_000_000
    busy: float = 0.3  # of its core
    killed_at_s: float = SECONDS  # one of four workers, with what it had not handed over
    apart_s: float = 0.0  # how much later one worker began
    look_up_s: float = 0.0  # what each new connection waits for a name
    lost_share: float = 0.0  # of the answers, never timed


NONE = Fault()
# The smallest size of each fault that must be seen here, and the largest.
SIZES: dict[str, tuple[float, float]] = {
    "late_s": (0.25, 5.0),
    "starved_s": (0.03, 0.9),
    "places": (1, 2),
    "busy": (0.81, 1.0),
    "killed_at_s": (0.5, SECONDS - 0.5),
    "apart_s": (0.21, 5.0),
    "look_up_s": (0.006, 2.0),
    "lost_share": (0.10, 0.9),
}


def started_s(due_s: float, fault: Fault) -> float:
    """When the generator comes to what is due."""
    middle_s = SECONDS / 2
    if middle_s <= due_s < middle_s + fault.late_s:
        return middle_s + fault.late_s
    return max(due_s, int(due_s) + fault.starved_s)


def simulate(fault: Fault, service_s: float, seed: int) -> LoadSession:
    """The books of one run."""
    draws = random.Random(seed)
    now = [0.0]
    session = LoadSession(clock=lambda: now[0])
    budgets = Budgets({"load/entry/p99_due_ms": Budget(max=PROMISED_MS, unit="ms", why="w")})
    session.begin(Plan(budgets=budgets, profile=Profile.constant(RATE, SECONDS), warm_up_s=0), started_s=0.0)
    session.workers = {f"worker {number}": number > 0 or fault.killed_at_s == SECONDS for number in range(4)}
    session.peak("generator/cpu_share", fault.busy)
    session.peak(BEGAN_LATE, fault.apart_s)
    session.peak(BEGAN_EARLY, 0.0)
    flying: list[float] = []
    connections = 0
    for number in range(RATE * SECONDS):
        due_s = number / RATE
        if number % 4 == 0 and due_s >= fault.killed_at_s - 1:
            continue
        session.count("arrivals/scheduled")
        began_s = started_s(due_s, fault)
        while flying and flying[0] <= began_s:
            heapq.heappop(flying)
        if len(flying) >= fault.places:
            session.count("arrivals/dropped")
            continue
        if len(flying) >= connections:
            connections += 1
            took_s = fault.look_up_s + service_s
            session.count("names/slow", fault.look_up_s * 1e3 > PROMISED_MS / 10)
        else:
            took_s = service_s
        took_s *= draws.uniform(0.9, 1.1)
        heapq.heappush(flying, began_s + took_s)
        session.count("arrivals/started", began_s <= SECONDS)
        session.record("entry", "lag", int((began_s - due_s) * 1e6), "steady")
        session.count("flight/pool_us", int(took_s * 1e6))
        if draws.random() >= fault.lost_share:
            session.count("flight/clocks_us", int(took_s * 1e6))
            session.record("GET |entry", "service", int(took_s * 1e6), "steady")
            session.record("entry", "workflow", int((began_s + took_s - due_s) * 1e6), "steady")
    now[0] = session.ended_s = float(SECONDS)
    session.tick()
    return session


def cases() -> Iterator[tuple[int, str, Fault, float]]:
    """Seed, what is wrong, how much, and the target's own time."""
    for seed in range(100):
        draws = random.Random(seed)
        kind = draws.choice(["nothing", *SIZES])
        if kind == "nothing":
            fault = NONE
        else:
            smallest, largest = SIZES[kind]
            size = draws.randint(1, 2) if kind == "places" else draws.uniform(smallest, largest)
            fault = msgspec.structs.replace(NONE, **{kind: size})
        # Of a quick target one place is enough: that is no fault.
        yield seed, kind, fault, SLOW_S if kind == "places" else draws.choice([QUICK_S, SLOW_S])


def test_of_a_hundred_seeded_runs_none_passes_for_a_fault_of_its_generator() -> None:
    """With a fault of any kind and size nothing is measured; without one the target's own time decides."""
    seen: Counter[tuple[str, Verdict]] = Counter()
    for seed, kind, fault, service_s in cases():
        session = simulate(fault, service_s, seed)
        verdict = worst(finding.verdict for finding in session.verdicts())
        seen[kind, verdict] += 1
        expected = Verdict.NOT_MEASURED
        if kind == "nothing":
            expected = Verdict.PASS if service_s == QUICK_S else Verdict.FAIL
        assert verdict is expected, (seed, kind, fault, session.generator())
    assert {kind for kind, _ in seen} == {"nothing", *SIZES}
    assert seen["nothing", Verdict.PASS]
    assert seen["nothing", Verdict.FAIL]


@pytest.mark.parametrize("kind", sorted(SIZES))
def test_a_fault_too_small_to_be_seen_makes_no_slow_target_pass(kind: str) -> None:
    """Whatever the size of a fault is, a target that breaks its promise never keeps it for it."""
    for seed in range(10):
        smallest, _ = SIZES[kind]
        size = random.Random(seed).uniform(0, smallest)
        given = {
            "places": max(1, round(SLOW_S * RATE) + seed - 5),
            "killed_at_s": SECONDS - size,
        }
        fault = msgspec.structs.replace(NONE, **{kind: given.get(kind, size)})
        verdict = worst(finding.verdict for finding in simulate(fault, SLOW_S, seed).verdicts())
        assert verdict in {Verdict.FAIL, Verdict.NOT_MEASURED}
