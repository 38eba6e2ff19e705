"""One prepared benchmark inside a worker: how a call of it is made, timed, counted and profiled.

    worker: run, calibrate, count, profile ─▶ Subject ─▶ batches of calls between two readings of a clock

What asv promises a suite holds here: `setup` runs again before each timed call, or before each batch where
the suite says `number`; without setup hooks the calls of a batch are as many as fill the slice; garbage
collection is off inside a slice unless setup turns it on. A coroutine function is awaited, in one event
loop a slice; the code that a `timeraw_` benchmark returns runs in a process of its own, start-up included.

It is loaded as a file by `worker`, in the Python of the commit that is measured, and uses the standard library alone.
"""

import functools
import gc
import importlib
import inspect
import itertools
import json
import os
import resource
import sys
import textwrap
import time
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing costs more than it says here, in a process that is started for every pair
    from collections.abc import Callable
    from typing import Any

# A slice that waits rather than computes is long enough when its wall time is this many slices.
WALL_PER_SLICE_MAX = 20
BATCHES = 5  # of a slice, where the suite leaves us the choice
CALIBRATIONS_MAX = 60
GROWTH_MAX = 10.0
GROWTH_MIN = 1.1
WARM_UPS = 2  # before what is counted: Python specializes code, and libraries fill caches, in the first calls
STACKS_NAME = "tidegauge-stacks.jsonl"


