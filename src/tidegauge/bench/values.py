"""What a benchmark says of itself: memory peaks (`peakmem_`, `mem_`) and counts (`track_`), on both sides.

    base, head, base, head, … a fresh process each ─▶ Values ─▶ judge_values ─▶ ValueJudgement

asv's own reading of such a value is that less is better. Every run of a side has another layout and another hash seed;
what is said holds for the least favourable runs, so that what scatters by itself is undecided rather than wrong.
"""

from __future__ import annotations

import math
import random
import time
from pathlib import Path

import msgspec

from tidegauge.bench.judging.decide import Outcome
from tidegauge.bench.processes.conversation import WorkerError
from tidegauge.bench.processes.layout import Layout
from tidegauge.bench.processes.sides import folder_of, worker_of
from tidegauge.bench.suites.model import Benchmark, Side

RUNS = 3


class Values(msgspec.Struct, frozen=True, kw_only=True):
    """Without values `error` or `skipped` says why."""

    benchmark: str
    base: tuple[float, ...] = ()
    head: tuple[float, ...] = ()
    seconds: float = 0.0
    error_side: str = ""
    error: str = ""
    skipped: str = ""


class ValueJudgement(msgspec.Struct, frozen=True, kw_only=True):
    """`ratio` is head to base, `low` and `high` the extremes of the runs; None where the base is zero."""

    outcome: Outcome
    reason: str
    ratio: float | None = None
    low: float | None = None
    high: float | None = None


def read_values(benchmark: Benchmark, base: Side, head: Side, *, seed: int, scratch: Path) -> Values:
    """Never raises for what a suite does."""
    begin_s = time.monotonic()
    rng = random.Random(f"{seed} {benchmark.name}")
    found: dict[str, list[float]] = {"base": [], "head": []}
    values = Values(benchmark=benchmark.name)
    for _ in range(RUNS):
        layout = Layout.drawn(rng)
        for name, side in (("base", base), ("head", head)):
            try:
                found[name].append(read_value(benchmark, side, name, layout=layout, scratch=scratch))
            except WorkerError as error:
                return msgspec.structs.replace(values, error_side=name, error=error.sentence)
            if math.isnan(found[name][-1]):
                return msgspec.structs.replace(values, skipped=name)
    seconds = round(time.monotonic() - begin_s, 3)
    return msgspec.structs.replace(values, base=tuple(found["base"]), head=tuple(found["head"]), seconds=seconds)


def read_value(benchmark: Benchmark, side: Side, name: str, *, layout: Layout, scratch: Path) -> float:
    """What the benchmark returns on a side, in a fresh process; NaN where it is skipped."""
    with (
        folder_of(benchmark, side, name, scratch) as folder,
        worker_of(benchmark, side, name, folder, layout) as worker,
    ):
        if worker.wait_until_ready()["skipped"]:
            return math.nan
        return float(worker.ask("value")["value"])


def judge_values(values: Values, unit: str, delta: float) -> ValueJudgement:
    """More than `delta` more is a fail, whichever runs are compared."""
    if values.error:
        return ValueJudgement(outcome=Outcome.NOT_MEASURED, reason=f"it failed on {values.error_side}: {values.error}")
    if values.skipped:
        return ValueJudgement(outcome=Outcome.NOT_MEASURED, reason=f"{values.skipped} skips it")
    base, head = sorted(values.base), sorted(values.head)
    told = f"{_told(base)} and {_told(head)} {unit}".rstrip()
    if base[0] <= 0:
        outcome = Outcome.SLOWER if head[0] > base[-1] else Outcome.NOT_SLOWER
        if head[0] <= base[-1] < head[-1]:
            outcome = Outcome.UNDECIDED
        return ValueJudgement(outcome=outcome, reason=f"{told}: a base of zero or less has no ratio")
    low, high = head[0] / base[-1], head[-1] / base[0]
    ratio = head[len(head) // 2] / base[len(base) // 2]
    if low > 1 + delta:
        outcome, verdict = Outcome.SLOWER, f"more than {delta:.1%} more in every run"
    elif high < 1 - delta:
        outcome, verdict = Outcome.FASTER, f"more than {delta:.1%} less in every run"
    elif high <= 1 + delta:
        outcome, verdict = Outcome.NOT_SLOWER, f"no more than {delta:.1%} more in any run"
    else:
        outcome, verdict = Outcome.UNDECIDED, "undecided: the runs of one side lie too far apart"
    return ValueJudgement(outcome=outcome, reason=f"{told}, {verdict}", ratio=ratio, low=low, high=high)


def _told(ascending: list[float]) -> str:
    least, most = ascending[0], ascending[-1]
    return f"{least:.6g}" if least == most else f"{least:.6g} to {most:.6g}"
