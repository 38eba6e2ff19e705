"""A loop whose time jumps instead of passing: a trading day in a minute, equal for equal seeds.

When nothing is ready to run, the loop asks its selector to wait until the next timer; here that wait moves the
clock and returns at once. Real descriptors would make the order of events depend on the machine, so a wait without
a timer is an error: under this loop everything must be in process.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _JumpingSelector(selectors.SelectSelector):
    """Selects only what is ready now; the time it was told to wait goes to the loop."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout is None or timeout <= 0:
            if timeout is None and not ready:
                raise RuntimeError("the virtual loop waits for something that no timer will bring")
            return ready
        self.now_s += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now_s


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run` in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
