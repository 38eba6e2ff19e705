"""The one way from the session to whoever looks, with a bound on what looking costs.

A snapshot sorts histograms and judges promises, in the process whose schedule the run depends on. It is therefore kept
for `KEPT_S`, however many browsers ask, and for longer where it is dear: never more than `SHARE_MAX` of the core.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final, TypedDict

KEPT_S: Final = 0.9
SHARE_MAX: Final = 1 / 20


class Snapshot(TypedDict):
    """What `LoadSession.snapshot` returns: builtins only."""

    clocks: list[dict[str, Any]]
    generator: dict[str, Any]
    series: list[dict[str, Any]]
    server: list[dict[str, Any]]
    verdicts: list[dict[str, Any]]
    counters: dict[str, float]


class Source:
    """Asks `environment.tidegauge` for a snapshot, at most as often as it can afford."""

    def __init__(self, environment: Any, clock: Callable[[], float] = time.perf_counter) -> None:
        self._environment = environment
        self._clock = clock
        self._kept: Snapshot | None = None
        self._until_s = 0.0

    def snapshot(self) -> Snapshot:
        """The newest there is; the same object as before while it is kept, and nobody's to change."""
        asked_s = self._clock()
        if self._kept is None or asked_s >= self._until_s:
            self._kept = self._environment.tidegauge.snapshot()
            done_s = self._clock()
            self._until_s = done_s + max(KEPT_S, (done_s - asked_s) / SHARE_MAX)
        return self._kept
