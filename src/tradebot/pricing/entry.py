# mypy: allow-untyped-calls
# numba has hardly any types.
"""How Python and C get into a kernel: LLVM code around numba's own calling convention. For the compiler only.

For a kernel `tick` of module `slices` an object file has

- `entry.slices.tick`: int64 (words), with every argument from a block of words (`signature`);
- `call.slices.tick`: a builtin function of Python (METH_FASTCALL). Its `self` is a tuple: the words of the first
  arguments, and the arrays that they point into, which live as long as it does. It takes the numbers that are left;
- `run.slices.tick` and `bind.slices.tick`: builtins of one such tuple (METH_O), which call it and make it;

and for all of its kernels `address`, a builtin that says where an array begins. A kernel never raises: were there a
way for it to, its branch would call RAISED, a function that nobody has, and the compiler refuses such an object.
"""

from __future__ import annotations

from typing import Any, Final

from llvmlite import ir
from numba.core import types
from numba.np import arrayobj

from tradebot.pricing.signature import Array, Fields, Kind, Signature, words_of

INT32, INT64, DOUBLE, BYTE = ir.IntType(32), ir.IntType(64), ir.DoubleType(), ir.IntType(8)
OBJECT: Final = BYTE.as_pointer()
WORDS: Final = INT64.as_pointer()
METH_FASTCALL: Final = 0x80
RAISED: Final = "a_kernel_may_raise"
BUFFER_BYTES: Final = 256  # more than any Python's Py_buffer, of which only the first field is read
PYTHON: Final = {
    "PyTuple_GetItem": ir.FunctionType(OBJECT, [OBJECT, INT64]),
    "PyBytes_AsString": ir.FunctionType(WORDS, [OBJECT]),
    "PyFloat_AsDouble": ir.FunctionType(DOUBLE, [OBJECT]),
    "PyLong_AsLongLong": ir.FunctionType(INT64, [OBJECT]),
    "PyLong_FromLongLong": ir.FunctionType(OBJECT, [INT64]),
    "PyBool_FromLong": ir.FunctionType(OBJECT, [INT64]),
    "PyCFunction_NewEx": ir.FunctionType(OBJECT, [OBJECT, OBJECT, OBJECT]),
    "PyErr_Occurred": ir.FunctionType(OBJECT, []),
    "PyErr_SetString": ir.FunctionType(ir.VoidType(), [OBJECT, OBJECT]),
    "Py_IncRef": ir.FunctionType(ir.VoidType(), [OBJECT]),
    "PyObject_GetBuffer": ir.FunctionType(INT32, [OBJECT, OBJECT, INT32]),
    "PyBuffer_Release": ir.FunctionType(ir.VoidType(), [OBJECT]),
}


def numba_type(kind: Kind) -> Any:
    if isinstance(kind, Array):
        dtype = types.boolean if kind.dtype.kind == "b" else getattr(types, kind.dtype.name)
        return types.Array(dtype, kind.dimensions, "C", readonly=not kind.written)
    if isinstance(kind, Fields):
        return types.NamedTuple([numba_type(each) for each in kind.kinds], kind.cls)
    return types.float64 if kind is float else types.int64


def numba_result(result: Any) -> Any:
    return {bool: types.boolean, int: types.int64, float: types.float64, type(None): types.none}[result]


