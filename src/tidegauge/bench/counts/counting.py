"""How benchmarks are counted: one after the other, all of them at one layout before the next.

    both sides, native ──size──▶ how many calls, or why none ──▶ layout 0: base and head below callgrind, at once
                                                            ├──▶ layout 1: the same, at other addresses
                                                            └──▶ … for those that do not agree ──▶ Count, each

At each layout a side has one process below callgrind, and each benchmark is a fork of it: Python and what the suite
imports are started and translated once, and what a benchmark does to its process touches no other. A `Count` is handed
on with each layout that it gains, so that a run which is killed goes on where it was.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from tidegauge.bench.counts.callgrind import Cost, Valgrind, environment
from tidegauge.bench.counts.instructions import Count, CountSettings, is_complete
from tidegauge.bench.counts.nurseries import Nurseries
from tidegauge.bench.inside.timed import WARM_UPS
from tidegauge.bench.processes.conversation import READY_S_MIN, WorkerError
from tidegauge.bench.processes.sides import SIDES, who
from tidegauge.bench.suites.model import Benchmark, Side

# How many times as long everything takes below callgrind: what cannot fit at the least of it is not tried, and what is
# tried is kept to half of its time at the most of it.
SLOWDOWN_MIN, SLOWDOWN_MAX = 40, 120
SETUP_SLOWDOWN = 8  # at the least, of what is not counted
SETUPS = WARM_UPS + 1  # at the least
SHIFT = 7  # objects of each size from one run to the next


class Counter:
    """Counts benchmarks on two sides; hands on each `Count` as it grows. Never raises for what a suite does."""

    def __init__(
        self,
        base: Side,
        head: Side,
        *,
        valgrind: Valgrind,
        scratch: Path,
        settings: Callable[[Benchmark], CountSettings],
        keep: Callable[[Count], None],
        show: Callable[[str], None],
    ) -> None:
        added = environment()
        self._sides = {side: with_environment(built, added) for side, built in (("base", base), ("head", head))}
        self._valgrind, self._scratch, self._settings = valgrind, scratch, settings
        self._keep, self._show = keep, show

    def count(self, benchmarks: Sequence[Benchmark], before: dict[str, Count]) -> None:
        """All of them, as far as they were not counted before."""
        counts = {each.name: before.get(each.name) or Count(benchmark=each.name) for each in benchmarks}
        with Nurseries(self._sides, self._scratch) as native:
            for each in benchmarks:
                if not is_complete(counts[each.name], self._settings(each)):
                    self._step(counts, each, native, self._sized)
        for run in range(max((self._settings(each).runs_max for each in benchmarks), default=0)):
            due = [each for each in benchmarks if self._is_due(counts[each.name], each, run)]
            if due:
                self._show(f"counting {len(due)} benchmarks at layout {run + 1}")
            with Nurseries(
                self._sides,
                self._scratch,
                valgrind=self._valgrind,
                modules=tuple(native.modules),
                litter=SHIFT * run,
            ) as below:
                for each in due:
                    self._step(counts, each, below, self._counted)

    def _is_due(self, counted: Count, benchmark: Benchmark, run: int) -> bool:
        return len(counted.base) == run and not is_complete(counted, self._settings(benchmark))

    def _step(
        self,
        counts: dict[str, Count],
        benchmark: Benchmark,
        nurseries: Nurseries,
        step: Callable[[Count, Benchmark, Nurseries], Count],
    ) -> None:
        started_s = time.monotonic()
        counted = step(counts[benchmark.name], benchmark, nurseries)
        seconds = round(counted.seconds + time.monotonic() - started_s, 3)
        counts[benchmark.name] = counted = msgspec.structs.replace(counted, seconds=seconds)
        self._keep(counted)

    def _sized(self, counted: Count, benchmark: Benchmark, native: Nurseries) -> Count:
        """How many calls are counted, found without callgrind; what compiles itself has then left its cache behind."""
        settings = self._settings(benchmark)
        size = f"size {round(settings.count_ms * 1e6)}"
        try:
            answers = native.ask(benchmark, size, cpu_s=max(benchmark.timeout_s, READY_S_MIN) + benchmark.timeout_s)
        except WorkerError as error:
            return msgspec.structs.replace(counted, error_side=error.side, error=error.sentence)
        if skipped := [name for name in SIDES if answers[name]["skipped"]]:
            return msgspec.structs.replace(counted, skipped=who(skipped))
        if counted.base:  # at another layout already, before it was interrupted: the calls must be as many
            return counted
        number, batches = (min(int(answer[key]) for answer in answers.values()) for key in ("number", "batches"))
        batch_s = max(answer["cpu_ns"] for answer in answers.values()) * number / 1e9
        if batch_s * SLOWDOWN_MIN > settings.run_s_max:
            calls = "a call" if number == 1 else f"{number} calls"
            unfit = f"{calls} of it need more than {batch_s * SLOWDOWN_MIN:.0f} s below callgrind"
            return msgspec.structs.replace(counted, unfit=f"{unfit}, and it has {settings.run_s_max:g} s")
        setup_s = max(answer["setup_ns"] for answer in answers.values()) / 1e9
        if setup_s * SETUPS * SETUP_SLOWDOWN > READY_S_MIN:
            unfit = (
                f"its setup needs more than {setup_s * SETUPS * SETUP_SLOWDOWN:.0f} s below callgrind, {SETUPS} times"
            )
            return msgspec.structs.replace(counted, unfit=f"{unfit}, and it has {READY_S_MIN:g} s")
        batches = max(1, min(batches, int(settings.run_s_max / 2 / max(batch_s * SLOWDOWN_MAX, 1e-9))))
        return msgspec.structs.replace(counted, number=number, batches=batches)

    def _counted(self, counted: Count, benchmark: Benchmark, below: Nurseries) -> Count:
        """Both sides once, at the same time: a count does not mind who else computes."""
        command = f"count {counted.number} {counted.batches}"
        try:
            answers = below.ask(benchmark, command, cpu_s=READY_S_MIN + 2 * self._settings(benchmark).run_s_max)
        except WorkerError as error:
            return msgspec.structs.replace(counted, base=(), head=(), unfit=_unfit(error, below))
        if skipped := [name for name in SIDES if answers[name]["skipped"]]:
            return msgspec.structs.replace(counted, base=(), head=(), unfit=f"below callgrind, {who(skipped)} skips it")
        calls = counted.number * counted.batches
        a_call: dict[str, float] = {}
        functions: dict[str, dict[str, Cost]] = {}
        for name in SIDES:
            empty, full = below.take_dumps(name, answers[name])
            a_call[name] = (full.instructions - empty.instructions * counted.batches) / calls
            functions[name] = full.functions
        return msgspec.structs.replace(
            counted,
            base=(*counted.base, a_call["base"]),
            head=(*counted.head, a_call["head"]),
            base_functions=functions["base"],
            head_functions=functions["head"],
        )


def with_environment(side: Side, added: dict[str, str]) -> Side:
    """The side with more in its environment."""
    return msgspec.structs.replace(side, env=side.env | added)


def _unfit(error: WorkerError, below: Nurseries) -> str:
    """Why callgrind could not count it; an instruction that it does not know by its bytes."""
    side = "both sides" if error.side == "both" else error.side
    if "SIGILL" in error.sentence:
        for line in "".join(map(below.said, SIDES)).splitlines():
            _, marker, unknown = line.partition("unhandled instruction bytes: ")
            if marker:
                return f"on {side} it uses an instruction that valgrind does not know ({unknown.strip()})"
        return f"on {side} it died of an illegal instruction, below valgrind only"
    of_base, _, of_head = error.sentence.removeprefix("base: ").partition("; head: ")
    return f"below callgrind, on {side}: {of_base if of_base == of_head else error.sentence}"
