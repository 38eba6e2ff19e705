"""The one way from the session to whoever looks, with a bound on what looking costs.

A snapshot sorts histograms and judges promises, in the process whose schedule the run depends on. It is therefore kept
for `KEPT_S`, however many browsers ask, and for longer where it is dear: never more than `SHARE_MAX` of the core. It
takes tens of milliseconds, in which no arrival could start: so it is taken in pieces of a few, with
a `pause` behind each, of a session that stands `still` meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, TypedDict, TypeVar

import gevent

KEPT_S: Final = 0.9
SHARE_MAX: Final = 1 / 20
PAUSE_S: Final = 0.001
ROWS_AT_ONCE: Final = 32
T = TypeVar("T")


class Snapshot(TypedDict):
    """What `LoadSession.snapshot` returns: builtins only."""

    started_s: float
    elapsed_s: float
    clocks: list[dict[str, Any]]
    generator: dict[str, Any]
    series: list[dict[str, Any]]
    server: list[dict[str, Any]]
    server_extremes: dict[str, dict[str, float]]
    verdicts: list[dict[str, Any]]
    counters: dict[str, float]


def pause() -> None:
    """Whatever else this process has to do goes first."""
    gevent.sleep(PAUSE_S)


def paced(rows: Iterable[T]) -> Iterator[T]:
    """All of them, with pauses."""
    for number, row in enumerate(rows):
        if number % ROWS_AT_ONCE == 0:
            pause()
        yield row


class Source:
    """Asks `environment.tidegauge` for a snapshot, at most as often as it can afford."""

    def __init__(
        self,
        environment: Any,
        clock: Callable[[], float] = time.perf_counter,
        cpu: Callable[[], float] = time.thread_time,
    ) -> None:
        self._environment = environment
        self._clock = clock
        self._cpu = cpu
        self._kept: Snapshot | None = None
        self._until_s = 0.0
        self._is_asking = False

    def snapshot(self) -> Snapshot:
        """The newest there is; the same object as before while it is kept, and nobody's to change."""
        if self._kept is not None and (self._is_asking or self._clock() < self._until_s):
            return self._kept
        self._is_asking = True
        try:
            kept, cost_s = self._taken()
        finally:
            self._is_asking = False
        self._kept, self._until_s = kept, self._clock() + max(KEPT_S, cost_s / SHARE_MAX)
        return kept

    def _taken(self) -> tuple[Snapshot, float]:
        """A snapshot, and the time of this core that it took: what others did in the pauses is theirs."""
        theirs_s = 0.0

        def rest() -> None:
            nonlocal theirs_s
            left_s = self._cpu()
            pause()
            theirs_s += self._cpu() - left_s

        began_s = self._cpu()
        taken = self._environment.tidegauge.still(rest).snapshot()
        return taken, self._cpu() - began_s - theirs_s
