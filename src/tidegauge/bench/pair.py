"""One ping-pong pair: a fresh process a side on one core, slices in turn, one number in the end.

    base ──Worker─┐  A B B A A B B A … slices of 5 to 20 ms,  ┌─ CPU a call, two slices a turn
                  ├─ more of them while they disagree ───────▶┤
    head ──Worker─┘                                           └─ median of log(head / base): the unit

Both sides live through the same seconds on the same core, so that what the machine does to one it does to
the other; which side begins is drawn from the seed and turned round in the next pair. The layout
differs from pair to pair, because it outlasts whatever a process does, and is equal on both sides of one (`layout`).

A pair never raises for what a suite does: errors, time-outs and deaths come back as `error`, with the side.
Each worker lives under `tidegauge.guard`, which ends it and all that it started when we stop or are killed.
"""

import contextlib
import math
import os
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from tidegauge.bench.client import Worker, WorkerError
from tidegauge.bench.layout import Layout
from tidegauge.bench.model import Benchmark, Side
from tidegauge.bench.sides import SIDES, folder_of, of_both, who, worker_of
from tidegauge.machine import waited_us

SPREAD_PER_DEVIATION = 1 / statistics.NormalDist().inv_cdf(0.75)  # the spread, by the median deviation
MEDIAN_PER_MEAN = math.sqrt(math.pi / 2)  # the error of a median, by that of a mean


class PairSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`slices` a side, or as many more up to `slices_max` as bring the error of the log ratio down to `error_max`.

    After `measure_s_max` a pair ends with at least `slices_min`.

    Many short slices rather than few long ones: on two busy cores the spread of one log ratio fell from 2.9 % to 1.9 %.
    Where a benchmark misses the caches, its slices differ by 10 to 14 % whenever others use the machine, and hardly
    because processes do: 24 slices rather than 12 made the spread of a pair 1.6 to 3.2 % where it was 3.5 to 5.3 %. The
    bound is 24 because time also has to buy pairs: fewer than 12 of them call nothing slower in a suite of four.
    """

    slice_ms: float = 5.0
    slices: int = 12
    slices_max: int = 24
    slices_min: int = 2
    error_max: float = 0.01
    measure_s_max: float = 2.0


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """What one pair says; without a log ratio `error` or `skipped` says why, and of which side."""

    benchmark: str
    index: int
    base_min_ns: float | None = None
    head_min_ns: float | None = None
    log_ratio: float | None = None
    base_wall_min_ns: float | None = None
    head_wall_min_ns: float | None = None
    wall_log_ratio: float | None = None
    slices: int = 0
    number: int = 0
    load: float = 0.0
    pressure: float | None = None  # the share of its time in which some process of the machine waited for a core
    seconds: float = 0.0
    first: str = "base"
    error_side: str = ""
    error: str = ""
    skipped: str = ""


class _Slices(msgspec.Struct, frozen=True):
    """Nanoseconds a call, slice by slice."""

    cpu_ns: list[float]
    wall_ns: list[float]


class PairJob(msgspec.Struct, frozen=True, kw_only=True):
    """Which pair: number `index` of a benchmark. Head computes for nothing in a share of its time."""

    benchmark: Benchmark
    base: Side
    head: Side
    index: int
    head_slowdown: float = 0.0

    def side(self, name: str) -> Side:
        return self.base if name == SIDES[0] else self.head

    def slowdown(self, name: str) -> float:
        return 0.0 if name == SIDES[0] else self.head_slowdown


class Bench(msgspec.Struct, frozen=True, kw_only=True):
    """What all pairs of a run have in common; they are measured on `core`, or anywhere."""

    seed: int
    core: int | None
    scratch: Path
    settings: PairSettings = PairSettings()


class StartedPair:
    """Both sides being set up, each in a process of its own: `finish` it or `abandon` it."""

    def __init__(self, job: PairJob, bench: Bench) -> None:
        self._settings = bench.settings
        self._stack = contextlib.ExitStack()
        self._workers: dict[str, Worker] = {}
        seed, name, index = bench.seed, job.benchmark.name, job.index
        # Drawn for two pairs at once and turned round in the second: the order is balanced at every even number.
        order = SIDES if random.Random(f"{seed} {name} {index // 2}").random() < 0.5 else SIDES[::-1]
        self._order = order[::-1] if index % 2 else order
        self._pair = Pair(benchmark=name, index=index, load=os.getloadavg()[0], first=self._order[0])
        layout = Layout.drawn(random.Random(f"{seed} {name} {index}"))
        try:
            self._start(job, bench, layout)
        except WorkerError as error:
            self._fail(error)
        except BaseException:
            self._stack.close()
            raise

    def finish(self, meanwhile: Callable[[], None] = lambda: None) -> Pair:
        """Measure, once both are ready; `meanwhile` is called between, when only one core is busy."""
        with self._stack:
            if not self._pair.error:
                try:
                    ready = of_both(lambda name: self._workers[name].wait_until_ready())
                    meanwhile()
                    self._pair = self._measured(ready)
                except WorkerError as error:
                    self._fail(error)
        return self._pair

    def abandon(self) -> None:
        """End both sides."""
        self._stack.close()

    def _start(self, job: PairJob, bench: Bench, layout: Layout) -> None:
        def start(name: str) -> Worker:
            folder = self._stack.enter_context(folder_of(job.benchmark, job.side(name), name, bench.scratch))
            side, slowdown = job.side(name), job.slowdown(name)
            worker = worker_of(job.benchmark, side, name, folder, layout, core=bench.core, slowdown=slowdown)
            return self._stack.enter_context(worker)

        self._workers = of_both(start)
        for worker in self._workers.values():
            self._stack.callback(worker.hang_up)  # both, before either is waited for

    def _measured(self, ready: dict[str, dict[str, Any]]) -> Pair:
        skipped = [name for name in SIDES if ready[name]["skipped"]]
        if skipped:
            return msgspec.structs.replace(self._pair, skipped=who(skipped))
        return _measure(self._pair, self._workers, self._order, self._settings)

    def _fail(self, error: WorkerError) -> None:
        self._pair = msgspec.structs.replace(self._pair, error_side=error.side, error=error.sentence)


def _measure(pair: Pair, workers: dict[str, Worker], order: tuple[str, ...], settings: PairSettings) -> Pair:
    plans = of_both(lambda name: workers[name].ask("calibrate", round(settings.slice_ms * 1e6)))
    # Equal on both sides: the least of means over different numbers of calls is not the same figure.
    number, batches = (min(int(plan[key]) for plan in plans.values()) for key in ("number", "batches"))
    slices = {name: _Slices([], []) for name in SIDES}
    waited_from_us, began_s = waited_us(), time.monotonic()
    deadline_s = time.monotonic() + settings.measure_s_max
    for turn in range(settings.slices_max):
        if turn >= settings.slices_min and time.monotonic() > deadline_s:
            break
        # At even turns only: each side has then been first as often as the other.
        if turn >= settings.slices and turn % 2 == 0 and _is_settled(slices, settings.error_max):
            break
        for name in order if turn % 2 == 0 else order[::-1]:
            answer = workers[name].ask("run", number, batches)
            slices[name].cpu_ns.append(answer["cpu_ns"])
            slices[name].wall_ns.append(answer["wall_ns"])
    waited = None if waited_from_us is None else ((waited_us() or 0) - waited_from_us) / 1e6
    pressure = None if waited is None else waited / max(time.monotonic() - began_s, 1e-6)
    base_ns, head_ns = (min(slices[name].cpu_ns) for name in SIDES)
    base_wall_ns, head_wall_ns = (min(slices[name].wall_ns) for name in SIDES)
    blind = [name for name, least_ns in (("base", base_ns), ("head", head_ns)) if least_ns <= 0]
    if blind:
        raise WorkerError(who(blind), "it used less CPU time than the clock can see")
    for worker in workers.values():
        worker.ask("stop")
    return msgspec.structs.replace(
        pair,
        base_min_ns=base_ns,
        head_min_ns=head_ns,
        log_ratio=_typical_ratio(slices["base"].cpu_ns, slices["head"].cpu_ns),
        base_wall_min_ns=base_wall_ns,
        head_wall_min_ns=head_wall_ns,
        wall_log_ratio=_typical_ratio(slices["base"].wall_ns, slices["head"].wall_ns),
        pressure=pressure,
        slices=len(slices["base"].cpu_ns),
        number=number * batches,
    )


def _is_settled(slices: dict[str, _Slices], error_max: float) -> bool:
    """Whether more turns are of little use. It asks how far they scatter, not where they lie: no side gains by it."""
    base_ns, head_ns = (slices[name].cpu_ns for name in SIDES)
    if min(*base_ns, *head_ns) <= 0:
        return True  # what the clock cannot see does not become clearer
    return _error(_log_ratios(base_ns, head_ns)) <= error_max


def _error(log_ratios: list[float]) -> float:
    """The standard error of their median, if they were normal, by what outliers do not move."""
    median = statistics.median(log_ratios)
    deviation = statistics.median(abs(value - median) for value in log_ratios)
    return SPREAD_PER_DEVIATION * MEDIAN_PER_MEAN * deviation / math.sqrt(len(log_ratios))


def _log_ratios(base_ns: list[float], head_ns: list[float]) -> list[float]:
    """Of each turn."""
    return [math.log(head / base) for base, head in zip(base_ns, head_ns, strict=True)]


def _typical_ratio(base_ns: list[float], head_ns: list[float]) -> float:
    """The median over the turns of log(head / base).

    Slices of one turn are neighbours in time: what the machine does to both cancels, a mode that it falls into for
    some slices too. Where a benchmark misses the caches the least slices of both sides spread by 9 %, this by 3 %.
    """
    return statistics.median(_log_ratios(base_ns, head_ns))
