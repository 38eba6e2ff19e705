"""The next pair is set up on the other cores while one is measured: most of a pair's time is its setup.

    measure(job, following) ─▶ job: started before? else start ─▶ both ready ─▶ start following ─▶ slices ─▶ Pair
                                         Generations ──forks──┘         └── what was imported ──▶ Generations

`following` is a guess of what will be asked next, in this order; a wrong guess costs its start and nothing else. Where
`setup_cache` left files, all processes of a benchmark share a folder, as under asv: those are never set up ahead.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from typing import Self

import msgspec

from tidegauge.bench.pairs.pair import Bench, Pair, PairJob, StartedPair
from tidegauge.bench.processes.generations import Generations


class Pipeline:
    """A context: whatever is started when it ends is abandoned."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._generations = Generations(bench.seed, bench.core, bench.scratch)
        self._ahead: deque[tuple[PairJob, StartedPair]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._drop()
        finally:
            self._generations.close()

    def measure(self, job: PairJob, following: Sequence[PairJob] = ()) -> Pair:
        """The pair, with the seconds that passed for it alone."""
        begin_s = time.monotonic()
        if self._ahead and self._ahead[0][0] != job:
            self._drop()
        started = self._ahead.popleft()[1] if self._ahead else self._started(job)
        if not started.is_sound():  # what was imported for all is at fault, or a benchmark before: once more without
            self._drop()
            started.abandon()
            self._generations.give_up(started.generation)
            started = self._started(job)
        pair = started.finish(
            lambda modules: self._go_on(modules, following),
            lambda: not self._ahead or self._ahead[0][1].is_ready(),
        )
        return msgspec.structs.replace(pair, seconds=round(time.monotonic() - begin_s, 6))

    def _started(self, job: PairJob) -> StartedPair:
        trial = f"{job.benchmark.name} on {job.head.name} {job.head_slowdown}"
        generation = self._generations.of(trial, job.index, (job.base, job.head))
        return StartedPair(job, self._bench, generation)

    def _go_on(self, modules: list[str], following: Sequence[PairJob]) -> None:
        self._generations.learn(modules)
        for at, job in enumerate(following):
            if job.benchmark.setup_cache_key:
                break
            if at == len(self._ahead):
                self._ahead.append((job, self._started(job)))
            elif self._ahead[at][0] != job:
                break

    def _drop(self) -> None:
        while self._ahead:
            self._ahead.popleft()[1].abandon()
