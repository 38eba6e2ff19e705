"""Whether cost grows as its work grows: a slope over sizes for each case, held against `tidegauge.toml`.

    python benchmarks/complexity.py [-k REGEX] [--json]

    CASES[...].line.sizes -> the least CPU time of one call at each -> log-log least squares -> exponent and interval
    -> "gate/pricing.slices/exponent" = { max = 1.15, unit = "1", why = "..." } -> pass, fail or undecided

The interval is that of the slope, at CONFIDENCE, from how far the sizes lie off the line: noise widens it and so does a
cost that follows no power at all, and either way a figure that straddles its budget is undecided. A cost with a fixed
part grows more gently than its work, which no budget forbids; one that bends upwards shows in the slope of
its last step, which is printed beside. Exit status: that of the worst verdict, as `tidegauge` has it.
"""

from __future__ import annotations

import argparse
import gc
import math
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from scipy.stats import t as student

sys.path.insert(0, str(Path(__file__).parent))

from cases import CASES, SEED, Case, Work
from tidegauge.budgets import Budgets
from tidegauge.errors import TidegaugeError
from tidegauge.records import Finding
from tidegauge.tomlfile import TomlFile
from tidegauge.verdicts import worst

FILE = Path(__file__).parents[1] / "tidegauge.toml"
CONFIDENCE = 0.95
TURNS = 2  # over all sizes, so that a busy minute of the machine does not become a slope
RUNS_MAX = 50
SECONDS_MAX = 0.3  # CPU time spent on one size in one turn


@dataclass(frozen=True)
class Fit:
    exponent: float
    low: float
    high: float
    last_step: float  # between the two largest sizes alone


def fit(sizes: Sequence[int], costs: Sequence[float]) -> Fit:
    """cost = a * size ** exponent, with the interval of the exponent."""
    if len(sizes) < 4:
        raise ValueError(f"{len(sizes)} sizes give a slope and no trust in it: take at least 4")
    x, y = np.log(sizes), np.log(costs)
    off = x - x.mean()
    exponent = float(off @ y / (off @ off))
    residuals = y - y.mean() - exponent * off
    freedom = len(sizes) - 2
    error = math.sqrt(float(residuals @ residuals) / freedom / float(off @ off))
    reach = float(student.ppf((1 + CONFIDENCE) / 2, freedom)) * error
    return Fit(exponent, exponent - reach, exponent + reach, float((y[-1] - y[-2]) / (x[-1] - x[-2])))


def cost_s(work: Work) -> float:
    """The least CPU time of a call; the first run fills caches, and counts only where it was long enough for all."""
    runs = [_run_s(work)]
    gc.collect()
    gc.disable()
    try:
        while sum(runs) < SECONDS_MAX and len(runs) < RUNS_MAX:
            if work.undo is not None:
                work.undo()
            runs.append(_run_s(work))
    finally:
        gc.enable()
    return min(runs) / work.calls


def _run_s(work: Work) -> float:
    began_s = time.process_time()
    work.run()
    return time.process_time() - began_s


def measure(case: Case, cost: Callable[[Work], float] = cost_s) -> list[float]:
    """What a call costs at each size of the case's line: the least of the turns."""
    turns = []
    for _ in range(TURNS):
        costs = []
        for size in case.line.sizes:
            work = case.make(size, SEED)
            try:
                costs.append(cost(work))
            finally:
                if work.close is not None:
                    work.close()
        turns.append(costs)
    return [min(each) for each in zip(*turns, strict=True)]


def judge(case: Case, costs: Sequence[float], budgets: Budgets) -> Finding:
    found = fit(case.line.sizes, costs)
    finding = budgets.judge(budget_of(case), found.exponent, "1", found.low, found.high)
    evidence = {
        "sizes": case.line.sizes,
        "cpu_us": [1e6 * each for each in costs],
        "last_step": found.last_step,
        "meant": case.line.exponent,
    }
    return msgspec.structs.replace(finding, evidence=evidence)


def budget_of(case: Case) -> str:
    return f"gate/{case.name}/exponent"


def text(finding: Finding) -> str:
    seen = finding.evidence
    costs = " ".join(f"{cost:.3g}" for cost in seen["cpu_us"])
    slope = f"{finding.value:.3f} ({finding.low:.3f} to {finding.high:.3f}), last step {seen['last_step']:.2f}"
    sizes = " ".join(map(str, seen["sizes"]))
    return f"{finding.verdict:<10} {finding.name:38} {slope}  [{finding.budget}]\n{'':11}{costs} us at {sizes}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-k", metavar="REGEX", default="", help="only the cases whose name it finds")
    parser.add_argument("--json", action="store_true", help="a finding a line, as JSON")
    options = parser.parse_args()
    try:
        wanted = re.compile(options.k)
        budgets = Budgets.read(TomlFile.read(FILE))
    except (re.error, TidegaugeError) as error:
        parser.error(str(error))
    findings = []
    for case in CASES.values():
        if wanted.search(case.name):
            finding = judge(case, measure(case), budgets)
            findings.append(finding)
            line = msgspec.json.encode(finding).decode() if options.json else text(finding)
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
    return worst(each.verdict for each in findings).exit_status


if __name__ == "__main__":
    sys.exit(main())
