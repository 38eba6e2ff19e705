"""Kernels for tests: small, so that they compile in a second or two."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tradebot.pricing import math64
from tradebot.pricing.jit import kernel
from tradebot.pricing.signature import Bytes, Given, GivenFlags, GivenTable, Table, Vector


class Pair(NamedTuple):
    left: Given
    right: GivenTable


@kernel
def scale(values: Vector, factor: float, count: int) -> int:
    """Returns `count`, so that a test sees whether it arrived."""
    for i in range(len(values)):
        values[i] *= factor
    return count


@kernel
def combine(pair: Pair, chosen: GivenFlags, out: Table, signs: Bytes) -> bool:
    """`left` plus `right`, where chosen; whether any was."""
    some = False
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = pair.left[j] + pair.right[i, j] if chosen[j] else 0.0
            signs[j] = np.int8(-1 if out[i, j] < 0.0 else 1)
            some = some or chosen[j]
    return some


@kernel
def exp_each(x: Given, out: Vector) -> None:
    for i in range(len(out)):
        out[i] = math64.exp(x[i])


@kernel
def log_each(x: Given, out: Vector) -> None:
    for i in range(len(out)):
        out[i] = math64.log(x[i])


@kernel
def normal_cdf_each(x: Given, out: Vector) -> None:
    for i in range(len(out)):
        out[i] = math64.normal_cdf(x[i])
