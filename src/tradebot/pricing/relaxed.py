"""A decorator for loops whose error is that of a method, not of a rounding.

`jit.kernel` fixes the order of every operation, so that prices agree to the bit on every machine. The American kernels
have an error of 1e-8 to 1e-6 of strike by construction, and an implied volatility is refined until it has settled:
here the compiler may fuse a multiply and an add and may keep one partial sum a lane. Nothing else is relaxed:
infinities and NaN mean what they always mean.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

import numba

P = ParamSpec("P")
R = TypeVar("R")


def relaxed(function: Callable[P, R]) -> Callable[P, R]:
    jit = numba.njit(fastmath={"contract", "reassoc", "nsz"}, error_model="numpy", boundscheck=False)
    return cast("Callable[P, R]", jit(function))
