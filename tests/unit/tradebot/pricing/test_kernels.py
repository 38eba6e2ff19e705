"""A kernel as Python sees it: what it takes, what it refuses, and what lives as long as it does."""

from __future__ import annotations

import gc
import re
import sys
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from support.kernels import Pair, combine, exp_each, scale


def vector(*values: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array(values)


def frozen(array: Any) -> Any:
    array.flags.writeable = False
    return array


def test_a_call_hands_over_arrays_and_numbers() -> None:
    """Arrays are changed in place, -1 is a number like any other, and whole numbers are floats where these belong."""
    values = vector(1.0, 2.0)
    assert scale(values, -1.0, -1) == -1
    assert scale(values, 3, 2**63 - 1) == 2**63 - 1
    assert values.tolist() == [-3.0, -6.0]
    assert exp_each(vector(), vector()) is None


def test_a_bound_kernel_takes_the_numbers_that_are_left() -> None:
    """Bound to arrays alone, or to numbers too; NumPy's numbers will do."""
    values = vector(1.0)
    assert scale.bind(values)(2.0, np.int64(5)) == 5
    assert scale.bind(values, np.float64(2.0))(6) == 6
    assert scale.bind(values, 2.0, 7)() == 7
    assert values.tolist() == [8.0]


def test_tuples_of_arrays_flags_and_bytes_arrive() -> None:
    """A NamedTuple's fields, booleans, tables and single bytes; what is only read may be read-only, or shared."""
    pair = Pair(frozen(vector(1.0, -5.0, 3.0)), frozen(np.arange(6.0).reshape(2, 3)))
    out, signs = np.empty((2, 3)), np.empty(3, dtype=np.int8)
    assert combine(pair, frozen(np.array([True, True, False])), out, signs) is True
    assert (out.tolist(), signs.tolist()) == ([[1.0, -4.0, 0.0], [4.0, -1.0, 0.0]], [1, -1, 1])
    assert combine(pair, np.zeros(3, dtype=np.bool_), out, signs) is False


GOOD = Pair(vector(1.0), np.ones((1, 1)))
SCALE: Any = scale  # as a caller meets them whom no type checker has looked at
COMBINE: Any = combine


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: SCALE([1.0], 2.0, 1), "scale: values must be .* not a list"),
        (lambda: SCALE(vector(1.0).astype(np.float32), 2.0, 1), "values .* not an array of float32"),
        (lambda: SCALE(vector(1.0).astype(">f8"), 2.0, 1), "values .* not an array of >f8"),
        (lambda: SCALE(vector(1.0, 2.0, 3.0)[::2], 2.0, 1), "values .* strided"),
        (lambda: SCALE(np.ones((1, 1)), 2.0, 1), r"values .* not an array of float64 with 2 dimension"),
        (lambda: SCALE(frozen(vector(1.0)), 2.0, 1), "values .* may be written, .* read-only"),
        (lambda: SCALE(vector(1.0), 2.0), "the numbers are factor, count"),
        (lambda: SCALE(vector(1.0), 2.0, 1, 1), "takes values, factor, count: 4 are given"),
        (lambda: SCALE(vector(1.0), "2", 1), "factor, count: .* not a float"),
        (lambda: SCALE(vector(1.0), 2.0, 1.5), "factor, count: .* not an integer"),
        (lambda: SCALE(vector(1.0), 2.0, 2**63), "factor, count: .*"),
        (lambda: SCALE(vector(1.0), factor=2.0, count=1), "by position"),
        (SCALE.bind, "takes values, factor, count: 0 are given"),
        (lambda: SCALE.bind(vector(1.0))(2.0), "the numbers are factor, count"),
        (lambda: SCALE.bind(vector(1.0), 1.0)(2.0, 1), "the numbers are factor, count"),
        (lambda: SCALE.bind(vector(1.0))("2", 1), "must be real number, not str"),
        (lambda: SCALE.bind(vector(1.0))(2.0, 1.5), "'float' object cannot be interpreted as an integer"),
        (lambda: COMBINE(None, np.ones(1), np.ones(1), np.ones(1)), "pair must be a Pair, not a NoneType"),
        (lambda: COMBINE(Pair(vector(1.0), vector(1.0)), None, None, None), r"pair\.right must be .* 2 dimension"),
        (lambda: COMBINE(GOOD, vector(1.0), np.ones((1, 1)), np.ones(1)), "chosen must be .* bool"),
    ],
)
def test_what_does_not_fit_is_named(call: Callable[[], object], message: str) -> None:
    """A wrong element, order, shape, permission or number is a TypeError that says which and what, never a crash."""
    with pytest.raises(TypeError) as refused:
        call()
    assert re.search(message, str(refused.value)), refused.value


def test_what_a_number_raises_comes_through() -> None:
    """Too large for 64 bits, or an object whose conversion fails: the kernel does not run."""
    values = vector(1.0)

    class Odd:
        def __float__(self) -> float:
            raise LookupError("odd")

    with pytest.raises(OverflowError):
        scale.bind(values)(2.0, 2**63)
    with pytest.raises(LookupError, match="odd"):
        scale.bind(values)(Odd(), 1)
    assert values.tolist() == [1.0]


def test_a_bound_kernel_keeps_its_arrays_alive() -> None:
    """Whoever bound it may forget the array; with the bound kernel the array goes."""
    values = vector(3.0)
    watched = weakref.ref(values)
    bound = scale.bind(values)
    del values
    gc.collect()
    alive = watched()
    assert alive is not None
    assert bound(2.0, 1) == 1
    assert alive.tolist() == [6.0]
    del alive, bound
    gc.collect()
    assert watched() is None


def test_calls_leave_nothing_behind() -> None:
    """No reference and no block of memory is left by a thousand calls of any kind, refused ones among them."""
    values, out = vector(1.0), vector(0.0)
    bound = scale.bind(values)

    def calls() -> None:
        for _ in range(1000):
            bound(1.0, 3)
            scale(values, 1.0, 3)
            scale.bind(values, 1.0)(3)
            exp_each(values, out)
            with pytest.raises(TypeError):
                bound("1", 3)

    calls()
    gc.collect()
    before, held, nothing = sys.getallocatedblocks(), sys.getrefcount(values), sys.getrefcount(None)
    calls()
    gc.collect()
    assert sys.getrefcount(values) == held
    assert abs(sys.getrefcount(None) - nothing) < 100
    assert sys.getallocatedblocks() - before < 100
