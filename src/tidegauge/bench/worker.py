"""One side of a pair: a process that holds one prepared benchmark and times slices of it on command.

    driver ──stdin: the job as a line of JSON, then a command a line──▶ worker (the SIDE's own Python)
           ◀─stdout: a line of JSON for each of them────────────────

It is run as a file by the Python of the commit that is measured, where tidegauge is not installed: it uses
the standard library, asv_runner (which asv puts into every environment that it makes) and nothing else.
The end of stdin ends it. The suite never sees the two pipes: its stdin is empty, its stdout is stderr.

Commands, each answered by `{"error": "Type: message"}` when the suite raises:

    calibrate SLICE_NS     {"number": calls in a batch, "batches": batches in a slice of about SLICE_NS}
    run NUMBER BATCHES     {"cpu_ns": CPU a call, "wall_ns": wall a call}, each of the batch with the least
    value                  {"value": what a track_ or peakmem_ benchmark returns}
    count NUMBER BATCHES   {"calls": how many}; callgrind has dumped the batches, without their calls and with them
    profile NUMBER BATCHES {"calls": how many}, and their stacks in STACKS_NAME
    stop                   {"stopped": true} after the teardown

What asv promises a suite holds here: `setup` runs again before each timed call, or before each batch where
the suite says `number`; without setup hooks the calls of a batch are as many as fill the slice; garbage
collection is off inside a slice unless setup turns it on. A coroutine function is awaited, in one event
loop a slice; the code that a `timeraw_` benchmark returns runs in a process of its own, start-up included.
"""

import functools
import gc
import importlib
import importlib.util
import inspect
import itertools
import json
import os
import pickle
import resource
import sys
import textwrap
import time
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing costs more than it says here, in a process that is started for every pair
    from collections.abc import Callable
    from typing import Any, BinaryIO

# A slice that waits rather than computes is long enough when its wall time is this many slices.
WALL_PER_SLICE_MAX = 20
BATCHES = 5  # of a slice, where the suite leaves us the choice
CALIBRATIONS_MAX = 60
GROWTH_MAX = 10.0
GROWTH_MIN = 1.1
WARM_UPS = 2  # before what is counted: Python specializes code, and libraries fill caches, in the first calls
# Small objects in the way of all that come after them: where those lie decides how often their hashes collide.
SIZES, SHIFT = range(0, 480, 16), 7
STACKS_NAME = "tidegauge-stacks.jsonl"


def main() -> int:
    """Serves one benchmark until stdin ends."""
    folder = str(Path(__file__).resolve().parent)
    # Python puts a script's folder first: our modules must not shadow the suite's.
    sys.path[:] = [path for path in sys.path if path != folder]
    commands, replies = take_pipes()
    line = commands.readline()
    if not line:
        return 0
    job = json.loads(line)
    job["shifted"] = [bytes(size) for size in SIZES for _ in range(job.get("layout", 0) * SHIFT)]
    try:
        subject = prepare(job)
    except BaseException as error:  # noqa: BLE001 - whatever a suite raises, the other end must hear of it
        reply(replies, {"error": describe(error)})
        return 1
    reply(replies, {"skipped": subject is None})
    for command in commands:
        if subject is None:
            break
        try:
            answer = obey(subject, command.decode().split())
        except BaseException as error:  # noqa: BLE001 - as above
            answer = {"error": describe(error)}
        reply(replies, answer)
        if "stopped" in answer:
            break
    return 0


def take_pipes() -> "tuple[BinaryIO, BinaryIO]":
    """Keeps our two pipes for ourselves and leaves the suite an empty stdin and stderr as its stdout."""
    commands = os.fdopen(os.dup(0), "rb")
    replies = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return commands, replies


def reply(replies: "BinaryIO", answer: "dict[str, Any]") -> None:
    """One line; a driver that is gone ends us through SIGPIPE's exception."""
    replies.write(json.dumps(answer).encode() + b"\n")
    replies.flush()


