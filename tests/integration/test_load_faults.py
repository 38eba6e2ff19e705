"""Real Locust with something wrong with it: the run says so and is not measured, whatever the target did."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from support import generator_faults
from support.generator_faults import KINDS
from tidegauge.verdicts import Verdict


def assert_not_measured(kind: str, size: float, folder: Path) -> None:
    outcome = generator_faults.run(folder, kind, size, seed=1)
    said = {question: outcome.finding(f"load/generator/{question}") for question in KINDS[kind].questions}
    assert Verdict.NOT_MEASURED in {finding.verdict for finding in said.values()}, said
    assert outcome.finding("load/look/p99_due_ms").verdict is Verdict.NOT_MEASURED
    assert outcome.status == 4, outcome.output


@pytest.mark.parametrize("kind", ["small pool", "late schedule", "slow resolver"])
def test_the_least_fault_that_must_be_seen_leaves_nothing_measured(tmp_path: Path, kind: str) -> None:
    """Its own question finds it, the promise counts for nothing, and the exit status is 4."""
    smallest, largest = KINDS[kind].smallest, KINDS[kind].largest
    assert_not_measured(kind, largest if kind == "small pool" else smallest, tmp_path)


@pytest.mark.load
@pytest.mark.parametrize("kind", sorted(KINDS.keys() - {"nothing"}))
def test_a_fault_of_any_size_leaves_nothing_measured(tmp_path: Path, kind: str) -> None:
    """Each kind, of a random size: its own question finds it, the promise counts for nothing, the exit status is 4."""
    assert_not_measured(kind, generator_faults.size_of(kind, random.Random(kind)), tmp_path)
