"""A kernel that a process which trades cannot have: it may raise."""

from __future__ import annotations

from tradebot.pricing.jit import kernel
from tradebot.pricing.signature import Given


@kernel
def first(values: Given, place: int) -> int:
    if place >= len(values):
        raise IndexError
    return int(values[place])
