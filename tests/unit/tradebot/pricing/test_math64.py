"""exp, log and the normal CDF against 40 digits, over the whole range and at its ends."""

from __future__ import annotations

import math
from collections.abc import Callable

import mpmath
import numpy as np
import pytest

from support import kernels
from tradebot.pricing import math64
from tradebot.pricing.jit import Kernel

SEED = 11


def value(each: Kernel[..., None], x: float) -> float:
    out = np.empty(1)
    each(np.array([x]), out)
    return float(out[0])


def error_max(each: Kernel[..., None], exact: Callable[[mpmath.mpf], mpmath.mpf], points: list[float]) -> float:
    """The largest relative error of what compiled code makes of the points."""
    found = np.empty(len(points))
    each(np.array(points), found)
    with mpmath.workdps(40):
        truths = [exact(mpmath.mpf(x)) for x in points]
        errors = [mpmath.mpf(one) - truth for one, truth in zip(found.tolist(), truths, strict=True)]
        return float(
            max(abs(error / truth) if truth else abs(error) for error, truth in zip(errors, truths, strict=True))
        )


def spread(low: float, high: float, count: int = 1500) -> list[float]:
    return [*np.random.default_rng(SEED).uniform(low, high, count).tolist(), low, high]


def test_exp_is_within_an_ulp() -> None:
    """From the smallest normal result to the largest, and near 0."""
    points = [*spread(-708, 709.7), *spread(-1, 1), 0.0]
    assert error_max(kernels.exp_each, mpmath.exp, points) < 2.3e-16


@pytest.mark.parametrize(
    ("x", "exact"), [(710.0, math.inf), (math.inf, math.inf), (-709.0, 0.0), (-math.inf, 0.0), (0.0, 1.0)]
)
def test_exp_ends_where_float64_ends(x: float, exact: float) -> None:
    """Overflow is infinity and underflow 0, never the garbage of a wrapped exponent."""
    assert value(kernels.exp_each, x) == exact


def test_log_is_within_an_ulp() -> None:
    """Over all magnitudes, subnormal numbers included, and near 1, where the result is small."""
    points = [*(10.0**power for power in range(-323, 309)), *spread(0.5, 2), *spread(1 - 1e-6, 1 + 1e-6)]
    assert error_max(kernels.log_each, mpmath.log, points) < 2.3e-16
    assert value(kernels.log_each, 1.0) == 0.0


def test_the_normal_tail_is_exact_in_relative_terms() -> None:
    """Far out, where the probability is 1e-300, its digits still count."""
    near = [*spread(-6, 6), 0.0, -0.0]
    assert error_max(kernels.normal_cdf_each, mpmath.ncdf, near) < 3e-15
    far = spread(-math64.TAIL_MAX, -6)
    # The square of x is rounded: that alone is half an ulp of it, up to 700 ulp of the exponential... of 1.
    assert error_max(kernels.normal_cdf_each, mpmath.ncdf, far) < 1.7e-13


def test_the_normal_cdf_has_limits() -> None:
    """Whatever lies beyond the table is 0 or 1 and not a NaN."""
    assert value(kernels.normal_cdf_each, 1e300) == 1.0
    assert 0.0 <= value(kernels.normal_cdf_each, -1e300) < 1e-300
    assert value(kernels.normal_cdf_each, 0.0) == pytest.approx(0.5, abs=1.2e-16)


@pytest.mark.parametrize("x", [-3.5, 1e-5, 0.7, 1.0, 300.25])
def test_in_python_the_source_means_the_same(x: float) -> None:
    """The functions can be read, and run, as what they say; only the fused roundings are the machine's."""
    assert math64.exp(x) == pytest.approx(value(kernels.exp_each, x), rel=1e-15)
    assert math64.log(abs(x)) == pytest.approx(value(kernels.log_each, abs(x)), rel=1e-15, abs=1e-16)
    assert math64.normal_cdf(x) == pytest.approx(value(kernels.normal_cdf_each, x), rel=1e-14)
