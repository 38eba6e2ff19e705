"""The gate: a case's time, held against its promises in `tidegauge.toml`.

    "gate/execution.condor(10)/cpu_seconds" = { max = 0.3, unit = "s", why = "..." }
    "gate/execution.condor(10)/seconds" = { max = 10, unit = "s", why = "..." }

A promise names a case, one of its sizes and how it is timed; what is promised of an area are the tests of
`test_<area>.py`. `cpu_seconds` is the least CPU time of a run: about what the code costs, whoever else is busy.
`seconds` is the median wall time: about what a person waits for, not about the last percent.
"""

from __future__ import annotations

import re
import sys
import time
from collections import defaultdict
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
NAME = re.compile(r"gate/(?P<case>[a-z]+\.[a-z_]+)\((?P<size>\d+)\)/(?P<measure>(?:cpu_)?seconds)")


class Promise(NamedTuple):
    case: Case
    size: int
    measures: tuple[str, ...]
    budgets: Budgets

    def __str__(self) -> str:
        return f"{self.case.name}({self.size})"


def promises(area: str) -> list[Promise]:
    """Those of one area; each of its cases promises its CPU time, at its smoke size at least."""
    try:
        budgets = Budgets.read(TomlFile.read(FILE))
    except TidegaugeError as error:
        raise pytest.UsageError(str(error)) from error
    measures: dict[tuple[str, int], list[str]] = defaultdict(list)
    for name in budgets.by_name:
        if found := NAME.fullmatch(name):
            measures[found["case"], int(found["size"])].append(found["measure"])
    for case in CASES.values():
        if case.area == area and "cpu_seconds" not in measures[case.name, case.smoke]:
            missing = f"gate/{case.name}({case.smoke})/cpu_seconds"
            raise pytest.UsageError(f'{FILE.name} lacks "{missing}"; add it under [budgets]')
    return [
        Promise(CASES[name], size, tuple(named), budgets)
        for (name, size), named in measures.items()
        if name in CASES and CASES[name].area == area
    ]


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
        cpu_s: list[float] = []

        def run() -> None:
            began_s = time.process_time()
            work.run()
            cpu_s.append(time.process_time() - began_s)

        try:
            if promise.size == case.smoke and case.recorded:
                assert work() == case.recorded, f"{case.name} is not right any more"
            benchmark.pedantic(run, rounds=ROUNDS, iterations=1, warmup_rounds=1, teardown=work.undo)
        finally:
            if work.close is not None:
                work.close()
        assert benchmark.stats is not None, "pytest-benchmark is switched off: run without -n and --benchmark-disable"
        benchmark.extra_info["cpu_s_min"] = min(cpu_s)
        taken_s = {"cpu_seconds": min(cpu_s), "seconds": benchmark.stats.stats.median}
        for measure in promise.measures:
            finding = promise.budgets.judge(f"gate/{promise}/{measure}", taken_s[measure], "s")
            assert finding.verdict is Verdict.PASS, f"{measure}: {finding.value} s: {finding.reason}"

    return timed_and_judged
