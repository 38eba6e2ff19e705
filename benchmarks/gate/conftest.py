"""The gate: a case's wall time, held against its promise in `tidegauge.toml`.

    "gate/execution.condor(10)/seconds" = { max = 10, unit = "s", why = "..." }

A promise names a case and one of its sizes; the promises of an area are the tests of `test_<area>.py`. What is judged
is the median run: a promise in seconds is about what a person waits for, not about the last percent.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from cases import CASES, SEED, Case
from tidegauge.budgets import Budgets
from tidegauge.errors import TidegaugeError
from tidegauge.tomlfile import TomlFile
from tidegauge.verdicts import Verdict

ROUNDS = 5
FILE = Path(__file__).parents[2] / "tidegauge.toml"
NAME = re.compile(r"gate/(?P<case>[a-z]+\.[a-z_]+)\((?P<size>\d+)\)/seconds")


class Promise(NamedTuple):
    case: Case
    size: int
    budgets: Budgets

    def __str__(self) -> str:
        return f"{self.case.name}({self.size})"


def promises(area: str) -> list[Promise]:
    """Those of one area; each of its cases has one, at its smoke size at least."""
    try:
        budgets = Budgets.read(TomlFile.read(FILE))
    except TidegaugeError as error:
        raise pytest.UsageError(str(error)) from error
    named = [found for name in budgets.by_name if (found := NAME.fullmatch(name))]
    made = [Promise(CASES[each["case"]], int(each["size"]), budgets) for each in named if each["case"] in CASES]
    missing = {f"{case.name}({case.smoke})" for case in CASES.values() if case.area == area} - set(map(str, made))
    if missing:
        raise pytest.UsageError(f'{FILE.name} lacks "gate/{min(missing)}/seconds"; add it under [budgets]')
    return [each for each in made if each.case.area == area]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "promise" in metafunc.fixturenames:
        area = metafunc.definition.path.stem.removeprefix("test_")
        metafunc.parametrize("promise", promises(area), ids=str)


@pytest.fixture
def hold(benchmark: Any, promise: Promise) -> Callable[[], None]:  # Any: pytest-benchmark says no types
    """Times the promise's case and judges it; a result that is not the recorded one is wrong, however fast it came."""

    def timed_and_judged() -> None:
        case = promise.case
        work = case.make(promise.size, SEED)
        try:
            if promise.size == case.smoke and case.recorded:
                assert work() == case.recorded, f"{case.name} is not right any more"
            benchmark.pedantic(work.run, rounds=ROUNDS, iterations=1, warmup_rounds=1)
        finally:
            if work.close is not None:
                work.close()
        assert benchmark.stats is not None, "pytest-benchmark is switched off: run without -n and --benchmark-disable"
        finding = promise.budgets.judge(f"gate/{promise}/seconds", benchmark.stats.stats.median, "s")
        assert finding.verdict is Verdict.PASS, f"{finding.value} s: {finding.reason}"

    return timed_and_judged