class Entry:
    """Writes the two functions of one kernel into a module."""

    def __init__(self, context: Any, module: Any, name: str, signature: Signature, fndesc: Any) -> None:
        self._context, self._module, self._signature, self._fndesc = context, module, signature, fndesc
        self._name = name
        self._arrays = signature.kinds[: signature.first_number]
        native = context.call_conv.get_function_type(fndesc.restype, fndesc.argtypes)
        self._callee = ir.Function(module, native, fndesc.llvm_func_name)

    def plain(self) -> None:
        function = ir.Function(self._module, ir.FunctionType(INT64, [WORDS]), f"entry.{self._name}")
        builder = ir.IRBuilder(function.append_basic_block())
        (words,) = function.args
        numbers = [self._number(builder, words, place) for place in range(len(self._signature.numbers))]
        builder.ret(self._called(builder, words, numbers))

    def builtin(self) -> None:
        shape = ir.FunctionType(OBJECT, [OBJECT, OBJECT.as_pointer(), INT64])
        function = ir.Function(self._module, shape, f"call.{self._name}")
        builder = ir.IRBuilder(function.append_basic_block())
        itself, given, count = function.args
        item = builder.call(python(self._module, "PyTuple_GetItem"), [itself, INT64(0)])
        words = builder.call(python(self._module, "PyBytes_AsString"), [item])
        bound, wanted = builder.load(words), len(self._signature.numbers)
        with builder.if_then(builder.icmp_signed("!=", builder.add(count, bound), INT64(wanted)), likely=False):
            text = f"{self._name}: the numbers are {', '.join(self._signature.names[-wanted:]) if wanted else 'none'}"
            error = _object(self._module, "tradebot.TypeError")
            builder.call(python(self._module, "PyErr_SetString"), [error, _text(self._module, text)])
            builder.ret(OBJECT(None))
        numbers, odd = [], ir.Constant(ir.IntType(1), 0)
        for place in range(wanted):
            value, failed = self._given_or_bound(builder, words, given, bound, place)
            numbers.append(value)
            odd = builder.or_(odd, failed)
        with builder.if_then(odd, likely=False):  # -1 may be a number, or what stands for an error
            pending = builder.call(python(self._module, "PyErr_Occurred"), [])
            with builder.if_then(builder.icmp_unsigned("!=", pending, OBJECT(None))):
                builder.ret(OBJECT(None))
        result = self._called(builder, words, numbers)
        builder.ret(self._object(builder, result))
        self._run(function)
        self._bind(function)

    def _run(self, call: Any) -> None:
        function, builder = _builtin(self._module, f"run.{self._name}")
        builder.ret(builder.call(call, [function.args[1], OBJECT.as_pointer()(None), INT64(0)]))

    def _bind(self, call: Any) -> None:
        function, builder = _builtin(self._module, f"bind.{self._name}")
        name = _text(self._module, self._name.rpartition(".")[2])
        fields = [name, call.bitcast(OBJECT), INT32(METH_FASTCALL), OBJECT(None)]
        definition = ir.GlobalVariable(
            self._module, ir.LiteralStructType([each.type for each in fields]), f"def.{self._name}"
        )
        definition.linkage, definition.initializer = "internal", ir.Constant(definition.value_type, fields)
        made = python(self._module, "PyCFunction_NewEx")
        builder.ret(builder.call(made, [definition.bitcast(OBJECT), function.args[1], OBJECT(None)]))

    def _given_or_bound(self, builder: Any, words: Any, given: Any, bound: Any, place: int) -> tuple[Any, Any]:
        is_float = self._signature.numbers[place] is float
        with builder.if_else(builder.icmp_signed("<", INT64(place), bound)) as (then, otherwise):
            with then:
                old = self._number(builder, words, place)
                from_block = builder.block
            with otherwise:
                item = builder.load(builder.gep(given, [builder.sub(INT64(place), bound)]))
                convert = python(self._module, "PyFloat_AsDouble" if is_float else "PyLong_AsLongLong")
                new = builder.call(convert, [item])
                failed = builder.fcmp_ordered("==", new, DOUBLE(-1.0)) if is_float else None
                failed = builder.icmp_signed("==", new, INT64(-1)) if failed is None else failed
                to_block = builder.block
        value, odd = builder.phi(old.type), builder.phi(failed.type)
        value.add_incoming(old, from_block)
        value.add_incoming(new, to_block)
        odd.add_incoming(failed.type(0), from_block)
        odd.add_incoming(failed, to_block)
        return value, odd

    def _number(self, builder: Any, words: Any, place: int) -> Any:
        first = 1 + sum(map(words_of, self._arrays))
        word = _word(builder, words, first + place)
        return builder.bitcast(word, DOUBLE) if self._signature.numbers[place] is float else word

    def _called(self, builder: Any, words: Any, numbers: list[Any]) -> Any:
        values, at = [], 1
        for kind in self._arrays:
            values.append(self._value(builder, words, kind, at))
            at += words_of(kind)
        status, result = self._context.call_conv.call_function(
            builder, self._callee, self._fndesc.restype, self._fndesc.argtypes, [*values, *numbers]
        )
        with builder.if_then(status.is_error, likely=False):
            never = ir.FunctionType(ir.VoidType(), [])
            builder.call(self._module.globals.get(RAISED) or ir.Function(self._module, never, RAISED), [])
        if self._signature.result is bool:
            return builder.zext(result, INT64)
        return result if self._signature.result is int else INT64(0)

    def _value(self, builder: Any, words: Any, kind: Kind, at: int) -> Any:
        if isinstance(kind, Fields):
            values = []
            for each in kind.kinds:
                values.append(self._value(builder, words, each, at))
                at += words_of(each)
            return self._context.make_tuple(builder, numba_type(kind), values)
        return self._array(builder, words, kind, at)

    def _array(self, builder: Any, words: Any, kind: Any, at: int) -> Any:
        made = numba_type(kind)
        array = arrayobj.make_array(made)(self._context, builder)
        shape = [_word(builder, words, at + 1 + axis) for axis in range(kind.dimensions)]
        strides: list[Any] = []
        size = INT64(kind.dtype.itemsize)
        for length in reversed(shape):
            strides.insert(0, size)
            size = builder.mul(size, length)
        data = builder.inttoptr(_word(builder, words, at), array.data.type)
        arrayobj.populate_array(array, data, shape, strides, INT64(kind.dtype.itemsize), meminfo=None)
        return array._getvalue()  # noqa: SLF001 - numba's way to get at a structure's value

    def _object(self, builder: Any, result: Any) -> Any:
        if self._signature.result is type(None):
            none = _object(self._module, "tradebot.None")
            builder.call(python(self._module, "Py_IncRef"), [none])
            return none
        make = "PyBool_FromLong" if self._signature.result is bool else "PyLong_FromLongLong"
        return builder.call(python(self._module, make), [result])


