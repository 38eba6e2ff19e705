"""Remembering with a bound: the newest `capacity` finished things, the oldest forgotten first."""

from __future__ import annotations

from typing import Generic, TypeVar

from tradebot.kernel.bounds import Bounds

K = TypeVar("K")
V = TypeVar("V")


class History(Generic[K, V]):
    """A dictionary that forgets; storing under a key again makes that entry the newest."""

    def __init__(self, bounds: Bounds, name: str, capacity: int) -> None:
        self._capacity = capacity
        self._entries: dict[K, V] = {}
        bounds.register(name, self._entries.__len__, capacity)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def put(self, key: K, value: V) -> None:
        self._entries.pop(key, None)
        self._entries[key] = value
        while len(self._entries) > self._capacity:
            del self._entries[next(iter(self._entries))]

    def get(self, key: K) -> V | None:
        return self._entries.get(key)

    def pop(self, key: K) -> V | None:
        return self._entries.pop(key, None)

    def values(self) -> tuple[V, ...]:
        return tuple(self._entries.values())
