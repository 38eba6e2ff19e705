"""Peaks and counts of both sides: what may be said of figures that scatter, or do not."""

from __future__ import annotations

import pytest

from tidegauge.bench.judging.decide import Outcome
from tidegauge.bench.values import Values, judge_values


@pytest.mark.parametrize(
    ("base", "head", "outcome"),
    [
        ((100, 101, 100), (100, 101, 101), Outcome.NOT_SLOWER),
        ((100, 101, 100), (120, 121, 122), Outcome.SLOWER),
        ((100, 101, 100), (80, 81, 82), Outcome.FASTER),
        ((100, 110, 100), (104, 108, 112), Outcome.UNDECIDED),
        ((7, 7, 7), (8, 8, 8), Outcome.SLOWER),
        ((0, 0, 0), (0, 0, 0), Outcome.NOT_SLOWER),
        ((0, 0, 0), (1, 1, 1), Outcome.SLOWER),
        ((0, 0, 0), (0, 1, 1), Outcome.UNDECIDED),
    ],
)
def test_what_is_said_holds_for_the_least_favourable_runs(
    base: tuple[float, ...], head: tuple[float, ...], outcome: Outcome
) -> None:
    """More in every run is a fail, in none a pass, and what overlaps the bound is undecided; zero has no ratio."""
    judgement = judge_values(Values(benchmark="peakmem_it", base=base, head=head), "bytes", 0.03)
    assert judgement.outcome is outcome
    assert (judgement.ratio is None) == (min(base) == 0)
    assert "bytes" in judgement.reason


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (Values(benchmark="b", error_side="head", error="MemoryError: x"), "it failed on head: MemoryError: x"),
        (Values(benchmark="b", skipped="base"), "base skips it"),
    ],
)
def test_what_has_no_value_is_not_measured(values: Values, reason: str) -> None:
    """The sentence says which side, and why."""
    judgement = judge_values(values, "", 0.03)
    assert (judgement.outcome, judgement.reason) == (Outcome.NOT_MEASURED, reason)
