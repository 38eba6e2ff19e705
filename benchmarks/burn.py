"""The rate at which this CPU does independent multiply-adds: what `compare_pricing` measures the pricing by."""

from __future__ import annotations

from tradebot.pricing.jit import inlined, kernel
from tradebot.pricing.math64 import fma
from tradebot.pricing.signature import Vector

DEPENDENT = 12


@inlined
def _four(a: float, x: float, y: float) -> float:
    return fma(fma(fma(fma(a, x, y), x, y), x, y), x, y)


@kernel
def burn(values: Vector, rounds: int, x: float, y: float) -> None:
    """DEPENDENT multiply-adds an element, thousands of independent elements: two vectors' worth a cycle."""
    for _ in range(rounds):
        for i in range(len(values)):
            values[i] = _four(_four(_four(values[i], x, y), x, y), x, y)
