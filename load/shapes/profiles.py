"""The shapes as data: (seconds, rate) points, piecewise linear, a jump where two points share a second.

Whoever runs closed users reads a rate as their number (`load/shapes/closed.py`), whoever sends arrivals reads it as
arrivals a second. The numbers are for the reference bot on one core; `scaled` fits a shape to another bot or budget.
"""

from __future__ import annotations

from collections.abc import Iterable

Point = tuple[float, float]
Points = tuple[Point, ...]

DAY_S = 6.5 * 3_600


def steps(rates: Iterable[float], *, each_s: float) -> Points:
    """One level after the other, each held equally long."""
    return tuple(
        point for number, rate in enumerate(rates) for point in ((number * each_s, rate), ((number + 1) * each_s, rate))
    )


def geometric(first: float, factor: float, count: int) -> list[float]:
    return [first * factor**number for number in range(count)]


def trading_day(*, seconds: float) -> Points:
    """Quiet before the open, the rush at it, the morning, lunch, and the rush to the close; a day in `seconds`."""
    of_day: Points = (
        (0.00, 2), (0.05, 2),  # quiet: the desk is there, the market is not
        (0.05, 40), (0.10, 30), (0.25, 15),  # open: everybody at once, then the morning
        (0.45, 6), (0.58, 6),  # lunch
        (0.80, 14), (0.92, 25), (0.97, 45),  # close: positions are rolled or left
        (0.97, 3), (1.00, 2),  # after the bell
    )  # fmt: skip
    return tuple((share * seconds, rate) for share, rate in of_day)


PROFILES: dict[str, Points] = {
    # Does it work at all?
    "smoke": ((0, 2), (20, 2)),
    # Where does each level settle?
    "step": steps((5, 10, 20, 40), each_s=30),
    # What does a burst cost, and how long is its memory?
    "spike": ((0, 10), (30, 10), (30, 80), (40, 80), (40, 10), (90, 10)),
    # Does it stay as it is?
    "soak": ((0, 0), (60, 15), (3_600, 15)),
    # The coarse search for the knee: every level half as much again as the one before.
    "knee": steps(geometric(10, 1.5, 8), each_s=10),
    # A trading day in six and a half minutes; `scaled` makes it a real one.
    "day": trading_day(seconds=390),
}


def scaled(points: Points, *, peak: float | None = None, seconds: float | None = None) -> Points:
    """The same shape with another highest rate, another length, or both."""
    highest, last_s = max(rate for _, rate in points), points[-1][0]
    rates = 1.0 if peak is None else peak / highest
    times = 1.0 if seconds is None else seconds / last_s
    return tuple((at_s * times, rate * rates) for at_s, rate in points)


def rate_at(points: Points, at_s: float) -> float | None:
    """The rate at a time; None once the shape is over. Of two points at one second the later one counts."""
    if at_s >= points[-1][0]:
        return None
    after = next(number for number, (point_s, _) in enumerate(points) if point_s > at_s)
    if after == 0:
        return points[0][1]
    (from_s, from_rate), (to_s, to_rate) = points[after - 1], points[after]
    return from_rate + (to_rate - from_rate) * (at_s - from_s) / (to_s - from_s)