def address(module: Any) -> None:
    """A builtin of one argument: where its buffer begins, as an integer. NumPy's own ways to ask take 700 ns."""
    function, builder = _builtin(module, "address")
    buffer = builder.alloca(BYTE, BUFFER_BYTES)
    buffer.align = 16
    simple = INT32(0)
    failed = builder.call(python(module, "PyObject_GetBuffer"), [function.args[1], buffer, simple])
    with builder.if_then(builder.icmp_signed("!=", failed, INT32(0)), likely=False):
        builder.ret(OBJECT(None))
    where = builder.load(builder.bitcast(buffer, WORDS))
    builder.call(python(module, "PyBuffer_Release"), [buffer])
    builder.ret(builder.call(python(module, "PyLong_FromLongLong"), [where]))


def _builtin(module: Any, name: str) -> tuple[Any, Any]:
    """One of one argument, to be filled in."""
    function = ir.Function(module, ir.FunctionType(OBJECT, [OBJECT, OBJECT]), name)
    return function, ir.IRBuilder(function.append_basic_block())


def python(module: Any, name: str) -> Any:
    return module.globals.get(name) or ir.Function(module, PYTHON[name], name)


def _word(builder: Any, words: Any, place: int) -> Any:
    return builder.load(builder.gep(words, [INT64(place)]))


def _object(module: Any, name: str) -> Any:
    """One of Python's objects: a symbol that is where the object is."""
    found = module.globals.get(name)
    if found is None:
        found = ir.GlobalVariable(module, BYTE, name)
        found.linkage = "external"
    return found


def _text(module: Any, text: str) -> Any:
    encoded = bytearray(text.encode() + b"\0")
    made = ir.GlobalVariable(module, ir.ArrayType(BYTE, len(encoded)), module.get_unique_name("text"))
    made.linkage, made.global_constant = "internal", True
    made.initializer = ir.Constant(made.value_type, encoded)
    return made.bitcast(OBJECT)
