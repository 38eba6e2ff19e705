"""exp, log and the normal CDF against 40 digits, over the whole range and at its ends."""

from __future__ import annotations

import math
from collections.abc import Callable

import mpmath
import numpy as np
import pytest

from tradebot.pricing import math64

SEED = 11


def relative_error(function: Callable[[float], float], exact: Callable[[mpmath.mpf], mpmath.mpf], x: float) -> float:
    with mpmath.workdps(40):
        truth = exact(mpmath.mpf(x))
        return float(abs(mpmath.mpf(function(x)) - truth) / abs(truth)) if truth else abs(function(x))


def spread(low: float, high: float, count: int = 1500) -> list[float]:
    return [*np.random.default_rng(SEED).uniform(low, high, count).tolist(), low, high]


def test_exp_is_within_an_ulp() -> None:
    """From the smallest normal result to the largest, and near 0."""
    points = [*spread(-708, 709.7), *spread(-1, 1), 0.0]
    assert max(relative_error(math64.exp, mpmath.exp, x) for x in points) < 2.3e-16


@pytest.mark.parametrize(
    ("x", "value"), [(710.0, math.inf), (math.inf, math.inf), (-709.0, 0.0), (-math.inf, 0.0), (0.0, 1.0)]
)
def test_exp_ends_where_float64_ends(x: float, value: float) -> None:
    """Overflow is infinity and underflow 0, never the garbage of a wrapped exponent."""
    assert math64.exp(x) == value


def test_log_is_within_an_ulp() -> None:
    """Over all magnitudes, subnormal numbers included, and near 1, where the result is small."""
    points = [*(10.0**power for power in range(-323, 309)), *spread(0.5, 2), *spread(1 - 1e-6, 1 + 1e-6)]
    assert max(relative_error(math64.log, mpmath.log, x) for x in points) < 2.3e-16
    assert math64.log(1.0) == 0.0


def test_the_normal_tail_is_exact_in_relative_terms() -> None:
    """Far out, where the probability is 1e-300, its digits still count."""
    near = [*spread(-6, 6), 0.0, -0.0]
    assert max(relative_error(math64.normal_cdf, mpmath.ncdf, x) for x in near) < 3e-15
    far = spread(-math64.TAIL_MAX, -6)
    # The square of x is rounded: that alone is half an ulp of it, up to 700 ulp of the exponential... of 1.
    assert max(relative_error(math64.normal_cdf, mpmath.ncdf, x) for x in far) < 1.7e-13


def test_the_normal_cdf_has_limits() -> None:
    """Whatever lies beyond the table is 0 or 1 and not a NaN."""
    assert math64.normal_cdf(1e300) == 1.0
    assert 0.0 <= math64.normal_cdf(-1e300) < 1e-300
    assert math64.normal_cdf(0.0) == pytest.approx(0.5, abs=1.2e-16)