def describe(error: BaseException) -> str:
    """The type and the message, in one line of bounded length."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:2_000]


def prepare(job: "dict[str, Any]") -> "Subject | None":
    """Imports the suite and sets the benchmark up; None when the suite skips it."""
    if job["core"] is not None and hasattr(os, "sched_setaffinity"):
        # Before any import: a library's threads inherit the core from whoever starts them.
        os.sched_setaffinity(0, {job["core"]})
    discovery = importlib.import_module("asv_runner.discovery")
    benchmark = discovery.get_benchmark_from_name(job["benchmark_dir"], job["id"])
    if benchmark.setup_cache_key is not None:
        cache = pickle.loads(Path("cache.pickle").read_bytes())  # noqa: S301 - the suite's own, made a moment ago
        if hasattr(benchmark, "set_cache"):
            benchmark.set_cache(cache)
        elif cache is not None:  # asv_runner before 0.3
            benchmark.insert_param(cache)
    return None if benchmark.do_setup() else Subject(benchmark, job["slowdown"])


def obey(subject: "Subject", command: "list[str]") -> "dict[str, Any]":
    """Carries out one command."""
    if command[0] == "run":
        number, batches = int(command[1]), int(command[2])
        cpu_ns, wall_ns = subject.run(number, batches)
        return {"cpu_ns": cpu_ns / number, "wall_ns": wall_ns / number}
    if command[0] == "calibrate":
        number, batches = subject.calibrate(int(command[1]))
        return {"number": number, "batches": batches}
    if command[0] == "value":
        return {"value": subject.value()}
    if command[0] in {"count", "profile"}:
        number, batches = int(command[1]), int(command[2])
        (subject.count if command[0] == "count" else subject.profile)(number, batches)
        return {"calls": number * batches}
    subject.benchmark.do_teardown()
    return {"stopped": True}


class Subject:
    """The benchmark, and how one call of it is made and timed."""

    def __init__(self, benchmark: "Any", slowdown: float) -> None:
        self.benchmark = benchmark
        self._slowdown = slowdown
        self._is_fresh = True  # set up, not yet called
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
                if self._has_setup and not self._is_fresh:
                    self.benchmark.do_teardown()
                    self.benchmark.do_setup()
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

    def calibrate(self, slice_ns: int) -> "tuple[int, int]":
        """How many calls make a slice; what sets them up counts, so that a slice stays short."""
        number, batches = self._number or 1, 1
        if not self._number:
            slice_ns //= BATCHES
        self.run(number, batches)  # fills caches, compiles what compiles itself
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
        return number, batches if self._number else BATCHES

    def value(self) -> float:
        """What the benchmark says of itself, through asv's own way of running it."""
        return float(self.benchmark.do_run())

    def count(self, number: int, batches: int) -> None:
        """Has callgrind count batches of no call, which are what switching on and off costs, and those of the calls."""
        if self._clock is children_ns:
            raise NotImplementedError("a timeraw_ benchmark runs in a process of its own, which is not counted")
        meter = load("meter").Meter()
        for _ in range(WARM_UPS):
            self.run(number, batches)
        clock, self._clock = self._clock, meter.toggle
        self.run(0, batches)
        meter.start()
        meter.zero()
        for calls in (0, number):
            self.run(calls, batches)
            meter.dump()
        meter.stop()
        self._clock = clock

    def profile(self, number: int, batches: int) -> None:
        """Leaves the stacks of as many batches in a file: they can be longer than an answer may be."""
        for _ in range(WARM_UPS):
            self.run(number, batches)
        stacks = load("stacks").Stacks()
        clock, self._clock = self._clock, stacks.toggle
        self.run(number, batches)
        self._clock = clock
        Path(STACKS_NAME).write_text("".join(json.dumps(row) + "\n" for row in stacks.rows()))

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


def load(name: str) -> "Any":
    """A module that lies beside this file, without its folder on the path."""
    spec = importlib.util.spec_from_file_location(f"_tidegauge_{name}", Path(__file__).with_name(f"{name}.py"))
    if spec is None or spec.loader is None:
        raise ImportError(name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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


if __name__ == "__main__":
    sys.exit(main())