class Subject:
    """The benchmark, and how one call of it is made and timed."""

    def __init__(self, benchmark: "Any", slowdown: float) -> None:
        self.benchmark = benchmark
        self._slowdown = slowdown
        self._is_fresh = True  # set up, not yet called
        self.setup_ns = 0  # CPU, when it was last set up between two batches
        self._has_setup = bool(getattr(benchmark, "_setups", ()))
        self._number = int(getattr(benchmark, "number", 0)) or int(self._has_setup)
        build = getattr(benchmark, "_build_params", None)  # asv_runner before 0.3 has the cache among the parameters
        params = build() if build else getattr(benchmark, "_current_params", ())
        self._call: Callable[[], Any] = functools.partial(benchmark.func, *params)
        self._clock: Callable[[], int] = time.process_time_ns
        self._is_async = inspect.iscoroutinefunction(benchmark.func)
        if type(benchmark).__name__ == "TimerawBenchmark":
            self._call = functools.partial(run_code, self._call, getattr(benchmark, "_timeraw_env", None))
            self._clock = children_ns
            self._number = 1

    def run(self, number: int, batches: int) -> "tuple[int, int]":
        """The least CPU and wall nanoseconds of `batches` batches of `number` calls, without what sets them up.

        The least, not the sum: a slice begins with the caches and predictors that the other side has left, and what
        warming them costs, a millisecond at times, is the same for both sides and would hide a part of any change.
        """
        cpu_ns = wall_ns = 0
        collects = gc.isenabled()
        gc.disable()
        try:
            for _ in range(batches):
                self._renew()
                self._is_fresh = False
                batch_cpu_ns, batch_wall_ns = self._batch(number)
                if self._slowdown:
                    spun_ns = spin(batch_cpu_ns * self._slowdown)
                    batch_cpu_ns += spun_ns
                    batch_wall_ns += spun_ns
                cpu_ns = min(cpu_ns or batch_cpu_ns, batch_cpu_ns)
                wall_ns = min(wall_ns or batch_wall_ns, batch_wall_ns)
        finally:
            if collects:
                gc.enable()
        return cpu_ns, wall_ns

    def calibrate(self, slice_ns: int) -> "tuple[int, int, int]":
        """How many calls make a slice, and how long one takes; what sets them up counts, so that it stays short."""
        number, batches = self._number or 1, 1
        if not self._number:
            slice_ns //= BATCHES
        self.run(number, batches)  # fills caches, compiles what compiles itself
        wall_ns = 0
        for _ in range(CALIBRATIONS_MAX):
            cpu_ns, wall_ns = self._clock(), time.perf_counter_ns()
            self.run(number, batches)
            cpu_ns, wall_ns = self._clock() - cpu_ns, time.perf_counter_ns() - wall_ns
            filled = max(cpu_ns / slice_ns, wall_ns / (slice_ns * WALL_PER_SLICE_MAX))
            if filled >= 1 / GROWTH_MIN:
                break
            growth = min(GROWTH_MAX, max(GROWTH_MIN, 1 / max(filled, 1e-9)))
            if self._number:
                batches = max(batches + 1, int(batches * growth))
            else:
                number = max(number + 1, int(number * growth))
        return (number, batches, wall_ns) if self._number else (number, BATCHES, wall_ns * BATCHES)

    def value(self) -> float:
        """What the benchmark says of itself, through asv's own way of running it."""
        return float(self.benchmark.do_run())

    def count(self, number: int, batches: int, meter: "Any", make_room: "Callable[[], Any]") -> None:
        """Has callgrind count one batch of no call, which is what switching on and off costs, and those of the calls.

        What is not counted is kept from callgrind as far as it can be: below it everything takes ten times as long.
        """
        if self._clock is children_ns:
            raise NotImplementedError("a timeraw_ benchmark runs in a process of its own, which is not counted")
        for _ in range(WARM_UPS):
            self.run(number, batches)
        clock, self._clock = self._clock, meter.toggle
        self._batch(0)
        self._renew()
        room = make_room()
        meter.start()
        meter.zero()
        self._batch(0)
        meter.dump()
        self.run(number, batches)
        meter.dump()
        meter.stop()
        del room
        self._clock = clock

    def profile(self, number: int, batches: int, stacks: "Any") -> None:
        """Leaves the stacks of as many batches in a file: they can be longer than an answer may be."""
        for _ in range(WARM_UPS):
            self.run(number, batches)
        clock, self._clock = self._clock, stacks.toggle
        self.run(number, batches)
        self._clock = clock
        Path(STACKS_NAME).write_text("".join(json.dumps(row) + "\n" for row in stacks.rows()))

    def _renew(self) -> None:
        """What `setup` prepares is there for the next batch."""
        if self._has_setup and not self._is_fresh:
            since_ns = time.process_time_ns()
            self.benchmark.do_teardown()
            self.benchmark.do_setup()
            self.setup_ns = time.process_time_ns() - since_ns
            self._is_fresh = True

    def _batch(self, number: int) -> "tuple[int, int]":
        if self._is_async:
            asyncio = importlib.import_module("asyncio")
            cpu_ns, wall_ns = asyncio.run(self._await(number))
            return int(cpu_ns), int(wall_ns)
        call, clock = self._call, self._clock
        calls = itertools.repeat(None, number)
        wall_from, cpu_from = time.perf_counter_ns(), clock()
        for _ in calls:
            call()
        return clock() - cpu_from, time.perf_counter_ns() - wall_from

    async def _await(self, number: int) -> "tuple[int, int]":
        call, clock = self._call, self._clock
        calls = itertools.repeat(None, number)
        wall_from, cpu_from = time.perf_counter_ns(), clock()
        for _ in calls:
            await call()
        return clock() - cpu_from, time.perf_counter_ns() - wall_from


def spin(cpu_ns: float) -> int:
    """Computes nothing for so long: once a slice, so that the reading of the clock is no part of the size."""
    since = time.process_time_ns()
    while (spun_ns := time.process_time_ns() - since) < cpu_ns:
        pass
    return spun_ns


def children_ns() -> int:
    """CPU time of the processes that we started and that ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return round((used.ru_utime + used.ru_stime) * 1e9)


def run_code(make: "Callable[[], Any]", env: "dict[str, str] | None") -> None:
    """One call of a `timeraw_` benchmark: the code that it returns, in a fresh Python."""
    code = make()
    statement, setup = code if isinstance(code, tuple) else (code, "")
    subprocess = importlib.import_module("subprocess")
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(setup) + "\n" + textwrap.dedent(statement)],
        check=True,
        env={**os.environ, **(env or {})},
    )
