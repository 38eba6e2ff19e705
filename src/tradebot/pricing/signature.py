"""A kernel's annotations, read as its compiled types: what is checked at a call is what was compiled.

`float` and `int` are 64 bits wide. An array says its element and how many dimensions it has, is contiguous in C's
order, and may be written unless it is `READ`: then one that nobody may write will do. A NamedTuple is its fields, one
after another.

annotations -> `Signature` -> `block`: arguments as 64-bit words in a row, which is what compiled code is handed. The
first says how many numbers are among them; an array is its address and its shape.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, NamedTuple, get_args, get_type_hints

import numpy as np
from numpy.typing import NDArray


class Shape(NamedTuple):
    dimensions: int
    written: bool = True


Vector = Annotated[NDArray[np.float64], Shape(1)]
Table = Annotated[NDArray[np.float64], Shape(2)]
READ: Final = Shape(1, written=False)
Given = Annotated[NDArray[np.float64], READ]
GivenTable = Annotated[NDArray[np.float64], Shape(2, written=False)]
GivenIndices = Annotated[NDArray[np.int64], READ]
GivenFlags = Annotated[NDArray[np.bool_], READ]
Bytes = Annotated[NDArray[np.int8], Shape(1)]


@dataclass(frozen=True, slots=True)
class Array:
    dtype: np.dtype[Any]
    dimensions: int
    written: bool

    def __str__(self) -> str:
        may = " that may be written" if self.written else ""
        return f"a contiguous array of {self.dtype} with {self.dimensions} dimension(s){may}"

    def holds(self, value: object) -> bool:
        if not isinstance(value, np.ndarray) or value.dtype != self.dtype or value.ndim != self.dimensions:
            return False
        flags = value.flags
        return bool(flags.carray if self.written else flags.c_contiguous and flags.aligned)


@dataclass(frozen=True, slots=True)
class Fields:
    """A NamedTuple of arrays, or of more of them."""

    cls: type[Any]
    kinds: tuple[Any, ...]


Kind = Array | Fields | type[float] | type[int]


@dataclass(frozen=True, slots=True)
class Signature:
    names: tuple[str, ...]
    kinds: tuple[Kind, ...]
    result: type[Any]
    _formats: dict[int, tuple[struct.Struct, int]] = field(default_factory=dict)

    @property
    def numbers(self) -> int:
        """How many arguments are numbers; these come last."""
        return sum(kind in {float, int} for kind in self.kinds)

    def block(
        self, kernel: str, leading: tuple[Any, ...], address: Callable[[object], int]
    ) -> tuple[bytes, tuple[object, ...]]:
        """The words of the first arguments, and the arrays that they point into."""
        if not len(self.kinds) - self.numbers <= len(leading) <= len(self.kinds):
            raise TypeError(f"{kernel} takes {', '.join(self.names)}: not {len(leading)} of them")
        words: list[int | float] = []
        arrays: list[object] = []
        for name, kind, value in zip(self.names, self.kinds, leading, strict=False):
            if kind is float:
                words.append(float(value))
            elif kind is int:
                words.append(value)
            else:
                _append(words, arrays, f"{kernel}: {name}", kind, value, address)
        packed = self._formats.get(len(leading))
        if packed is None:
            packed = self._formats[len(leading)] = self._format(len(leading))
        form, numbers = packed
        try:
            return form.pack(numbers, *words), tuple(arrays)
        except struct.error:
            raise TypeError(f"{kernel}: a number is not an integer of 64 bits, or a float") from None

    def _format(self, count: int) -> tuple[struct.Struct, int]:
        first = self.kinds[:count]
        letters = "".join("d" if kind is float else "q" * words_of(kind) for kind in first)
        return struct.Struct("=q" + letters), sum(kind in {float, int} for kind in first)


def _append(  # noqa: PLR0917 - one call an array: keywords would cost as much as the rest
    words: list[int | float], arrays: list[object], name: str, kind: Any, value: Any, address: Callable[[object], int]
) -> None:
    if isinstance(kind, Array):
        if not kind.holds(value):
            raise TypeError(f"{name} must be {kind}, not {_described(value)}")
        words.append(address(value))
        words.extend(value.shape)
        arrays.append(value)
        return
    if not isinstance(value, kind.cls):
        raise TypeError(f"{name} must be a {kind.cls.__name__}, not {_described(value)}")
    for field_name, one, each in zip(kind.cls._fields, kind.kinds, value, strict=True):
        _append(words, arrays, f"{name}.{field_name}", one, each, address)


def _described(value: object) -> str:
    if not isinstance(value, np.ndarray):
        return repr(type(value).__name__)
    order = "contiguous" if value.flags.c_contiguous else "strided"
    may = "" if value.flags.writeable else ", read-only"
    return f"a {order} array of {value.dtype} with {value.ndim} dimension(s){may}"


def words_of(kind: Kind) -> int:
    """How many words an argument takes up in a block."""
    if isinstance(kind, Array):
        return 1 + kind.dimensions
    return sum(map(words_of, kind.kinds)) if isinstance(kind, Fields) else 1


def signature_of(function: Callable[..., Any]) -> Signature:
    hints = get_type_hints(function, include_extras=True)
    result = hints.pop("return")
    signature = Signature(tuple(hints), tuple(_kind(hint) for hint in hints.values()), result)
    if any(kind in {float, int} for kind in signature.kinds[: len(signature.kinds) - signature.numbers]):
        raise TypeError(f"{function.__qualname__}: a kernel's numbers come after its arrays")
    return signature


def _kind(hint: Any) -> Kind:
    if hint in {float, int}:
        return hint  # type: ignore[no-any-return]
    if issubclass(getattr(hint, "__origin__", hint), tuple):
        return Fields(hint, tuple(_kind(each) for each in get_type_hints(hint, include_extras=True).values()))
    array, shape = get_args(hint)
    (element,) = get_args(get_args(array)[1])
    return Array(np.dtype(element), shape.dimensions, shape.written)
