"""The instructions behind `jit.operation`: what each of `math64`'s is in LLVM's language. For the compiler only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from llvmlite import ir

DOUBLE: Final = ir.DoubleType()
INT64: Final = ir.IntType(64)


def _fma(builder: Any, args: Any) -> Any:
    function = builder.module.declare_intrinsic("llvm.fmuladd", [DOUBLE], ir.FunctionType(DOUBLE, [DOUBLE] * 3))
    return builder.call(function, args)


def _aligned_stack(builder: Any, _args: Any) -> Any:
    with builder.goto_entry_block():
        slot = builder.alloca(DOUBLE, size=8)
        slot.align = 64
    escapes = ir.FunctionType(ir.VoidType(), [DOUBLE.as_pointer()])
    builder.asm(escapes, "", "r,~{memory}", [slot], side_effect=True)  # empty: only keeps the slot


GENERATE: Final[Mapping[str, Callable[[Any, Any], Any]]] = MappingProxyType(
    {
        "fma": _fma,
        "accumulated": lambda builder, args: builder.fadd(*args, flags=("reassoc", "contract", "nsz")),
        "product": lambda builder, args: builder.fmul(*args, flags=("contract",)),
        "bits": lambda builder, args: builder.bitcast(args[0], INT64),
        "from_bits": lambda builder, args: builder.bitcast(args[0], DOUBLE),
        "aligned_stack": _aligned_stack,
    }
)
