"""The one door to threads: work that blocks on a disk goes through it, one call after the other.

run(fn, *args) -> a worker thread of its own (`ThreadDoor`) or the calling loop itself (`InlineDoor`) -> the result.
What is behind a door belongs to it alone, so nothing there needs a lock. The virtual loop takes the inline door: no
thread decides when a result arrives, and a day is deterministic.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, ParamSpec, Protocol, TypeVar

from tradebot.domain.errors import QueueFull, StoreError
from tradebot.kernel.bounds import Bounds

P = ParamSpec("P")
T = TypeVar("T")

# Far above what journal, writer and the readers of an API keep waiting; whoever meets it should come back later.
CALLS_MAX = 256


class Door(Protocol):
    async def run(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `fn` behind the door, after everything that was asked before."""

    async def close(self) -> None:
        """Let what was asked finish, then leave nothing behind; harmless when already closed."""


DoorFactory = Callable[[str], Door]


class ThreadDoor:
    """One worker thread. A caller that is cancelled stops waiting, but what it asked for is still done, in its turn."""

    def __init__(self, name: str, *, bounds: Bounds, capacity: int = CALLS_MAX) -> None:
        self.name = name
        self._bounds = bounds
        self._capacity = capacity
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"door-{name}")
        self._calls: set[asyncio.Future[Any]] = set()
        self._closed = False
        bounds.register(f"door.{name}", self._calls.__len__, capacity)

    async def run(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        if self._closed:
            raise _closed(self.name)
        if len(self._calls) >= self._capacity:
            raise QueueFull(f"{self._capacity} calls wait at the door {self.name}", remedy="Try again shortly")
        call = asyncio.get_running_loop().run_in_executor(self._executor, partial(fn, *args, **kwargs))
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)
        return await asyncio.shield(call)

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._calls:
            await asyncio.wait(self._calls)
        # Nothing runs any more, so the thread ends at once and the loop does not stand still here.
        self._executor.shutdown()
        self._bounds.unregister(f"door.{self.name}")


class InlineDoor:
    """No thread: the call runs at once on the calling loop, which stands still meanwhile."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._closed = False

    async def run(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        if self._closed:
            raise _closed(self.name)
        return fn(*args, **kwargs)

    async def close(self) -> None:
        self._closed = True


def _closed(name: str) -> StoreError:
    return StoreError(f"the door {name} is closed", remedy="Start the store before it is used")
