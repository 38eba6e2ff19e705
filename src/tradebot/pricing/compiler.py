# mypy: allow-untyped-calls, disable-error-code="attr-defined"
# numba has hardly any types.
"""The compiler: `python -m tradebot.pricing.compiler MODULE...`, the only process that needs numba.

It costs seconds and 100 MB, which a process that trades does not have. marked functions (`jit`) -> numba's functions,
put in their places in the modules -> each kernel compiled for its one signature -> entry points (`entry`) -> one object
file a module, for this CPU -> standard output, as MessagePack: a map from the module's name to object code.

Everything of a module is linked before it is optimised for the last time, so that nothing but the entry points can be
seen from outside, and what could raise is proved away. Object code may then call the C library's mathematics, memory
functions and Python, and nothing of numba's runtime: `_refuse` looks.
"""

from __future__ import annotations

import argparse
import importlib
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import Parameter, Signature
from types import FunctionType, ModuleType, SimpleNamespace
from typing import Any, Final, get_type_hints

import llvmlite.binding as llvm
import msgspec
from llvmlite import ir
from numba.core import codegen, config
from numba.core.compiler_lock import global_compiler_lock
from numba.core.dispatcher import Dispatcher
from numba.core.options import _mapping
from numba.core.registry import cpu_target
from numba.core.runtime import rtsys
from numba.extending import intrinsic

from tradebot.pricing import entry
from tradebot.pricing.jit import MARK, OPERATION, Kernel
from tradebot.pricing.loader import PROVIDED
from tradebot.pricing.operations import GENERATE

PACKAGE: Final = "tradebot.pricing"
VISIBLE: Final = ("entry.", "run.", "bind.", "address")
OPTIONS: Final = {"nopython": True, "_nrt": False, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}


@dataclass(frozen=True, slots=True)
class Target:
    """Whom to compile for."""

    triple: str
    cpu: str
    features: str
    python: bool = True  # with functions for this Python, or for C alone

    @classmethod
    def host(cls) -> Target:
        """This machine, or what numba's own variables say of it."""
        features = codegen.get_host_cpu_features() if config.CPU_FEATURES is None else config.CPU_FEATURES
        return cls(llvm.get_process_triple(), config.CPU_NAME or llvm.get_host_cpu_name(), features)


class Generator(codegen.CPUCodegen):
    """numba's code generator, for a target of ours and for object code alone: nothing is run."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._library_class = Library
        super().__init__("tradebot")

    def _init(self, llvm_module: Any) -> None:
        del llvm_module
        if not self._target.python:
            llvm.initialize_all_targets()
            llvm.initialize_all_asmprinters()
        options = {"cpu": self._target.cpu, "features": self._target.features, "opt": config.OPT}
        if self._target.python:
            # Where code and constants may lie anywhere, as is the default on x86, each constant costs a loop an
            # instruction for its address and, half the time, a load. `loader` lays them side by side.
            near = {"reloc": "pic", "codemodel": "small"}
            anywhere = {"reloc": "default", "codemodel": "jitdefault"}
            options |= {"jit": True} | (near if self._target.triple.startswith("x86") else anywhere)
        else:
            options |= {"reloc": "pic", "codemodel": "default"}
        self._tm = llvm.Target.from_triple(self._target.triple).create_target_machine(**options)
        self._target_data = self._tm.target_data
        self._data_layout = str(self._target_data)
        self._loopvect, self._opt_level = False, 0

    def _create_empty_module(self, name: str) -> Any:
        module = super()._create_empty_module(name)
        module.triple = self._target.triple
        return module

    def _add_module(self, module: Any) -> None:
        """Nowhere: numba would load it into this process."""


class Library(codegen.AOTCodeLibrary):
    """numba's unit of optimisation."""

    def add_linking_library(self, library: Any) -> None:
        """numba would link its runtime to everything."""
        if library is not rtsys.library:
            super().add_linking_library(library)

    def _optimize_final_module(self) -> None:
        if any(function.name.startswith("entry.") for function in self._final_module.functions):
            for function in self._final_module.functions:
                if not function.is_declaration and not function.name.startswith(VISIBLE):
                    function.linkage = llvm.Linkage.internal
        super()._optimize_final_module()


class Options(cpu_target.options):  # type: ignore[misc, name-defined]
    """numba's options, and one of its flags that has no option."""

    noalias = _mapping("noalias")


