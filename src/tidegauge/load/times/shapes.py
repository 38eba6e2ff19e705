"""The shapes of a load as data: what `schedule.Profile` is made of, whoever asks for a load by its name.

A point is a share of the time, a share of the peak, and the phase that begins there; straight lines join the points,
and a jump is two of them at one moment. A phase is what promises are judged by: a spike is asked less than the quiet
before it, and whoever wants to know how long it is remembered looks at the recovery.
"""

from collections.abc import Iterable, Sequence
from typing import Final

Point = tuple[float, float, str]

STEADY: Final = "steady"
SPIKE: Final = "spike"
RECOVERY: Final = "recovery"
FAULT: Final = "fault"
SPIKE_TIMES: Final = 8
KNEE_FACTOR: Final = 1.5
KNEE_LEVELS: Final = 8


def stairs(heights: Sequence[float]) -> tuple[Point, ...]:
    """One level after the other, each held equally long and a phase of its own."""
    return tuple(
        (share / len(heights), height, f"level {number}")
        for number, height in enumerate(heights, start=1)
        for share in (number - 1, number)
    )


def _of(highest: float, points: Iterable[Point]) -> tuple[Point, ...]:
    """Points whose rates are written as a person thinks of them, as shares of the highest."""
    return tuple((share, rate / highest, phase) for share, rate, phase in points)


SHAPES: Final[dict[str, tuple[Point, ...]]] = {
    "constant": ((0, 1, STEADY), (1, 1, STEADY)),
    # Does it work at all?
    "smoke": ((0, 1, STEADY), (1, 1, STEADY)),
    "ramp": ((0, 0, "ramp"), (1, 1, "ramp")),
    # Where does each level settle?
    "step": stairs((1 / 8, 1 / 4, 1 / 2, 1)),
    # What does a burst cost, and how long is its memory?
    "spike": (
        (0, 1 / SPIKE_TIMES, STEADY), (1 / 3, 1 / SPIKE_TIMES, STEADY),
        (1 / 3, 1, SPIKE), (4 / 9, 1, SPIKE),
        (4 / 9, 1 / SPIKE_TIMES, RECOVERY), (1, 1 / SPIKE_TIMES, RECOVERY),
    ),
    # Somebody breaks something at the beginning of the phase `fault`, and mends it at its end.
    "fault": (
        (0, 1, STEADY), (0.4, 1, STEADY), (0.4, 1, FAULT), (0.6, 1, FAULT), (0.6, 1, RECOVERY), (1, 1, RECOVERY),
    ),
    # Does it stay as it is?
    "soak": ((0, 0, "ramp"), (1 / 60, 1, STEADY), (1, 1, STEADY)),
    # The coarse search for the knee: every level half as much again as the one before.
    "knee": stairs([KNEE_FACTOR ** (number - KNEE_LEVELS) for number in range(1, KNEE_LEVELS + 1)]),
    # A trading day: the desk is there and the market is not, everybody at once at its open, the rush to its close.
    "day": _of(45, (
        (0.00, 2, "quiet"), (0.05, 2, "quiet"),
        (0.05, 40, "open"), (0.10, 30, "morning"), (0.25, 15, "morning"),
        (0.45, 6, "lunch"), (0.58, 6, "afternoon"),
        (0.80, 14, "afternoon"), (0.92, 25, "close"), (0.97, 45, "close"),
        (0.97, 3, "after"), (1.00, 2, "after"),
    )),
}  # fmt: skip
KINDS: Final = tuple(SHAPES)
