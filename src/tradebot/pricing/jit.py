"""What is compiled, and how: marks that cost nothing, for the compiler is a process of its own (`compiler`).

`@kernel` is what Python calls, `@inlined`, `@apart` and `@routine` are what kernels call, `@operation` is one
instruction, and `@relaxed` loosens the rules of a routine or a kernel. A marked function stays the Python function that
it was; a kernel becomes a `Kernel`, whose annotations are its one and only signature: no other can be compiled by
accident.

A kernel is called with all its arguments, or bound to the first of them: `bind` looks at the arrays once and keeps
them alive, and what it returns takes the numbers that are left, which costs 50 ns. Its machine code comes from
`warmup`, or at the first call from wherever `loader` finds it.

No fast-math flag is used but by `relaxed`: which multiplications and additions fuse is written out in the source
(`math64.fma`), so the vectors of any width and the scalar remainder of a loop give the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final, Generic, NamedTuple, ParamSpec, TypeVar

from tradebot.pricing.signature import Signature, signature_of

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])

MARK: Final = "compiled_with"  # the attribute of a marked function that holds the compiler's options
OPERATION: Final[Mapping[str, Any]] = MappingProxyType({"operation": True})


class Code(NamedTuple):
    """A kernel's machine code, as builtin functions."""

    address: Callable[[object], int]  # of an array's first element
    run: Callable[[tuple[object, ...]], Any]  # with the words of all arguments, and the arrays behind them
    bind: Callable[[tuple[object, ...]], Callable[..., Any]]  # the same of the first ones


class Kernel(Generic[P, R]):
    def __init__(self, function: Callable[P, R]) -> None:
        self.function = function
        self.name = function.__name__
        self.module = function.__module__
        self.code: Code | None = None

    def __repr__(self) -> str:
        return f"{self.module}.{self.name}"

    @cached_property
    def signature(self) -> Signature:
        return signature_of(self.function)

    def __call__(self, *arguments: P.args, **no_keywords: P.kwargs) -> R:
        if no_keywords:
            raise TypeError(f"{self.name} is called by position")
        code = self.code or _loaded(self)
        result: R = code.run(self.signature.block(self.name, arguments, code.address))
        return result

    def bind(self, *first: Any) -> Callable[..., R]:
        """A function of the arguments that are left, which must be numbers."""
        code = self.code or _loaded(self)
        return code.bind(self.signature.block(self.name, first, code.address))


def inlined(function: F) -> F:
    """For scalars, and small enough that LLVM inlines it: a call that stays a call stops vectorisation."""
    return _marked(function, forceinline=True)


def apart(function: F) -> F:
    """`inlined`, and no two of its arrays may share memory: its loops need not look whether they do."""
    return _marked(function, forceinline=True, noalias=True)


def routine(function: F) -> F:
    """What kernels share, where a call may stay a call."""
    return _marked(function)


def relaxed(function: F) -> F:
    """For loops whose error is that of a method, not of a rounding.

    The American kernels have an error of 1e-8 to 1e-6 of strike by construction, and an implied volatility is refined
    until it has settled: here the compiler may fuse a multiply and an add and may keep one partial sum a lane.
    Nothing else is relaxed: infinities and NaN mean what they always mean.
    """
    return _marked(function, fastmath={"contract", "reassoc", "nsz"})


def operation(function: F) -> F:
    """What Python has no word for: the function says what it means, `operations` how it is done."""
    setattr(function, MARK, OPERATION)
    return function


def kernel(function: Callable[P, R]) -> Kernel[P, R]:
    """For arrays: called from Python, by position."""
    return Kernel(function if hasattr(function, MARK) else routine(function))


def _marked(function: F, **options: Any) -> F:
    """`error_model` spares each division a branch that would raise. Whether a function is relaxed is its own affair:
    unless it is said, numba takes it over from whichever caller comes first."""
    rules = {"error_model": "numpy", "boundscheck": False, "fastmath": False}
    setattr(function, MARK, MappingProxyType(rules | options))
    return function


def _loaded(kernel: Kernel[..., Any]) -> Code:
    """Imported only now: `loader` knows kernels, and most are loaded before they are called."""
    from tradebot.pricing.loader import load_late  # noqa: PLC0415

    return load_late(kernel)
