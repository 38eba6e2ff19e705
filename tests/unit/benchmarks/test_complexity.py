"""The slope of a cost is read right, says how sure it is, and every case has one to be held to."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import complexity
from cases import CASES, Case, Line, Work
from tidegauge.budgets import Budgets
from tidegauge.records import Budget
from tidegauge.tomlfile import TomlFile
from tidegauge.verdicts import Verdict

SIZES = (100, 300, 1_000, 3_000, 10_000)
CASE = replace(CASES["kernel.bus"], line=Line(1, SIZES))


def budget(most: float) -> Budgets:
    return Budgets({complexity.budget_of(CASE): Budget(max=most, unit="1", why="a test's")})


def costs(of: Callable[[int], float], *, noise: float = 0.0, seed: int = 1) -> list[float]:
    rng = random.Random(seed)
    return [of(size) * math.exp(rng.gauss(0.0, noise)) for size in SIZES]


@pytest.mark.parametrize(
    ("of", "exponent"),
    [
        (lambda _: 3e-6, 0.0),
        (lambda n: 2e-6 * n, 1.0),
        (lambda n: 1e-9 * n**1.5, 1.5),
        (lambda n: 1e-9 * n * n, 2.0),
    ],
    ids=["constant", "n", "n^1.5", "n^2"],
)
def test_a_power_is_read_back(of: Callable[[int], float], exponent: float) -> None:
    """A cost that is a power of the size gives its exponent, and no doubt about it."""
    found = complexity.fit(SIZES, costs(of))
    assert [found.exponent, found.low, found.high, found.last_step] == pytest.approx([exponent] * 4, abs=1e-9)


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0])
def test_the_interval_holds_what_is_true(exponent: float) -> None:
    """With five per cent of noise the interval misses the true exponent as seldom as it says."""
    found = [complexity.fit(SIZES, costs(lambda n: float(n) ** exponent, noise=0.05, seed=seed)) for seed in range(400)]
    missed = sum(not each.low <= exponent <= each.high for each in found)
    assert missed / len(found) == pytest.approx(1 - complexity.CONFIDENCE, abs=0.03)


@pytest.mark.parametrize(
    ("of", "verdict"),
    [
        (lambda n: 2e-6 * n, Verdict.PASS),
        (lambda n: 1e-6 * n * math.log(n), Verdict.PASS),
        (lambda n: 1e-3 + 2e-6 * n, Verdict.PASS),
        (lambda n: 1e-9 * n * n, Verdict.FAIL),
        (lambda n: 1e-6 * n + 1e-9 * n * n, Verdict.UNDECIDED),
    ],
    ids=["n", "n log n", "a fixed part", "n^2", "n that becomes n^2"],
)
def test_verdicts(of: Callable[[int], float], verdict: Verdict) -> None:
    """Work that grows as n passes with its logarithm and its fixed part; n^2 fails, and what bends is undecided."""
    finding = complexity.judge(CASE, costs(of), budget(1.3))
    assert finding.verdict is verdict, finding


def test_noise_is_not_decided() -> None:
    """Costs that scatter too much to tell say so."""
    noisy = [cost * (5.0 if place % 2 else 1.0) for place, cost in enumerate(costs(lambda n: n))]
    assert complexity.judge(CASE, noisy, budget(1.3)).verdict is Verdict.UNDECIDED


def test_few_sizes_are_refused() -> None:
    """Three sizes give a slope and no idea of its error."""
    with pytest.raises(ValueError, match="at least 4"):
        complexity.fit((1, 10, 100), (1.0, 10.0, 100.0))


def test_a_case_is_measured_at_each_size_and_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The least of the turns counts, and each work that was made is closed."""
    made: list[int] = []
    closed: list[int] = []

    def make(_case: Case, size: int, _seed: int) -> Work:
        made.append(size)
        return Work(run=lambda: size, facts=lambda value: value, close=lambda: closed.append(size))

    monkeypatch.setattr(Case, "make", make)
    turns = itertools.count()
    found = complexity.measure(CASE, lambda work: float(work.run()) + (next(turns) < len(SIZES)))
    assert found == [float(size) for size in SIZES]
    assert made == closed == [*SIZES] * complexity.TURNS


def test_a_run_is_undone_before_the_next() -> None:
    """Between two runs what the first one left is taken back, and the cost is that of one call."""
    told: list[str] = []
    work = Work(run=lambda: told.append("run"), facts=lambda _: None, calls=10, undo=lambda: told.append("undo"))
    assert complexity.cost_s(work) >= 0.0
    assert told[0::2] == ["run"] * len(told[0::2])
    assert told[1::2] == ["undo"] * len(told[1::2])


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_every_case_has_a_line(case: Case) -> None:
    """A case says at which sizes its growth is measured, and `tidegauge.toml` how fast it may be."""
    assert len(case.line.sizes) >= 4
    assert list(case.line.sizes) == sorted(set(case.line.sizes))
    promised = Budgets.read(TomlFile.read(complexity.FILE)).by_name[complexity.budget_of(case)]
    assert promised.max is not None
    assert case.line.exponent < promised.max <= case.line.exponent + 0.5


def test_the_file_is_ours() -> None:
    """Budgets come from the repository's own file."""
    assert Path(__file__).parents[3] / "tidegauge.toml" == complexity.FILE
