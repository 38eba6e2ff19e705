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
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import llvmlite.binding as llvm

from tradebot.domain.errors import PricingError
from tradebot.pricing import cache
from tradebot.pricing.jit import Code, Kernel

METH_O: Final = 0x08
MATHEMATICS: Final = ("exp", "expm1", "log", "log1p", "sqrt")
MEMORY: Final = ("memcpy", "memmove", "memset")
PYTHON: Final = (
    *("PyTuple_GetItem", "PyBytes_AsString", "PyCFunction_NewEx", "PyObject_GetBuffer", "PyBuffer_Release"),
    *("PyFloat_AsDouble", "PyLong_AsLongLong", "PyLong_FromLongLong", "PyBool_FromLong", "Py_IncRef"),
    *("PyErr_Occurred", "PyErr_SetString"),
)
# By names of our own, because numba gives those of Python another meaning where it has been imported.
OBJECTS: Final = MappingProxyType({"tradebot.None": None, "tradebot.TypeError": TypeError})
PROVIDED: Final = frozenset((*MATHEMATICS, *MEMORY, *PYTHON, *OBJECTS))  # what object code may refer to


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
    """An object file in memory: for good, because kernels are."""

    def __init__(self, code: bytes) -> None:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        machine = llvm.Target.from_triple(llvm.get_process_triple()).create_target_machine(jit=True)
        # `use_lmm`: code and constants in one piece, so that they find one another (`compiler.Generator`).
        self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine, use_lmm=True)
        for name, each in OBJECTS.items():
            llvm.add_symbol(name, id(each))
        # LLVM ends the process where a symbol is missing.
        if missing := [name for name in PROVIDED if llvm.address_of_symbol(name) is None]:
            raise PricingError(f"this process has no {', '.join(sorted(missing))}, which kernels call")
        self._engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        self._engine.finalize_object()

    def builtin(self, symbol: str) -> Callable[[Any], Any]:
        """A function of one argument; it keeps this object in memory."""
        definition = _Definition(symbol.encode(), self._engine.get_function_address(symbol), METH_O, None)
        made: Callable[[Any], Any] = _new_builtin()(ctypes.addressof(definition), (self, definition), None)
        return made


def kernels_of(module: str) -> list[Kernel[..., Any]]:
    return [
        value for value in vars(sys.modules[module]).values() if isinstance(value, Kernel) and value.module == module
    ]


def load(modules: Iterable[str], cache_dir: Path) -> cache.Found:
    """Give the kernels of these modules their code, those that have none."""
    missing = [module for module in modules if any(kernel.code is None for kernel in kernels_of(module))]
    found = cache.objects(missing, cache_dir)
    for module, code in found.objects.items():
        home = Object(code)
        address = home.builtin("address")
        for kernel in kernels_of(module):
            kernel.code = Code(address, home.builtin(f"run.{kernel!r}"), home.builtin(f"bind.{kernel!r}"))
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
