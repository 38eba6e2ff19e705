"""The one breaker: stops sending work to what keeps failing, and feels its way back.

    with breaker.allow():          # raises BreakerOpen while it is open
        await venue.place(intent)  # a VenueError counts as a failure, a clean end as a success

CLOSED -> (failures_max within window_s) -> OPEN -> (open_s later) -> HALF_OPEN -> (successes_to_close) -> CLOSED;
any failure while half open reopens it, `reset` closes it by hand. While half open only `probes_max` pieces of work
are let through at once. Each piece holds a `Permit`, and a permit given in an earlier state says nothing about the
present one: its outcome is not counted.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Self

import msgspec
import structlog

from tradebot.domain.errors import BreakerOpen, VenueError
from tradebot.domain.ranges import Count, Seconds
from tradebot.kernel.bounds import Bounds
from tradebot.kernel.machine import Table

log = structlog.get_logger(__name__)


class BreakerState(enum.StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


MOVES = Table(
    "breaker",
    {
        BreakerState.CLOSED: (BreakerState.OPEN,),
        BreakerState.OPEN: (BreakerState.HALF_OPEN, BreakerState.CLOSED),
        BreakerState.HALF_OPEN: (BreakerState.OPEN, BreakerState.CLOSED),
    },
)


class BreakerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    failures_max: Count = 5
    window_s: Seconds = 60.0
    open_s: Seconds = 300.0
    successes_to_close: Count = 3
    probes_max: Count = 1
    probe_retry_s: Seconds = 1.0  # what a refused caller is told while the probes are out


class Permit:
    """Leave to do one piece of work. Settled once, by a `with` block or by hand; later calls change nothing."""

    def __init__(self, breaker: Breaker, epoch: int) -> None:
        self._breaker = breaker
        self._epoch = epoch
        self._settled = False

    def succeeded(self) -> None:
        self._settle(True)

    def failed(self) -> None:
        self._settle(False)

    def released(self) -> None:
        """The work ended without saying anything about the other side, for instance because it was cancelled."""
        self._settle(None)

    def _settle(self, outcome: bool | None) -> None:
        if not self._settled:
            self._settled = True
            self._breaker._settle(self._epoch, outcome)  # noqa: SLF001 - a permit is the breaker's own hand

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.succeeded()
        elif isinstance(error, VenueError):
            self.failed()
        else:
            self.released()


class Breaker:
    """`now_s` is the loop's monotonic time. `bounds` learns of the failure window until `close`."""

    def __init__(self, name: str, settings: BreakerSettings, *, now_s: Callable[[], float], bounds: Bounds) -> None:
        self.name = name
        self.trips = 0
        self.refusals = 0
        self._settings = settings
        self._now_s = now_s
        self._bounds = bounds
        self._state = BreakerState.CLOSED
        self._epoch = 0  # counts moves, so that a permit knows whether it is of the present state
        self._opened_s = 0.0
        self._successes = 0
        self._probes = 0
        self._failures_s: deque[float] = deque(maxlen=settings.failures_max)
        bounds.register(f"breaker.{name}.failures", self._failures_s.__len__, settings.failures_max)

    @property
    def state(self) -> BreakerState:
        """The state now: an open breaker becomes half open by the passing of time alone."""
        if self._state is BreakerState.OPEN and self._open_for_s() <= 0.0:
            self._move(BreakerState.HALF_OPEN)
        return self._state

    def allow(self) -> Permit:
        state = self.state
        if state is BreakerState.OPEN:
            self.refusals += 1
            raise BreakerOpen(self.name, retry_after_s=self._open_for_s())
        if state is BreakerState.HALF_OPEN:
            if self._probes >= self._settings.probes_max:
                self.refusals += 1
                raise BreakerOpen(self.name, retry_after_s=self._settings.probe_retry_s)
            self._probes += 1
        return Permit(self, self._epoch)

    def reset(self) -> None:
        """Close it by hand and forget the failures; harmless when it is closed."""
        self._failures_s.clear()
        if self.state is not BreakerState.CLOSED:
            self._move(BreakerState.CLOSED)

    def close(self) -> None:
        self._bounds.unregister(f"breaker.{self.name}.failures")

    def _settle(self, epoch: int, outcome: bool | None) -> None:
        if epoch != self._epoch:
            return
        if self._state is BreakerState.HALF_OPEN:
            self._probes -= 1
        if outcome is False:
            self._on_failure()
        elif outcome and self._state is BreakerState.HALF_OPEN:
            self._successes += 1
            if self._successes >= self._settings.successes_to_close:
                self._move(BreakerState.CLOSED)

    def _on_failure(self) -> None:
        now_s = self._now_s()
        self._failures_s.append(now_s)
        full = len(self._failures_s) == self._settings.failures_max
        if self._state is BreakerState.HALF_OPEN or (full and now_s - self._failures_s[0] <= self._settings.window_s):
            self._opened_s = now_s
            self.trips += 1
            self._move(BreakerState.OPEN)

    def _open_for_s(self) -> float:
        return self._opened_s + self._settings.open_s - self._now_s()

    def _move(self, target: BreakerState) -> None:
        log.warning("breaker_moved", breaker=self.name, old=self._state.value, new=target.value)
        self._state = MOVES.move(self._state, target)
        self._epoch += 1
        self._successes = 0
        self._probes = 0
        if target is BreakerState.CLOSED:
            self._failures_s.clear()