class Workshop:
    """Compiles the kernels of modules for one target."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._generator = Generator(target)
        host = cpu_target.target_context
        host.refresh()
        context = host.subtarget(
            _internal_codegen=self._generator,
            get_executable=lambda *_: [].append,  # nothing is run: any builtin serves numba as a key, if it is new
        )
        descriptor = SimpleNamespace(options=Options, typing_context=cpu_target.typing_context, target_context=context)
        self._context = context
        self._dispatcher: Any = type("Compiled", (Dispatcher,), {"targetdescr": descriptor})

    def linked(self, name: str) -> Any:
        """A module's kernels and their entry points, optimised together."""
        with global_compiler_lock, self._installed(name) as made:
            library = self._generator.create_library(name)
            written = ir.Module(f"entries of {name}")
            written.triple = self._target.triple
            for value in list(made):
                if isinstance(value, Kernel) and value.module == name:
                    library.add_linking_library(self._compiled(value, made[value], written))
            if self._target.python:
                entry.address(written)
            library.add_ir_module(written)
            library.finalize()
        _refuse(name, library._final_module)  # noqa: SLF001 - numba shows text only
        return library

    def _compiled(self, kernel: Kernel[..., Any], dispatcher: Any, written: Any) -> Any:
        signature = kernel.signature
        arguments = tuple(entry.numba_type(kind) for kind in signature.kinds)
        dispatcher.compile(entry.numba_result(signature.result)(*arguments))
        found = dispatcher.overloads[arguments]
        functions = entry.Entry(self._context, written, f"{kernel.module}.{kernel.name}", signature, found.fndesc)
        functions.plain()
        if self._target.python:
            functions.builtin()
        return found.library

    @contextmanager
    def _installed(self, name: str) -> Iterator[dict[Any, Any]]:
        """numba's functions in the places of marked ones, here and in this package, until the end."""
        importlib.import_module(name)
        modules = [module for each, module in sys.modules.items() if each == name or each.startswith(f"{PACKAGE}.")]
        made: dict[Any, Any] = {}
        before: list[tuple[ModuleType, str, Any]] = []
        try:
            for module in modules:
                for each, value in list(vars(module).items()):
                    if isinstance(value, Kernel | FunctionType) and (new := self._made(value, made)) is not None:
                        before.append((module, each, value))
                        setattr(module, each, new)
            yield made
        finally:
            for module, each, value in before:
                setattr(module, each, value)

    def _made(self, value: Any, made: dict[Any, Any]) -> Any:
        """One for each function, however many modules import it."""
        function = value.function if isinstance(value, Kernel) else value
        options = getattr(function, MARK, None)
        if options is not None and value not in made:
            made[value] = (
                _instruction(function)
                if options is OPERATION
                else self._dispatcher(function, targetoptions={**options, **OPTIONS})
            )
        return made.get(value)


def compiled(names: Iterable[str], target: Target | None = None) -> dict[str, bytes]:
    """Object code of each of these modules."""
    shop = Workshop(target or Target.host())
    return {name: shop.linked(name).emit_native_object() for name in names}


def assembly(name: str, functions: Iterable[str], target: Target | None = None) -> dict[str, str]:
    """What functions of a module have become, for whoever wants to see how wide their loops are."""
    text = str(Workshop(target or Target.host()).linked(name).get_asm_str())
    labels = list(re.finditer(r'^"?(?!\.?L)([\w.$]+)"?:', text, re.MULTILINE))
    ends = [label.start() for label in labels[1:]] + [len(text)]
    module = name.rpartition(".")[2]
    found = dict.fromkeys(functions, "")
    for function in found:  # under numba's name, or, where nothing else calls it, within our own
        own = re.compile(rf"{len(module)}{module}{len(function)}{function}B|^_?entry\.{name}\.{function}$")
        for label, end in zip(labels, ends, strict=True):
            found[function] += text[label.end() : end] if own.search(label[1]) else ""
    return found


def _instruction(function: Any) -> Any:
    """numba's own kind of function that is LLVM code, of the types that the function says."""
    hints = get_type_hints(function)
    result = entry.numba_result(hints.pop("return"))
    typed = result(*(entry.numba_result(hint) for hint in hints.values()))

    def generate(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        made = GENERATE[function.__name__](builder, args)
        return context.get_dummy_value() if made is None else made

    def typing(_context: Any, *_arguments: Any) -> Any:
        return typed, generate

    # numba names the arguments by those of the function that it is given.
    names = ("typingctx", *hints)
    typing.__signature__ = Signature([Parameter(name, Parameter.POSITIONAL_OR_KEYWORD) for name in names])
    typing.__name__ = function.__name__
    return intrinsic(typing)


def _refuse(name: str, module: Any) -> None:
    """Object code that needs what a process without numba does not have."""
    wanted = {each.name for each in (*module.functions, *module.global_variables) if each.is_declaration}
    missing = sorted(each for each in wanted - PROVIDED if not each.startswith("llvm."))
    if missing:
        raise SystemExit(f"{name} cannot do without {', '.join(missing)}: see `entry`")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="+", metavar="MODULE")
    names = parser.parse_args().modules
    sys.stdout.buffer.write(msgspec.msgpack.encode(compiled(names)))


if __name__ == "__main__":
    main()
