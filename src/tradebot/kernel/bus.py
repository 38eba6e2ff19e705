"""The bus: every fact that happened, to everybody who subscribed, through queues that have a bound.

publish(event) -> each subscription's queue -> its consumer. Publishing never waits, because facts come from
synchronous callbacks of a venue's client; a full queue acts by the policy its owner chose, and counts it:
DROP_OLDEST for consumers that only want the present (screens), REFUSE for those that may miss nothing (the
publisher gets `QueueFull`, after every other subscription has been served). Back-pressure belongs where work is
accepted, at the gates, not where it is reported.
"""

from __future__ import annotations

import asyncio
import enum
from collections import deque
from collections.abc import AsyncIterator, Iterable
from typing import Generic, TypeVar

from tradebot.domain.errors import QueueFull
from tradebot.kernel.bounds import Bounds

E = TypeVar("E")


class WhenFull(enum.Enum):
    DROP_OLDEST = "drop_oldest"
    REFUSE = "refuse"


class Subscription(Generic[E]):
    """One consumer's bounded view of the bus. Iterate it; it ends when it is closed and empty."""

    def __init__(self, name: str, kinds: frozenset[type] | None, capacity: int, when_full: WhenFull) -> None:
        self.name = name
        self.capacity = capacity
        self.when_full = when_full
        self.dropped = 0
        self.refused = 0
        self.closed = False
        self._kinds = kinds
        self._items: deque[E] = deque()
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        return len(self._items)

    def wants(self, event: E) -> bool:
        return self._kinds is None or type(event) in self._kinds

    def push(self, event: E) -> bool:
        """Whether the event was taken. A dropped older one makes room; a refusal leaves the queue as it was."""
        if len(self._items) >= self.capacity:
            if self.when_full is WhenFull.REFUSE:
                self.refused += 1
                return False
            self._items.popleft()
            self.dropped += 1
        self._items.append(event)
        self._wake.set()
        return True

    def close(self) -> None:
        self.closed = True
        self._wake.set()

    async def batch(self, most: int) -> list[E]:
        """Wait for events and take up to `most`; an empty list means that the subscription is closed and drained."""
        while not self._items and not self.closed:
            self._wake.clear()
            await self._wake.wait()
        return [self._items.popleft() for _ in range(min(most, len(self._items)))]

    def drain(self) -> list[E]:
        """All that waits, without waiting."""
        events = list(self._items)
        self._items.clear()
        return events

    async def __aiter__(self) -> AsyncIterator[E]:
        while events := await self.batch(1):
            yield events[0]


class Bus(Generic[E]):
    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._subscriptions: dict[str, Subscription[E]] = {}
        self.published = 0

    def subscribe(
        self, name: str, *, capacity: int, when_full: WhenFull, kinds: Iterable[type] | None = None
    ) -> Subscription[E]:
        subscription: Subscription[E] = Subscription(
            name, None if kinds is None else frozenset(kinds), capacity, when_full
        )
        self._bounds.register(f"bus.{name}", subscription.__len__, capacity)
        self._subscriptions[name] = subscription
        return subscription

    def unsubscribe(self, subscription: Subscription[E]) -> None:
        if self._subscriptions.pop(subscription.name, None) is not None:
            self._bounds.unregister(f"bus.{subscription.name}")
        subscription.close()

    def publish(self, event: E) -> None:
        self.published += 1
        full = [
            subscription.name
            for subscription in self._subscriptions.values()
            if subscription.wants(event) and not subscription.push(event)
        ]
        if full:
            raise QueueFull(f"{', '.join(full)} may not drop {type(event).__name__} and is full")

    def close(self) -> None:
        for subscription in list(self._subscriptions.values()):
            self.unsubscribe(subscription)

    def dropped(self) -> dict[str, int]:
        return {name: each.dropped + each.refused for name, each in sorted(self._subscriptions.items())}
