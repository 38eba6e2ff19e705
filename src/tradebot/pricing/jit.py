"""Compiled functions: one decorator, so that every kernel is compiled under the same rules and none is forgotten.

`@kernel` marks what Python calls, `@inlined` what kernels call, `@operation` what is
one instruction; none compiles anything at import. `warmup` compiles
the kernels at start. No fast-math flag is used: which multiplications and additions fuse is written out in the source
(`math64.fma`), so the vectors of any width and the scalar remainder of a loop give the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import numba
from numba.extending import intrinsic

P = ParamSpec("P")
R = TypeVar("R")


def inlined(function: Callable[P, R]) -> Callable[P, R]:
    """For scalars, and small enough that LLVM inlines it: a call that stays a call stops vectorisation."""
    return cast("Callable[P, R]", numba.njit(error_model="numpy", forceinline=True)(function))


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """For arrays: called from Python. `error_model` spares each division a branch that would raise."""
    return cast("Callable[P, R]", numba.njit(error_model="numpy", boundscheck=False)(function))


def operation(result: type[R]) -> Callable[[Callable[..., Any]], Callable[..., R]]:
    """For what Python has no word for: the decorated function generates LLVM code. `result` is for the type checker."""
    del result
    return cast("Callable[[Callable[..., Any]], Callable[..., R]]", intrinsic)
