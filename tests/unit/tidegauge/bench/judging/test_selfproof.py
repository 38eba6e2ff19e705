"""When a machine may be believed, and how its power is told."""

import math
import random

import pytest

from tidegauge.bench.judging.plan import Plan
from tidegauge.bench.judging.selfproof import power, prove
from tidegauge.errors import TidegaugeError

PLAN = Plan()


def drawn(seed: int, change: float, spread: float = 0.01, pairs: int = 128) -> list[float]:
    """Log ratios of a head that is slower by `change`."""
    rng = random.Random(seed)
    return [math.log1p(change) + rng.gauss(0, spread) for _ in range(pairs)]


def test_a_machine_that_is_silent_and_sees_is_believed() -> None:
    """The base equals itself, and delta is seen."""
    proof = prove(drawn(1, 0.0), drawn(2, PLAN.delta), PLAN)
    assert (proof.ok, proof.false_alarm, proof.seen) == (True, False, True)


@pytest.mark.parametrize("change", [0.03, -0.03])
def test_a_machine_that_sees_what_is_not_there_is_not_believed(change: float) -> None:
    """A base that is slower or faster than itself spoils the run, even if the slowdown is seen."""
    proof = prove(drawn(3, change), drawn(4, PLAN.delta), PLAN)
    assert (proof.ok, proof.false_alarm, proof.seen) == (False, True, True)
    assert "than itself" in proof.reason


@pytest.mark.parametrize("slowed", [drawn(5, 0.0), drawn(6, 0.03, spread=0.3), [], [math.nan] * 8])
def test_a_machine_that_does_not_see_is_not_believed(slowed: list[float]) -> None:
    """Silence, noise, nothing measured, or no numbers: a slowdown that was not seen is not proved."""
    proof = prove(drawn(7, 0.0), slowed, PLAN)
    assert (proof.ok, proof.false_alarm, proof.seen) == (False, False, False)
    assert "was not seen" in proof.reason


@pytest.mark.parametrize("clean", [[], [0.0] * 7, [math.inf] * 8])
def test_silence_that_was_not_measured_proves_nothing(clean: list[float]) -> None:
    """A base that was never compared with itself cannot have been silent."""
    proof = prove(clean, drawn(8, PLAN.delta), PLAN)
    assert not proof.ok
    assert "not measured" in proof.reason


def test_power_grows_with_the_effect_and_is_quiet_without_one() -> None:
    """A good machine: hardly an alarm at none, nearly always seen from delta on; equal seeds give equal rows."""
    rows = power(drawn(9, 0.0), PLAN, seed=1, runs=100)
    assert [row.effect for row in rows] == [0.0, 0.01, 0.02, 0.03, 0.05, 0.10]
    assert rows[0].slower + rows[0].faster <= 0.03
    assert min(row.slower for row in rows[3:]) >= 0.95
    for row in rows:
        assert row.slower + row.faster + row.not_slower + row.undecided == pytest.approx(1)
        assert PLAN.looks[0] <= row.pairs_mean <= PLAN.pairs_max
    assert rows == power(drawn(9, 0.0), PLAN, seed=1, runs=100)
    assert rows != power(drawn(9, 0.0), PLAN, seed=2, runs=100)


def test_a_machine_that_leans_to_one_side_shows_it_in_its_false_alarms() -> None:
    """The location of the clean pairs is kept: a bias of the pairing is part of what the table tells."""
    assert power(drawn(10, 0.03, spread=0.005), PLAN, (), seed=1, runs=50)[0].slower > 0.9


def test_effects_are_fractions_of_the_base() -> None:
    """Exactly `effect_min` on pairs that do not scatter is not more than it."""
    assert power([0.0] * 8, PLAN, (PLAN.effect_min,), seed=1, runs=5)[1].not_slower == 1


@pytest.mark.parametrize(
    ("clean", "runs", "match"), [([0.0] * 7, 10, "7 clean"), ([math.nan] * 8, 10, "8 clean"), ([0.0] * 8, 0, "0 runs")]
)
def test_a_table_of_nothing_is_refused(clean: list[float], runs: int, match: str) -> None:
    """Too few pairs, pairs that are no numbers, or no runs: one sentence and a remedy."""
    with pytest.raises(TidegaugeError, match=match):
        power(clean, PLAN, seed=1, runs=runs)
