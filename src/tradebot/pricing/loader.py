"""Object code made callable: LLVM's own loader, a millisecond a file, and nothing of the compiler.

object code -> memory (`Object`) -> a `Code` for each kernel of its module, which `jit.Kernel` calls. Functions are
builtins of Python, made from machine code: see `entry` for what they expect.

A kernel that nobody has loaded is loaded when it is called, from the user's own cache; where it has to be compiled for
that, which takes seconds, everyone who `watch`es is told.
"""

from __future__ import annotations

import ctypes
import functools
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import llvmlite.binding as llvm

from tradebot.domain.errors import PricingError
from tradebot.pricing import cache
from tradebot.pricing.jit import Kernel

METH_FASTCALL, METH_O = 0x80, 0x08
PROVIDED: Final = frozenset(  # what object code may call
    """exp expm1 log log1p sqrt memcpy memmove memset
    PyTuple_GetItem PyBytes_AsString PyFloat_AsDouble PyLong_AsLongLong PyLong_FromLongLong PyBool_FromLong Py_IncRef
    PyErr_Occurred PyErr_SetString PyObject_GetBuffer PyBuffer_Release PyExc_TypeError _Py_NoneStruct""".split()
)


class _Definition(ctypes.Structure):
    """PyMethodDef."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


@functools.cache
def _new_builtin() -> Any:
    """PyCFunction_NewEx: a definition, `self`, and the module, of which there is none."""
    prototype = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p)
    return prototype(("PyCFunction_NewEx", ctypes.pythonapi))


class Object:
    """An object file in memory, for as long as anything of it may be called."""

    def __init__(self, code: bytes) -> None:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        machine = llvm.Target.from_triple(llvm.get_process_triple()).create_target_machine(jit=True)
        self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
        # LLVM ends the process where a symbol is missing.
        if missing := [name for name in PROVIDED if llvm.address_of_symbol(name) is None]:
            raise PricingError(f"this process has no {', '.join(sorted(missing))}, which kernels call")
        self._engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        self._engine.finalize_object()

    def definition(self, symbol: str, flags: int) -> _Definition:
        return _Definition(symbol.encode(), self._engine.get_function_address(symbol), flags, None)


@dataclass(frozen=True, slots=True)
class Code:
    """One kernel of an object file."""

    home: Object
    definition: _Definition
    address: Callable[[object], int]

    def bound(self, words: bytes, arrays: tuple[object, ...]) -> Callable[..., Any]:
        """What is returned keeps all that it needs alive: the arrays, and this."""
        return builtin(self.definition, (words, self, *arrays))


def builtin(definition: _Definition, itself: object) -> Callable[..., Any]:
    made: Callable[..., Any] = _new_builtin()(ctypes.addressof(definition), itself, None)
    return made


def kernels_of(module: str) -> list[Kernel[..., Any]]:
    return [value for value in vars(sys.modules[module]).values() if isinstance(value, Kernel) and value.module == module]


def load(modules: Iterable[str], cache_dir: Path) -> cache.Found:
    """Give the kernels of these modules their code, those that have none."""
    missing = [module for module in modules if any(kernel.code is None for kernel in kernels_of(module))]
    found = cache.objects(missing, cache_dir)
    for module, code in found.objects.items():
        home = Object(code)
        locate = home.definition("address", METH_O)
        address = builtin(locate, (home, locate))
        for kernel in kernels_of(module):
            kernel.code = Code(home, home.definition(f"call.{kernel!r}", METH_FASTCALL), address)
    return found


class Watch:
    """Is told the name of each kernel that is compiled because it was called, until closed."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self.tell = tell
        _watches.append(self)

    def close(self) -> None:
        """Harmless when already closed."""
        if self in _watches:
            _watches.remove(self)


_watches: list[Watch] = []  # of this process, as what is compiled is this process's


def load_late(kernel: Kernel[..., Any]) -> Code:
    found = load([kernel.module], cache.default_dir())
    if found.compiled:
        for watch in tuple(_watches):
            watch.tell(repr(kernel))
    if kernel.code is None:
        raise PricingError(f"{kernel!r} is not a global of its module", remedy="Give it its own name there")
    return kernel.code
