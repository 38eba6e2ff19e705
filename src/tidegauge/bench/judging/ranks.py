"""The averages of two values that Wilcoxon's signed-rank test counts: their median estimates, their ranks bound.

    values ──averages──▶ quantile 0.5: the estimate · bounds: what the exact test leaves possible · error: its scatter

`decide` judges pairs by them, `pair` its slices. The median of the averages of two (Hodges and Lehmann's) is hardly
moved by outliers, as the median is; where values fall into two modes, as slices do on a machine that others use, the
median lies in one of them by chance, and the averages between them.
"""

import functools
import math
from bisect import bisect_right
from collections.abc import Sequence


def averages(values: Sequence[float]) -> list[float]:
    """Every average of two values and every value itself, ascending."""
    return sorted((first + second) / 2 for at, first in enumerate(values) for second in values[at:])


def quantile(ascending: Sequence[float], part: float) -> float:
    position = part * (len(ascending) - 1)
    at = min(int(position), len(ascending) - 2) if len(ascending) > 1 else 0
    after = ascending[min(at + 1, len(ascending) - 1)]
    return ascending[at] + (position - at) * (after - ascending[at])


def bounds(ascending: Sequence[float], count: int, level: float) -> tuple[float, float]:
    """One-sided bounds, each wrong with probability `level` at most; infinite where so few values can give none."""
    rank = bisect_right(cdf(count), level) - 1
    return (ascending[rank], ascending[-1 - rank]) if rank >= 0 else (-math.inf, math.inf)


@functools.lru_cache(maxsize=64)
def cdf(count: int) -> tuple[float, ...]:
    """P(at most w averages lie on the far side of the truth), w from 0: the null distribution of the signed ranks."""
    density = [1.0]
    for rank in range(1, count + 1):
        stays, moves = [*density, *[0.0] * rank], [*[0.0] * rank, *density]
        density = [(a + b) / 2 for a, b in zip(stays, moves, strict=True)]
    total = 0.0
    return tuple(total := total + part for part in density)


def error(ascending: Sequence[float], count: int) -> float:
    """The standard error of the estimate: half of what one standard deviation of the ranks spans, to either side."""
    ranks = math.sqrt(count * (count + 1) * (2 * count + 1) / 24)
    share = min(0.5, ranks / len(ascending))
    return (quantile(ascending, 0.5 + share) - quantile(ascending, 0.5 - share)) / 2
