"""The registry of bounded things.

A queue, cache or history that holds items registers itself with its capacity, so that an observer can tell a thing
that fills up to its bound from one that leaks, and an operator sees which one is full.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec


class Bound(msgspec.Struct, frozen=True):
    name: str
    length: int
    capacity: int


class Bounds:
    """Name -> (length now, capacity). Names are unique while registered; who registers also unregisters."""

    def __init__(self) -> None:
        self._things: dict[str, tuple[Callable[[], int], int]] = {}

    def register(self, name: str, length: Callable[[], int], capacity: int) -> None:
        if capacity <= 0:
            raise ValueError(f"{name}: a bound must be positive, not {capacity}")
        if name in self._things:
            raise ValueError(f"{name} is already registered")
        self._things[name] = (length, capacity)

    def unregister(self, name: str) -> None:
        self._things.pop(name, None)

    def snapshot(self) -> tuple[Bound, ...]:
        return tuple(
            Bound(name=name, length=length(), capacity=capacity)
            for name, (length, capacity) in sorted(self._things.items())
        )
