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
from dataclasses import dataclass
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


class Signature:
    """Arrays come first, numbers last, so that numbers can be left for later."""

    def __init__(self, names: tuple[str, ...], kinds: tuple[Kind, ...], result: type[Any]) -> None:
        self.names, self.kinds, self.result = names, kinds, result
        self.numbers = tuple(kind for kind in kinds if kind in {float, int})
        self.first_number = len(kinds) - len(self.numbers)
        if any(kind in {float, int} for kind in kinds[: self.first_number]):
            raise TypeError(f"a kernel's numbers come after its arrays: {', '.join(names)}")
        letters = "=q" + "q" * sum(map(words_of, kinds[: self.first_number]))
        self._forms = []
        for number in (*self.numbers, None):
            self._forms.append(struct.Struct(letters))
            letters += "d" if number is float else "q"

    def block(
        self, kernel: str, first: tuple[Any, ...], address: Callable[[object], int]
    ) -> tuple[bytes, list[object]]:
        """The words of the first arguments, and the arrays that they point into."""
        numbers = len(first) - self.first_number
        if not 0 <= numbers <= len(self.numbers):
            raise TypeError(f"{kernel} takes {', '.join(self.names)}: {len(first)} are given")
        words: list[int | float] = [numbers]
        arrays: list[object] = []
        for place in range(self.first_number):
            kind, value = self.kinds[place], first[place]
            if isinstance(kind, Array) and kind.holds(value):
                words.append(address(value))
                words += value.shape
                arrays.append(value)
            else:
                _unfold(words, arrays, f"{kernel}: {self.names[place]}", kind, value, address)
        words += first[self.first_number :]
        try:
            return self._forms[numbers].pack(*words), arrays
        except struct.error as odd:
            raise TypeError(f"{kernel}: {', '.join(self.names[self.first_number :])}: {odd}") from None


def _unfold(  # noqa: PLR0917 - it calls itself
    words: list[int | float], arrays: list[object], name: str, kind: Any, value: Any, address: Callable[[object], int]
) -> None:
    """What is a NamedTuple, field by field, or what is wrong, which is named."""
    if isinstance(kind, Array):
        if not kind.holds(value):
            raise TypeError(f"{name} must be {kind}, not {_described(value)}")
        words += (address(value), *value.shape)
        arrays.append(value)
        return
    if not isinstance(value, kind.cls):
        raise TypeError(f"{name} must be a {kind.cls.__name__}, not {_described(value)}")
    for field, each, held in zip(kind.cls._fields, kind.kinds, value, strict=True):
        _unfold(words, arrays, f"{name}.{field}", each, held, address)


def _described(value: object) -> str:
    if not isinstance(value, np.ndarray):
        return f"a {type(value).__name__}"
    order = "contiguous" if value.flags.c_contiguous else "strided"
    may = "" if value.flags.writeable else " and read-only"
    return f"an array of {value.dtype} with {value.ndim} dimension(s), {order}{may}"


def words_of(kind: Kind) -> int:
    """How many words an argument takes up in a block."""
    if isinstance(kind, Array):
        return 1 + kind.dimensions
    return sum(map(words_of, kind.kinds)) if isinstance(kind, Fields) else 1


def signature_of(function: Callable[..., Any]) -> Signature:
    hints = get_type_hints(function, include_extras=True)
    result = hints.pop("return")
    return Signature(tuple(hints), tuple(map(_kind, hints.values())), result)


def _kind(hint: Any) -> Kind:
    if hint in {float, int}:
        return hint  # type: ignore[no-any-return]
    if issubclass(getattr(hint, "__origin__", hint), tuple):
        return Fields(hint, tuple(_kind(each) for each in get_type_hints(hint, include_extras=True).values()))
    array, shape = get_args(hint)
    (element,) = get_args(get_args(array)[1])
    return Array(np.dtype(element), shape.dimensions, shape.written)
