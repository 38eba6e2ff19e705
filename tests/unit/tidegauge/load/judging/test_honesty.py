"""The generator's honesty: each thing that can be wrong with it withdraws every figure."""

import random

import msgspec
import pytest

from tidegauge.load.judging.honesty import Generator, judge, withdraw
from tidegauge.records import Finding
from tidegauge.verdicts import Verdict

HONEST = Generator(scheduled=1_000, started=1_000, lag_p99_us=900, cpu_share=0.5, in_flight=3.0, littles_law_off=0.01)
PASSED = Finding(name="load/entry/p99_due_ms", verdict=Verdict.PASS, value=3.0, unit="ms", reason="within")


def said(generator: Generator, slo_p99_ms: float | None = 10.0) -> dict[str, Verdict]:
    return {finding.name: finding.verdict for finding in judge(generator, slo_p99_ms)}


def test_an_honest_generator_passes() -> None:
    """Within every limit nothing is withdrawn."""
    assert set(said(HONEST).values()) == {Verdict.PASS}
    assert withdraw([PASSED], judge(HONEST, 10.0)) == [PASSED]


@pytest.mark.parametrize(
    ("measure", "change"),
    [
        ("lag_p99_ms", {"lag_p99_us": 1_001}),
        ("dropped", {"dropped": 1}),
        ("achieved_share", {"started": 989}),
        ("achieved_share", {"scheduled": 0, "started": 0}),
        ("cpu_share", {"cpu_share": 0.81}),
        ("littles_law", {"littles_law_off": 0.051}),
        ("workers_lost", {"workers_lost": 1}),
        ("workers_apart_share", {"workers_apart_share": 0.011}),
        ("slow_names_share", {"slow_names_share": 0.0011}),
    ],
)
def test_each_fault_withdraws_every_figure(measure: str, change: dict[str, float]) -> None:
    """One limit that does not hold leaves its finding and all others not measured, and the reason names it."""
    faulty = msgspec.structs.replace(HONEST, **change)
    verdicts = said(faulty)
    assert verdicts.pop(f"load/generator/{measure}") is Verdict.NOT_MEASURED
    assert set(verdicts.values()) == {Verdict.PASS}
    (withdrawn,) = withdraw([PASSED], judge(faulty, 10.0))
    assert withdrawn.verdict is Verdict.NOT_MEASURED
    assert measure in withdrawn.reason


def test_how_late_is_too_late_follows_the_tightest_promise() -> None:
    """A lag of 5 ms is honest beside a promise of 50 ms and beside none, and not beside one of 10 ms."""
    late = msgspec.structs.replace(HONEST, lag_p99_us=5_000)
    assert said(late, 50.0)["load/generator/lag_p99_ms"] is Verdict.PASS
    assert said(late, None)["load/generator/lag_p99_ms"] is Verdict.PASS
    assert said(late, 10.0)["load/generator/lag_p99_ms"] is Verdict.NOT_MEASURED


def test_a_hundred_faulty_generators_pass_nothing() -> None:
    """Of 100 seeded generators with a fault of any size not one leaves a figure that passes."""
    draws = random.Random(11)
    for _ in range(100):
        faults = {
            "lag_p99_us": draws.randint(1_001, 10**7),
            "dropped": draws.randint(1, 10**6),
            "started": draws.randint(0, 989),
            "cpu_share": draws.uniform(0.801, 1.2),
            "littles_law_off": draws.uniform(0.0501, 1.0),
            "workers_lost": draws.randint(1, 8),
            "workers_apart_share": draws.uniform(0.0101, 1.0),
            "slow_names_share": draws.uniform(0.00101, 1.0),
        }
        chosen = draws.sample(sorted(faults), draws.randint(1, len(faults)))
        faulty = msgspec.structs.replace(HONEST, **{name: faults[name] for name in chosen})
        assert withdraw([PASSED], judge(faulty, 10.0))[0].verdict is Verdict.NOT_MEASURED
