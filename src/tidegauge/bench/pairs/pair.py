"""One ping-pong pair: a fresh process a side on one core, slices in turn, one number in the end.

    Generation ─┬─base─▶ Fork ─┐  A B B A A B B A … slices of a millisecond,  ┌─ CPU a call, two slices a turn
                │              ├─ more of them while they disagree ──────────▶┤
                └─head─▶ Fork ─┘                                              └─ log(head / base): the unit

Both sides live through the same seconds on the same core, so that what the machine does to one it does to
the other; which side begins is drawn from the seed and turned round in the next pair. The layout
differs from pair to pair, because it outlasts whatever a process does, and is equal on both sides of one (`layout`).

A pair never raises for what a suite does: errors, time-outs and deaths come back as `error`, with the side.
What was forked ends with its pair, and with its generation whatever it has left behind (`generations`).
"""

import contextlib
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from tidegauge.bench.pairs.slices import PairSettings, Taken, take_slices, typical
from tidegauge.bench.processes.conversation import WorkerError
from tidegauge.bench.processes.forks import Fork
from tidegauge.bench.processes.generations import Generation
from tidegauge.bench.processes.sides import SIDES, folder_of, of_both, who
from tidegauge.bench.suites.model import Benchmark, Side


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """What one pair says; without a log ratio `error` or `skipped` says why, and of which side.

    One that `closes` is none: it tells whoever resumes that a last look was taken at those before it.
    """

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
    closes: bool = False


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

    def __init__(self, job: PairJob, bench: Bench, generation: Generation) -> None:
        self._settings, self._timeout_s = bench.settings, job.benchmark.timeout_s
        self._stack = contextlib.ExitStack()
        self._forks: dict[str, Fork] = {}
        seed, name, index = bench.seed, job.benchmark.name, job.index
        # Drawn for two pairs at once and turned round in the second: the order is balanced at every even number.
        order = SIDES if random.Random(f"{seed} {name} {index // 2}").random() < 0.5 else SIDES[::-1]
        self._order = order[::-1] if index % 2 else order
        self._pair = Pair(benchmark=name, index=index, load=os.getloadavg()[0], first=self._order[0])
        self.generation = generation
        generation.take()
        self._stack.callback(generation.give_back)
        try:
            self._start(job, bench, generation)
        except WorkerError as error:
            self._fail(error)
        except BaseException:
            self._stack.close()
            raise

    def finish(
        self, meanwhile: Callable[[list[str]], None] = lambda _: None, is_awaited: Callable[[], bool] = lambda: True
    ) -> Pair:
        """Measure, once both are ready; between, when only one core is busy, `meanwhile` hears what they imported.

        `is_awaited` says whether anybody waits for its end.
        """
        with self._stack:
            if not self._pair.error:
                try:
                    ready = of_both(lambda name: self._forks[name].wait_until_ready())
                    meanwhile([module for answer in ready.values() for module in answer["modules"]])
                    self._pair = self._measured(ready, is_awaited)
                except WorkerError as error:
                    self._fail(error)
        return self._pair

    def is_sound(self) -> bool:
        """Whether both sides were forked, and from what can be."""
        with contextlib.suppress(WorkerError):
            for fork in self._forks.values():
                _ = fork.pid
        return self.generation.is_fit

    def is_ready(self) -> bool:
        """Whether both sides are set up, or have failed."""
        return all(fork.is_answering(0.0) for fork in self._forks.values())

    def abandon(self) -> None:
        """End both sides."""
        self._stack.close()

    def _start(self, job: PairJob, bench: Bench, generation: Generation) -> None:
        def start(name: str) -> Fork:
            folder = self._stack.enter_context(folder_of(job.benchmark, job.side(name), name, bench.scratch))
            nursery = generation.nursery(job.side(name))
            fork = nursery.fork(name, job.benchmark, folder, slowdown=job.slowdown(name))
            self._stack.callback(fork.close)
            return fork

        self._forks = of_both(start)
        for fork in self._forks.values():
            self._stack.callback(fork.hang_up)  # both, before either is waited for

    def _measured(self, ready: dict[str, dict[str, Any]], is_awaited: Callable[[], bool]) -> Pair:
        skipped = [name for name in SIDES if ready[name]["skipped"]]
        if skipped:
            return msgspec.structs.replace(self._pair, skipped=who(skipped))
        taken = take_slices(self._forks, self._order, self._settings, self._timeout_s, is_awaited)
        for fork in self._forks.values():
            fork.ask("stop")
        return _judged(self._pair, taken)

    def _fail(self, error: WorkerError) -> None:
        self._pair = msgspec.structs.replace(self._pair, error_side=error.side, error=error.sentence)


def _judged(pair: Pair, taken: Taken) -> Pair:
    (base_ns, base_wall_ns), (head_ns, head_wall_ns) = (
        (min(taken.slices[name].cpu_ns), min(taken.slices[name].wall_ns)) for name in SIDES
    )
    blind = [name for name, least_ns in (("base", base_ns), ("head", head_ns)) if least_ns <= 0]
    if blind:
        raise WorkerError(who(blind), "it used less CPU time than the clock can see")
    return msgspec.structs.replace(
        pair,
        base_min_ns=base_ns,
        head_min_ns=head_ns,
        log_ratio=typical(taken.log_ratios("cpu_ns")),
        base_wall_min_ns=base_wall_ns,
        head_wall_min_ns=head_wall_ns,
        wall_log_ratio=typical(taken.log_ratios("wall_ns")),
        pressure=taken.pressure,
        slices=len(taken.slices["base"].cpu_ns),
        number=taken.number,
    )
