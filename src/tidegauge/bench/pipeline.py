"""The next pair is set up on the other cores while one is measured: most of a pair's time is the start of Python.

    measure(job, following) ─▶ job: started before? else start ─▶ both ready ─▶ start following ─▶ slices ─▶ Pair

`following` is a guess of what will be asked next; a wrong guess costs its start and nothing else. Where `setup_cache`
left files, all processes of a benchmark share a folder, as under asv: those are never set up ahead.
"""

from __future__ import annotations

import time
from typing import Self

import msgspec

from tidegauge.bench.pair import Bench, Pair, PairJob, StartedPair


class Pipeline:
    """A context: whatever is started when it ends is abandoned."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._ahead: tuple[PairJob, StartedPair] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._drop()

    def measure(self, job: PairJob, following: PairJob | None = None) -> Pair:
        """The pair, with the seconds that passed for it alone."""
        begin_s = time.monotonic()
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead[0] != job:
            ahead[1].abandon()
            ahead = None
        started = ahead[1] if ahead is not None else StartedPair(job, self._bench)
        pair = started.finish(lambda: self._start_ahead(following))
        return msgspec.structs.replace(pair, seconds=round(time.monotonic() - begin_s, 6))

    def _start_ahead(self, job: PairJob | None) -> None:
        if job is not None and not job.benchmark.setup_cache_key:
            self._ahead = (job, StartedPair(job, self._bench))

    def _drop(self) -> None:
        if self._ahead is not None:
            self._ahead[1].abandon()
            self._ahead = None
